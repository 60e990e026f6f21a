"""Follow the results of a running training without reading them again and again."""

from __future__ import annotations

import json
from pathlib import Path

from mofonon.training.mace_files import EpochErrors, epoch_errors


class ResultsTail:
    """Reads what was appended to mace's results since the last time.

    Parameters
    ----------
    path : Path
        mace's ``results/*_train.txt``; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last_epoch = -1
        self._offset = 0
        self._found: dict[tuple[int, str], EpochErrors] = {}

    def read(self) -> bool:
        """Read new lines; True if an epoch was evaluated since."""
        if not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offset += end
        new = False
        for line in data[:end].splitlines():
            try:
                errors = epoch_errors(json.loads(line))
            except json.JSONDecodeError:
                continue
            if errors is not None:
                self._found[errors.epoch, errors.head] = errors
                if errors.epoch >= 0:
                    self.last_epoch = errors.epoch
                    new = True
        return new

    def errors(self, epoch: int, head: str) -> EpochErrors | None:
        """Errors of a head after an epoch, as evaluated last."""
        return self._found.get((epoch, head))

    def losses(self, head: str) -> dict[int, float]:
        """Give the validation losses of a head by epoch."""
        return {
            e.epoch: e.loss for e in self._found.values() if e.head == head and e.epoch >= 0
        }
