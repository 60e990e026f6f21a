"""``mofonon doctor``: what is installed and usable here, and what to do about the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from mofonon.cli.findings import Finding
from mofonon.cli.options import StoreOption, set_threads, stdout_for_results
from mofonon.errors import MofononError, SettingsError


def doctor(
    things: Annotated[
        list[str] | None,
        typer.Argument(help="Things that must be usable; exit 1 if one is not."),
    ] = None,
    store: StoreOption = None,
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            "-p",
            help="Check this jobflow-remote project: workers, queue, store, runner, locks; "
            "exit 1 if something is missing.",
        ),
    ] = None,
) -> None:
    """Check potentials, stores, VASP, GPU, SLURM and jobflow-remote: a line each.

    With THINGS named, the exit status is 1 when one of them is missing.
    """
    if project is not None:
        _project(project)
        return
    unknown = sorted(set(things or []) - set(CHECKS))
    if unknown:
        raise SettingsError(
            f"the doctor does not know {', '.join(unknown)}", f"ask for {', '.join(CHECKS)}"
        )
    set_threads(None)
    missing = []
    for name in things or CHECKS:
        with stdout_for_results():
            finding = STORE_CHECKS[name](store) if name in STORE_CHECKS else CHECKS[name]()
        finding.show(name)
        if not finding.usable:
            missing.append(name)
    if things and missing:
        raise typer.Exit(1)


def _project(name: str) -> None:
    set_threads(None)
    with stdout_for_results():
        from mofonon.cli.doctor_project import check_project

        findings = list(check_project(name))
    for thing, finding in findings:
        finding.show(thing)
    if not all(finding.usable for _, finding in findings):
        raise typer.Exit(1)


def _potential(name: str) -> Finding:
    from mofonon.potentials import PotentialSpec, describe_potential

    try:
        description = describe_potential(PotentialSpec.from_name(name))
    except MofononError as error:
        return Finding(False, error.message, error.remedy)
    number = len(description.elements or [])
    notice = f", {description.notice}" if description.notice else ""
    return Finding(
        True, f"{description.file_name or description.package}, {number} elements{notice}"
    )


def check_demo() -> Finding:
    """Check the distilled demo model."""
    return _potential("demo")


def check_chgnet() -> Finding:
    """Check CHGNet."""
    return _potential("chgnet")


def check_sevennet() -> Finding:
    """Check SevenNet-0."""
    return _potential("sevennet-0")


def check_xtb() -> Finding:
    """Check GFN1-xTB."""
    return _potential("gfn1-xtb")


def check_mace() -> Finding:
    """Look for MACE foundation models in mace's cache."""
    from mofonon.potentials.mace_files import foundation_cache, foundation_urls

    cached = sorted(path.name for path in foundation_cache().glob("*") if path.is_file())
    if cached:
        return Finding(True, f"in {foundation_cache()}: {', '.join(cached)}")
    return Finding(
        False,
        f"no foundation model in {foundation_cache()}",
        f"name one with --model to fetch it ({', '.join(list(foundation_urls())[:4])}, ...), "
        "or give a .model file",
    )


def check_dispersion() -> Finding:
    """Check D3(BJ)."""
    if find_spec("dftd3") is None:
        return Finding(False, "dftd3 is not installed", "pip install dftd3")
    from mofonon.potentials.factory import d3_calculator

    try:
        d3_calculator()
    except (ImportError, RuntimeError) as error:
        return Finding(
            False, f"dftd3 does not load: {error}", "pip install --force-reinstall dftd3"
        )
    return Finding(True, "D3(BJ) by dftd3")


def check_store(path: Path | None) -> Finding:
    """Open the store and count its documents."""
    from mofonon.store import describe_store, open_store

    try:
        number = open_store(path).docs_store.count()
    except MofononError as error:
        return Finding(False, error.message, error.remedy)
    return Finding(True, f"{describe_store(path)}, {number} documents")


def check_checkpoints() -> Finding:
    """Find the size of the evaluation logs."""
    from mofonon.settings import get_settings

    folder = get_settings().checkpoints
    size = (
        sum(path.stat().st_size for path in folder.glob("*.evaluations"))
        if folder.is_dir()
        else 0
    )
    return Finding(True, f"{folder}, {size / 1e6:.1f} MB of evaluation logs (may be deleted)")


def check_vasp() -> Finding:
    """Look for VASP, standard and Gamma-only, by the settings of atomate2."""
    from mofonon.dft.setup import is_standin, setup_problems, vasp_commands

    problems = setup_problems([], gamma=True, std=True)
    if problems:
        return Finding(
            False, "; ".join(found.message for found in problems), problems[0].remedy
        )
    standin = ", a stand-in (not VASP)" if is_standin() else ""
    return Finding(True, f"{', '.join(vasp_commands())}{standin}")


def check_potcars() -> Finding:
    """Read the PBE_54 POTCAR of each element that the Materials Project calculates."""
    from mofonon.dft.potcars import potcar_folder, potcar_problems
    from mofonon.dft.setup import all_elements, setup_problems

    elements = all_elements()
    if potcar_folder() is None:
        problem = setup_problems(elements, gamma=False, std=False)[0]
        cause = problem.message.partition(": ")[2]
        return Finding(False, cause, problem.remedy)
    problems = potcar_problems(elements)
    if not problems:
        return Finding(True, f"{potcar_folder()}, {len(elements)} elements")
    missing = ", ".join(problem.element for problem in problems)
    return Finding(
        False,
        f"{potcar_folder()} lacks {len(problems)} of {len(elements)} elements or has wrong "
        f"ones: {missing}",
        f"{problems[0].message}; {problems[0].remedy}",
    )


def check_gpu() -> Finding:
    """Look for a CUDA device of torch."""
    import torch

    if torch.cuda.is_available():
        return Finding(
            True,
            ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())),
        )
    return Finding(
        False,
        f"torch {torch.__version__} sees no CUDA device",
        "the CPU works; for a GPU install a CUDA build of torch",
    )


def check_slurm() -> Finding:
    """Ask SLURM for its partitions."""
    import subprocess

    sinfo = shutil.which("sinfo")
    remedy = "log in to the cluster, or load its SLURM module"
    if sinfo is None:
        return Finding(False, "no sinfo on the PATH", remedy)
    try:
        answer = subprocess.run(  # noqa: S603 - a fixed command
            [sinfo, "-h", "-o", "%P"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(False, f"sinfo fails: {error}", "check that slurmctld runs")
    if answer.returncode != 0:
        reason = " ".join(answer.stderr.split()) or f"exit code {answer.returncode}"
        return Finding(False, f"sinfo fails: {reason}", "check that slurmctld runs")
    return Finding(True, f"partitions {' '.join(answer.stdout.split())}")


def check_jobflow_remote() -> Finding:
    """Look for a jobflow-remote project."""
    if find_spec("jobflow_remote") is None:
        return Finding(
            False, "jobflow-remote is not installed", "pip install 'mofonon[remote]'"
        )
    folder = Path(os.environ.get("JFREMOTE_PROJECTS_FOLDER") or Path.home() / ".jfremote")
    projects = sorted(path.stem for path in folder.glob("*.yaml"))
    if projects:
        return Finding(True, f"projects in {folder}: {', '.join(projects)}")
    return Finding(False, f"no project in {folder}", "mofonon init")


STORE_CHECKS: dict[str, Callable[[Path | None], Finding]] = {"store": check_store}
CHECKS: dict[str, Callable[[], Finding]] = {
    "demo": check_demo,
    "chgnet": check_chgnet,
    "sevennet-0": check_sevennet,
    "gfn1-xtb": check_xtb,
    "mace": check_mace,
    "d3bj": check_dispersion,
    "store": lambda: check_store(None),
    "checkpoints": check_checkpoints,
    "vasp": check_vasp,
    "potcars": check_potcars,
    "gpu": check_gpu,
    "slurm": check_slurm,
    "jobflow-remote": check_jobflow_remote,
}
