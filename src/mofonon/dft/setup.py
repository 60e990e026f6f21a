"""Whether VASP can be run here: commands and POTCARs, before anything is submitted."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mofonon.dft.potcars import POTCAR_SYMBOLS, potcar_problems
from mofonon.errors import DftSetupError

#: A command with this among the folders of its program is a stand-in for VASP.
STANDIN_FOLDER = "standin"


@dataclass(frozen=True)
class SetupProblem:
    """Something that would stop calculations.

    Attributes
    ----------
    message : str
        What is wrong.
    remedy : str
        What the user can do.
    """

    message: str
    remedy: str


def vasp_commands() -> tuple[str, str]:
    """Give the commands of the standard and the Gamma-only binary, from atomate2's settings."""
    from atomate2 import SETTINGS

    return os.path.expandvars(SETTINGS.VASP_CMD), os.path.expandvars(SETTINGS.VASP_GAMMA_CMD)


def command_problem(command: str, variable: str) -> SetupProblem | None:
    """Find what is wrong with a command: its program is not there.

    The last word that is not an option is the program, as custodian takes it.

    Parameters
    ----------
    command : str
        Such as ``srun vasp_std``.
    variable : str
        The environment variable that sets it.
    """
    words = shlex.split(command)
    missing = next((word for word in _programs(words) if shutil.which(word) is None), None)
    if words and missing is None:
        return None
    return SetupProblem(
        f"there is no program {missing or '(empty)'} for {variable} = '{command}'",
        f"load the module of VASP, or set {variable}, such as 'srun vasp_std'",
    )


def _programs(words: list[str]) -> list[str]:
    """Take the launcher and VASP itself."""
    return [words[0], words[-1]] if words else []


def is_standin() -> bool:
    """Whether the configured VASP is a stand-in for it."""
    words = shlex.split(vasp_commands()[0])
    return bool(words) and STANDIN_FOLDER in Path(words[-1]).parts


def setup_problems(elements: Iterable[str], *, gamma: bool, std: bool) -> list[SetupProblem]:
    """Find all that would stop calculations with elements here.

    Parameters
    ----------
    elements : iterable of str
        Elements of all structures.
    gamma, std : bool
        Which binaries are needed.
    """
    problems = []
    for needed, command, variable in zip(
        (std, gamma),
        vasp_commands(),
        ("ATOMATE2_VASP_CMD", "ATOMATE2_VASP_GAMMA_CMD"),
        strict=True,
    ):
        problem = command_problem(command, variable) if needed else None
        if problem is not None:
            problems.append(problem)
    problems += [SetupProblem(found.message, found.remedy) for found in _potcars(elements)]
    return problems


def require_none(standing: Sequence[SetupProblem]) -> None:
    """Refuse to begin where something would stop calculations.

    Raises
    ------
    DftSetupError
        With all problems and what to do about them.
    """
    if standing:
        raise DftSetupError(
            "; ".join(problem.message for problem in standing),
            "; ".join(dict.fromkeys(problem.remedy for problem in standing)),
        )


def _potcars(elements: Iterable[str]) -> list[SetupProblem]:
    """POTCAR problems, those with the same cause as one."""
    found = potcar_problems(elements)
    causes: dict[tuple[str, str], list[str]] = {}
    for problem in found:
        prefix = f"no POTCAR of {problem.element}: "
        if problem.message.startswith(prefix):
            key = (problem.message.removeprefix(prefix), problem.remedy)
            causes.setdefault(key, []).append(problem.element)
    single = [
        SetupProblem(problem.message, problem.remedy)
        for problem in found
        if not problem.message.startswith(f"no POTCAR of {problem.element}: ")
    ]
    return [
        *(
            SetupProblem(f"no POTCAR of {', '.join(names)}: {cause}", remedy)
            for (cause, remedy), names in causes.items()
        ),
        *single,
    ]


def all_elements() -> list[str]:
    """Elements that the Materials Project has a POTCAR for."""
    return sorted(POTCAR_SYMBOLS)
