"""``mofonon evaluate``: potentials against labelled frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mofonon.cli.options import (
    ConfigOption,
    DeviceOption,
    DtypeOption,
    JsonOption,
    RerunOption,
    StoreOption,
    ThreadsOption,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError


def evaluate(
    potentials: Annotated[
        list[str] | None,
        typer.Argument(
            help="Potentials: [NAME=]MODEL[@HEAD][+d3bj|+none], MODEL as for --model of the "
            "other commands or sha256:... of a trained one."
        ),
    ] = None,
    frames: Annotated[
        list[str] | None,
        typer.Option(
            "--frames", "-f", help="Labelled frames: [NAME=]FILE (extxyz); may be repeated."
        ),
    ] = None,
    dispersion: Annotated[
        Literal["auto", "none"],
        typer.Option(
            help="auto adds D3(BJ) to potentials known to be trained without it; none: only "
            "where +d3bj is written."
        ),
    ] = "auto",
    align: Annotated[
        bool, typer.Option(help="Align reference energies by a fit to the compositions.")
    ] = False,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="At most so many frames of each set.")
    ] = None,
    speed_frames: Annotated[
        int, typer.Option(min=0, help="Frames that speed is measured on; 0 for none.")
    ] = 3,
    by: Annotated[
        Literal["all", "mof", "origin", "split", "element"],
        typer.Option(help="Groups of the table; the document has all."),
    ] = "all",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float64",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of figures and table.")
    ] = Path("mofonon-evaluate"),
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare potentials with labels: errors, parity figures, speed, on the same frames.

    In-sample and out-of-sample frames side by side: --frames train=... --frames test=...
    """
    del config
    set_threads(threads)
    if not potentials or not frames:
        raise SettingsError(
            "potentials and labelled frames are needed",
            "mofonon evaluate POTENTIAL... --frames test=FILE",
        )
    with stdout_for_results():
        from mofonon.cli import evaluate_runs

        finished = evaluate_runs.run(
            potentials,
            frames,
            evaluate_runs.RunOptions(
                dispersion=dispersion,
                settings={
                    "align": align,
                    "max_frames": max_frames,
                    "speed_frames": speed_frames,
                },
                device=device,
                dtype=dtype,
                output=output,
                rerun=rerun,
            ),
            store,
        )
    if as_json:
        typer.echo(finished.as_json())
    else:
        finished.print_tables(by)
