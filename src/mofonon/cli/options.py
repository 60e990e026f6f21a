"""What the commands share: option types, configuration files, output streams."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from pydantic import ValidationError

    from mofonon.lattice.settings import PhononSettings, RelaxSettings

_NUMBER = re.compile(r"-?\d+(\.\d+)?$")

#: Options that take a list of numbers, written 2 2 2, 2,2,2, 2x2x2 or "2 2 2".
NUMBER_LISTS = ("--supercell", "--mesh")


class NumberListCommand(TyperCommand):
    """A command whose number-list options take their numbers as separate words.

    ``--supercell 2 2 2`` and ``--mesh 11 11 11`` are what everyone types; click would take
    the second number for a file.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the numbers after a number-list option into one word."""
        joined: list[str] = []
        words = list(args)
        while words:
            word = words.pop(0)
            joined.append(word)
            if word in NUMBER_LISTS:
                numbers = []
                while words and _NUMBER.match(words[0]):
                    numbers.append(words.pop(0))
                if numbers:
                    joined[-1] = f"{word}={','.join(numbers)}"
        return super().parse_args(ctx, joined)


def parse_numbers(text: str) -> list[float]:
    """Numbers of a number-list option.

    Raises
    ------
    SettingsError
        When something in it is not a number.
    """
    words = [word for word in re.split(r"[\s,x\u00d7\[\]]+", text.strip()) if word]
    try:
        return [float(word) for word in words]
    except ValueError:
        raise SettingsError(
            f"{text!r} is not a list of numbers", "write it as 2 2 2, 2,2,2 or 2x2x2"
        ) from None


def _load_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Take the values of a YAML file as defaults; the command line wins."""
    if path is None:
        return None
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(
            f"{path} cannot be read as YAML: {error}",
            "correct the line that it names; docs/examples has a file for each command",
        ) from error
    if not isinstance(content, dict):
        raise SettingsError(
            f"{path} must hold 'option: value' lines",
            "docs/examples has a file for each command",
        )
    known = {parameter.name for parameter in ctx.command.params} - {"config"}
    values = {str(key).replace("-", "_"): value for key, value in content.items()}
    unknown = sorted(set(values) - {str(name) for name in known})
    if unknown:
        raise SettingsError(
            f"{path} has unknown options: {', '.join(unknown)}",
            f"use some of {', '.join(sorted(str(name) for name in known))}",
        )
    ctx.default_map = {
        name: " ".join(str(part) for part in value)
        if isinstance(value, list) and name in ("supercell", "mesh")
        else {True: "yes", False: "no"}.get(value, value)  # what YAML makes of yes and no
        if name == "plus_minus"
        else value
        for name, value in values.items()
    }
    return path


def option_error(error: ValidationError, command: str) -> SettingsError:
    """Say of settings that were refused which options they came from.

    Fields of settings and options of the command must have the same names.
    """
    return SettingsError(
        "; ".join(
            f"--{'-'.join(str(part) for part in problem['loc']).replace('_', '-')}: "
            f"{problem['msg']}, not {problem['input']}"
            for problem in error.errors()
        ),
        f"see {command} --help",
    )


FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(help="Structures: CIF, POSCAR, extxyz or pymatgen JSON."),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="demo (not for science), chgnet, sevennet-0, gfn1-xtb, a MACE .model file, a MACE "
        "foundation name, or module:callable of an ASE calculator.",
    ),
]
HeadOption = Annotated[str | None, typer.Option(help="Head of a multi-head MACE model.")]
DispersionOption = Annotated[
    Literal["none", "d3bj"], typer.Option(help="Dispersion correction (PBE-D3(BJ)).")
]
DeviceOption = Annotated[str, typer.Option(help="torch device.")]
CueqOption = Annotated[
    bool, typer.Option("--cueq", help="Evaluate a MACE model with cuequivariance.")
]
DisplacementOption = Annotated[float, typer.Option(help="Displacement (\u00c5).")]
PlusMinusOption = Annotated[
    Literal["auto", "yes", "no"],
    typer.Option(
        help="Displace both ways: no (one-sided, generic directions), yes, or auto (only where "
        "symmetry needs it; the paper's way, with --displacement 0.001)."
    ),
]
DtypeOption = Annotated[
    Literal["float64", "float32"], typer.Option(help="Precision of the potential.")
]
SymprecOption = Annotated[float, typer.Option(help="Symmetry tolerance (\u00c5).")]
FmaxOption = Annotated[
    float, typer.Option(help="Force threshold of the relaxation (eV/\u00c5).")
]
MaxStepsOption = Annotated[int, typer.Option(help="Most steps of the relaxation.")]
MethodOption = Annotated[
    Literal["auto", "newton", "lbfgs", "precon-lbfgs"],
    typer.Option(
        help="Optimizer of relaxations: second-order steps (newton), L-BFGS (the paper's), "
        "L-BFGS with ASE's preconditioner, or the choice by size (auto: newton up to 1000 "
        "atoms, above preconditioned L-BFGS)."
    ),
]
SymmetryOption = Annotated[
    Literal["follow", "keep", "none"],
    typer.Option(
        help="What newton makes of symmetry: follow negative modes out of it, keep it, or do "
        "neither."
    ),
]
PrimitiveOption = Annotated[bool, typer.Option(help="Reduce to the primitive cell first.")]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(help="Structure check to let pass, by its code; may be repeated."),
]
RerunOption = Annotated[
    bool, typer.Option("--rerun", help="Compute afresh, whatever was computed before.")
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file with options of this command; the command line wins.",
        callback=_load_config,
        is_eager=True,
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="Folder of an embedded store. Default: JOBFLOW_CONFIG_FILE's store, else the "
        "embedded store of the user.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print a machine-readable result on stdout, nothing else."),
]


def set_threads(threads: int | None) -> None:
    """Set the threads of this process; must be called before numpy and torch load.

    Waiting threads sleep instead of spinning: on a machine whose cores are shared, two
    spinning threads were seen to be ten times slower than one (432 atoms: 4.5 s against
    0.4 s), and sleeping ones no slower.
    """
    if threads is not None:
        os.environ["MOFONON_THREADS"] = str(threads)
    from mofonon.settings import get_settings

    count = str(get_settings().threads)
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "RAYON_NUM_THREADS",
    ):
        if threads is not None or name not in os.environ:
            os.environ[name] = count
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """Keep stdout for results: what libraries print goes to stderr, C code included.

    Their warnings about their own future are silenced; what is to be a result is printed
    after the ``with`` block.
    """
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def potential_options(
    model: str,
    head: str | None,
    dispersion: str,
    device: str,
    dtype: str,
    *,
    cueq: bool = False,
) -> dict[str, Any]:
    """Options of the potential as the fields of its spec, with the name in ``model``."""
    return {
        "model": model,
        "head": head,
        "dispersion": None if dispersion == "none" else dispersion,
        "device": device,
        "dtype": dtype,
        "enable_cueq": cueq,
    }


def relax_settings(command: str, **settings: Any) -> RelaxSettings:
    """Make the settings of a relaxation; errors name the options of the command."""
    from pydantic import ValidationError

    from mofonon.lattice.settings import RelaxSettings

    try:
        return RelaxSettings(**settings)
    except ValidationError as error:
        raise option_error(error, command) from None


def phonon_settings(
    command: str, *, supercell: str, plus_minus: str, mesh: str, **settings: Any
) -> PhononSettings:
    """Make the settings of phonons from options; errors name the options of the command."""
    from pydantic import ValidationError

    from mofonon.lattice.settings import PhononSettings, parse_supercell

    points = parse_numbers(mesh)
    if len(points) == 1:
        points *= 3
    if len(points) != 3 or any(point != int(point) for point in points):
        raise SettingsError(f"a mesh cannot be made of {mesh}", "give one or three integers")
    try:
        return PhononSettings(
            supercell=parse_supercell(parse_numbers(supercell)),
            plus_minus="auto" if plus_minus == "auto" else plus_minus == "yes",
            mesh=(int(points[0]), int(points[1]), int(points[2])),
            **settings,
        )
    except ValidationError as error:
        raise option_error(error, command) from None
