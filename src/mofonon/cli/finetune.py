"""``mofonon finetune``: train a MACE potential on labelled frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mofonon.cli.options import (
    ConfigOption,
    JsonOption,
    RerunOption,
    StoreOption,
    ThreadsOption,
    option_error,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.training.launch import Launch
    from mofonon.training.spec import FineTuneSpec


def finetune(
    dataset: Annotated[
        Path | None,
        typer.Argument(help="Folder with train, valid and test (.extxyz or .xyz)."),
    ] = None,
    foundation: Annotated[
        str, typer.Option(help="Model to start from: demo, a .model file, a foundation name.")
    ] = "medium-0b",
    foundation_head: Annotated[
        str | None, typer.Option(help="Head of a foundation with several.")
    ] = None,
    mode: Annotated[
        Literal["multihead", "naive", "scratch"], typer.Option(help="How to train.")
    ] = "multihead",
    head: Annotated[str, typer.Option(help="Name of the new head.")] = "pbe_d3",
    replay: Annotated[
        str | None, typer.Option(help="Replay set: an extxyz file, or mp for MPtrj.")
    ] = None,
    n_replay: Annotated[
        int | None, typer.Option(help="Replay frames to choose; all if left out.")
    ] = None,
    replay_selection: Annotated[
        Literal["fps", "random"], typer.Option(help="How they are chosen.")
    ] = "fps",
    replay_filter: Annotated[
        Literal["none", "combinations", "exclusive", "inclusive"],
        typer.Option(help="Replay frames by their elements against those of the new data."),
    ] = "combinations",
    replay_weight: Annotated[
        float, typer.Option(help="Weight of a replay frame in the loss.")
    ] = 1.0,
    energy_weight: Annotated[float, typer.Option(help="Weight of energies.")] = 1.0,
    forces_weight: Annotated[float, typer.Option(help="Weight of forces.")] = 10.0,
    stress_weight: Annotated[float, typer.Option(help="Weight of stresses.")] = 100.0,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.005,
    lr_decay: Annotated[
        float | None,
        typer.Option(help="Its factor in every epoch; on plateaus alone if left out."),
    ] = None,
    ema_decay: Annotated[float, typer.Option(help="Decay of the averaged weights.")] = 0.995,
    batch_size: Annotated[int, typer.Option(help="Frames of a batch on each rank.")] = 8,
    valid_batch_size: Annotated[int, typer.Option(help="The same for validation.")] = 8,
    max_epochs: Annotated[int, typer.Option(help="Passes over the data.")] = 2500,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without improvement before stopping.")
    ] = None,
    e0s: Annotated[
        str,
        typer.Option(
            "--E0s", help="foundation, fit (from scratch), or {element: eV} as YAML or JSON."
        ),
    ] = "foundation",
    keep_elements: Annotated[
        bool, typer.Option(help="Keep all elements of the foundation.")
    ] = True,
    dtype: Annotated[
        Literal["float64", "float32"], typer.Option(help="Precision.")
    ] = "float64",
    device: Annotated[Literal["cpu", "cuda", "xpu"], typer.Option(help="Device.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed.")] = 2025,
    with_dispersion: Annotated[
        bool, typer.Option(help="Whether the labels contain dispersion.")
    ] = True,
    launcher: Annotated[
        Literal["none", "torchrun", "slurm"], typer.Option(help="Starter of several processes.")
    ] = "none",
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.")] = 1,
    gpus_per_node: Annotated[
        int, typer.Option(min=1, help="Processes on each node, each with a GPU.")
    ] = 1,
    cpus_per_task: Annotated[int | None, typer.Option(help="Cores of each process.")] = None,
    master_port: Annotated[int, typer.Option(help="Port where ranks meet.")] = 33333,
    partition: Annotated[
        str | None, typer.Option(help="SLURM partition, for --dry-run.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="SLURM account, for --dry-run.")] = None,
    walltime: Annotated[str, typer.Option(help="SLURM wall time, for --dry-run.")] = "24:00:00",
    name: Annotated[str, typer.Option(help="Name of the model.")] = "fine-tuned",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of model, card and figure.")
    ] = Path("mofonon-finetune"),
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print mace's options and the SLURM script; start nothing."
        ),
    ] = False,
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Fine-tune a MACE foundation on labelled frames; the defaults are the paper's.

    Elena et al., npj Comput. Mater. 11, 125 (2025). What mace did is checked against what was
    asked for; a difference is an error. A run that was stopped (also by SLURM's wall time) goes
    on when the same command is given again, and a finished training is not repeated.
    """
    given = dict(locals())
    set_threads(threads)
    if dataset is None:
        raise SettingsError("no data set was given", "mofonon finetune FOLDER")
    with stdout_for_results():
        from mofonon.cli import finetune_runs

        spec, launch = _settings(given)
        run = finetune_runs.FineTuneRun(
            dataset=dataset.resolve(),
            spec=spec,
            launch=launch,
            name=name,
            with_dispersion=with_dispersion,
            output=output,
        )
        text = (
            run.dry_run(walltime=walltime, partition=partition, account=account, config=config)
            if dry_run
            else run.execute(store, rerun=rerun, as_json=as_json)
        )
    typer.echo(text)


def _settings(given: dict[str, Any]) -> tuple[FineTuneSpec, Launch]:
    """Make spec and launch of the options that have their names."""
    import yaml
    from pydantic import ValidationError

    from mofonon.training.launch import Launch
    from mofonon.training.spec import FineTuneSpec

    values = {key: value for key, value in given.items() if key in FineTuneSpec.model_fields}
    if given["mode"] == "scratch":
        values["foundation"] = None
    values["E0s"] = yaml.safe_load(given["e0s"])
    if given["replay"] is not None and Path(given["replay"]).is_file():
        values["replay"] = str(Path(given["replay"]).resolve())
    processes = {key: value for key, value in given.items() if key in Launch.model_fields}
    try:
        return FineTuneSpec(**values), Launch(**processes)
    except ValidationError as error:
        raise option_error(error, "mofonon finetune") from None
