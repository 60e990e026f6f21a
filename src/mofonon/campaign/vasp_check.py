"""Whether VASP can be run where the labels of a campaign are made: before anything is begun."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mofonon.dft.setup import SetupProblem, require_none, setup_problems
from mofonon.errors import DftSetupError
from mofonon.store import without_credentials

if TYPE_CHECKING:
    from mofonon.campaign.units import Unit

_MARK = "mofonon-vasp-setup:"
_CODE = f"""
import json, sys
from dataclasses import asdict
from mofonon.dft.setup import setup_problems
found = setup_problems(sys.argv[3:], gamma=sys.argv[1] == "1", std=sys.argv[2] == "1")
print({_MARK!r} + json.dumps([asdict(each) for each in found]))
"""
_SKIP = "where only compute nodes have VASP: --no-vasp-check"


@dataclass(frozen=True)
class VaspNeeds:
    """What the labels of some units need of VASP.

    Attributes
    ----------
    elements : frozenset of str
        Elements that need a POTCAR.
    gamma, std : bool
        Which binaries run.
    """

    elements: frozenset[str]
    gamma: bool
    std: bool

    @classmethod
    def of(cls, units: Iterable[Unit]) -> VaspNeeds | None:
        """Look at units; None where none of them runs VASP.

        Of structures that are yet to be chosen the standard binary is needed.
        """
        running = [unit for unit in units if unit.runs_vasp]
        if not running:
            return None
        from mofonon.dft.sets import gamma_mesh, is_gamma_only

        structures = [unit.vasp_of for unit in running if unit.vasp_of is not None]
        gamma_only = [is_gamma_only(gamma_mesh(each)) for each in structures]
        return cls(
            frozenset(el.symbol for each in structures for el in each.composition.elements),
            gamma=any(gamma_only),
            std=not all(gamma_only) or not structures,
        )

    def problems_here(self) -> list[SetupProblem]:
        """Find what stands against running VASP on this machine."""
        return setup_problems(self.elements, gamma=self.gamma, std=self.std)


def require_vasp(units: Iterable[Unit]) -> None:
    """Check commands and POTCARs, where units are to run VASP here.

    Raises
    ------
    DftSetupError
        With all that stands against it.
    """
    needs = VaspNeeds.of(units)
    if needs is not None:
        require_none(needs.problems_here())


@dataclass
class WorkerCheck:
    """What was found on the hosts of the workers that will run VASP.

    Attributes
    ----------
    problems : list of SetupProblem
        What stands against it.
    unchecked : list of str
        Workers whose host could not be asked, and why.
    """

    problems: list[SetupProblem] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def require_none(self) -> None:
        """Refuse to submit labels that could not be made.

        Raises
        ------
        DftSetupError
            With all that stands against it.
        """
        if self.problems:
            remedies = dict.fromkeys([*(each.remedy for each in self.problems), _SKIP])
            raise DftSetupError(
                "; ".join(each.message for each in self.problems), "; ".join(remedies)
            )


def check_workers(
    units: Sequence[Unit], workers: Mapping[str, Any], exec_configs: Mapping[str, Any]
) -> WorkerCheck:
    """Ask the hosts of the workers that will run VASP for its commands and POTCARs.

    The host of a worker is the login node; it is asked in the environment that jobs get:
    ``pre_run`` of the worker and of the execution configuration, its variables and modules.
    What only compute nodes have cannot be seen from there.

    Parameters
    ----------
    units : sequence of Unit
        Those to be submitted.
    workers, exec_configs : mapping
        Of the jobflow-remote project.
    """
    found = WorkerCheck()
    places: dict[tuple[str, str | None], list[Unit]] = {}
    for unit in units:
        if unit.runs_vasp:
            name = unit.resources.worker or next(iter(workers))
            places.setdefault((name, unit.resources.exec_config), []).append(unit)
    for (name, exec_name), members in places.items():
        needs = VaspNeeds.of(members)
        if needs is None or name not in workers:
            continue  # an unknown worker is an error of its own
        config = exec_configs.get(exec_name) if exec_name else None
        answer = ask_worker(workers[name], config, needs)
        if isinstance(answer, str):
            found.unchecked.append(f"VASP was not looked for on worker {name}: {answer}")
        else:
            found.problems += [
                SetupProblem(f"worker {name}: {each.message}", each.remedy) for each in answer
            ]
    return found


def ask_worker(worker: Any, exec_config: Any, needs: VaspNeeds) -> list[SetupProblem] | str:
    """Look for VASP on the host of a worker; the reason where that cannot be done."""
    binaries = [str(int(needs.gamma)), str(int(needs.std))]
    command = shlex.join(["python", "-c", _CODE, *binaries, *sorted(needs.elements)])
    script = "\n".join([*_environment(worker, exec_config), command])
    if exec_config is not None and exec_config.modules:
        script = f"bash -lc {shlex.quote(script)}"  # a login shell knows modules
    host = worker.get_host()
    try:
        host.connect()
        out, err, code = host.execute(script)
    except Exception as error:  # noqa: BLE001 - SSH and shells have their own kinds
        return without_credentials(str(error)) or type(error).__name__
    finally:
        host.close()
    answers = [line for line in out.splitlines() if line.startswith(_MARK)]
    if not answers:
        told = err.strip().splitlines() or [f"exit code {code}"]
        return without_credentials(told[-1])
    return [SetupProblem(**each) for each in json.loads(answers[-1].removeprefix(_MARK))]


def _environment(worker: Any, exec_config: Any) -> list[str]:
    """Lines that jobflow-remote writes into a job script before the job."""
    lines = [worker.pre_run or ""]
    if exec_config is not None:
        lines.append(exec_config.pre_run or "")
        lines += [f"export {key}={value}" for key, value in (exec_config.export or {}).items()]
        lines += [f"module load {name}" for name in exec_config.modules or ()]
    return [line for line in lines if line]
