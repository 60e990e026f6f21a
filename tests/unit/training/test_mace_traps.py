"""What mace 0.3.16 does silently: each trap is sprung in mace itself, and caught.

mace is run as far as its optimizer (``--dry_run``) on the configuration that we render, with
the guard taken out of it; the check of the effective settings must refuse the log.
"""

import logging
from pathlib import Path

import pytest
import torch
import yaml

from mofonon.errors import (
    SettingsError,
    TrainingDataError,
    TrainingMismatchError,
    UnknownHeadError,
)
from mofonon.training import FineTuneSpec
from mofonon.training.effective import EffectiveSettings, check_error_table
from mofonon.training.frames import FRAME_WEIGHTS, read_frames, write_frames
from mofonon.training.launch import Launch
from mofonon.training.mace_files import head_energies
from mofonon.training.prepare import LabelledParts, prepare
from support.labelled import small_spec


def dry_run(config: dict, folder: Path, monkeypatch) -> str:
    """Log of mace up to the start of training, run in this process."""
    from mace import tools
    from mace.cli.run_train import run

    monkeypatch.chdir(folder)
    file = folder / "dry.yaml"
    file.write_text(yaml.safe_dump(config))
    log = folder / "dry.log"
    root, dtype = logging.getLogger(), torch.get_default_dtype()
    handlers, level = list(root.handlers), root.level
    capture = logging.FileHandler(log)
    capture.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    monkeypatch.setattr(tools, "setup_logger", lambda **_: root.addHandler(capture))
    root.setLevel(logging.INFO)
    try:
        run(tools.build_default_arg_parser().parse_args(["--config", str(file), "--dry_run"]))
    finally:
        capture.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        torch.set_default_dtype(dtype)
    return log.read_text()


@pytest.fixture
def ready(dataset, tmp_path):
    return prepare(small_spec(dataset), LabelledParts.load(dataset))


@pytest.mark.slow
def test_the_configuration_as_rendered_passes(ready, tmp_path, monkeypatch):
    found = EffectiveSettings.from_log(dry_run(ready.config, tmp_path, monkeypatch))
    ready.expected.check_log(found)
    assert (found.lr, found.ema_decay, found.multihead) == (0.002, 0.9, True)


def _without(*names):
    return lambda config, folder: [config.pop(name) for name in names]


def _with(**values):
    return lambda config, folder: config.update(values)


def _own_replay_options(config, folder):
    """The replay set as a path together with mace's options of selection."""
    config.update(num_samples_pt=5, subselect_pt="fps", filter_type_pt="none")
    every = read_frames(config["pt_train_file"]) + read_frames(config["pt_valid_file"])
    config["pt_train_file"] = str(write_frames(folder / "all.extxyz", every))


def _one_stress_less(config, folder):
    frames = read_frames(config["heads"]["pbe_d3"]["train_file"])
    del frames[3].info["REF_stress"]
    path = write_frames(folder / "holes.extxyz", frames)
    config["heads"]["pbe_d3"]["train_file"] = str(path)


def _another_head_last(config, folder):
    config["heads"]["zz"] = dict(config["heads"]["pbe_d3"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trap", "message"),
    [
        (_without("force_mh_ft_lr"), r"lr is 0\.0001, not 0\.002; ema_decay is 0\.99999"),
        (_without("pt_train_file"), r"multihead is False, not True.*heads is \['pbe_d3'\]"),
        (_own_replay_options, r"train_frames is .*'pt_head': 12.*, not .*'pt_head': 11"),
        (_without("pt_valid_file"), r"train_frames is .*'pt_head': 10"),
        (_with(foundation_model_elements=False), r"elements is \[6, 7, 30\]"),
        (_with(real_pt_data_ratio_threshold=3.0), r"train_frames is .*'pbe_d3': (24|36)"),
        (_one_stress_less, r"train_stresses is .*'pbe_d3': 11"),
        (_another_head_last, r"heads is \['pt_head', 'pbe_d3', 'zz'\]"),
        (_with(batch_size=2), r"batch_size is 2, not 4"),
        (_with(forces_weight=100.0), r"forces_weight is 100\.0, not 10\.0"),
    ],
    ids=[
        "lr and ema changed",
        "falls to one head",
        "path ignores selection",
        "replay split at random",
        "elements dropped",
        "frames repeated",
        "stress left out",
        "checkpoints by another head",
        "batch",
        "weights",
    ],
)
def test_a_trap_is_caught(ready, tmp_path, monkeypatch, trap, message):
    trap(ready.config, tmp_path)
    log = dry_run(ready.config, tmp_path, monkeypatch)
    with pytest.raises(TrainingMismatchError, match=message):
        ready.expected.check_log(EffectiveSettings.from_log(log))


@pytest.mark.slow
def test_another_loss_is_caught(dataset, tmp_path, monkeypatch):
    spec = small_spec(dataset, mode="naive", replay=None)
    naive = prepare(spec, LabelledParts.load(dataset))
    log = dry_run(naive.config | {"loss": "weighted"}, tmp_path, monkeypatch)
    with pytest.raises(TrainingMismatchError, match="the loss is WeightedEnergyForcesLoss"):
        naive.expected.check_log(EffectiveSettings.from_log(log))


def test_a_log_that_shows_nothing_is_refused(ready):
    with pytest.raises(TrainingMismatchError, match=r"lr is None, not 0\.002"):
        ready.expected.check_log(EffectiveSettings.from_log("INFO: MACE version: 9.9.9\n"))


@pytest.mark.slow
def test_an_energy_of_zero_for_an_absent_element_is_caught(trained, tmp_path):
    """``average`` gives zero to elements that a head lacks."""
    from mofonon.potentials.mace_files import load_mace

    path = trained.prepared.folder.model
    trained.prepared.expected.check_model(path)
    model = load_mace(path, "cpu")
    model.atomic_energies_fn.atomic_energies[1, 0] = 0.0
    torch.save(model, tmp_path / "zero.model")
    with pytest.raises(TrainingMismatchError, match="E0 of H in head pbe_d3 is 0 eV"):
        trained.prepared.expected.check_model(tmp_path / "zero.model")


def test_average_energies_and_incomplete_ones_are_refused(dataset):
    with pytest.raises(ValueError, match="foundation"):
        small_spec(dataset, E0s="average")
    partial = small_spec(dataset, E0s={"Zn": -1.0, "C": -8.0, "N": -7.0})
    with pytest.raises(TrainingDataError, match=r"E0s lack H, O, .*; mace would take 0 eV"):
        prepare(partial, LabelledParts.load(dataset))


@pytest.mark.slow
def test_a_replay_head_left_out_of_the_errors_is_caught(trained):
    log = trained.prepared.folder.log_text()
    check_error_table(log, trained.prepared.expected.spec)
    hidden = "\n".join(line for line in log.splitlines() if "_pt_head " not in line)
    with pytest.raises(TrainingMismatchError, match="no errors of train_pt_head"):
        check_error_table(hidden, trained.prepared.expected.spec)


def test_no_replay_set_is_an_error():
    with pytest.raises(SettingsError, match="needs a replay set"):
        FineTuneSpec(foundation="demo")


def test_more_replay_than_there_is_is_an_error(dataset):
    """Mace would fill up with frames that do not pass the filter."""
    spec = small_spec(dataset, n_replay=50)
    with pytest.raises(TrainingDataError, match="12 frames of the replay set"):
        prepare(spec, LabelledParts.load(dataset))


def test_the_weight_of_replay_frames_is_the_one_that_mace_reads(dataset):
    """``weight_pt_head`` and ``config_weight`` do nothing; these weights reach the loss."""
    from mace.data import KeySpecification
    from mace.data.utils import config_from_atoms

    spec = small_spec(dataset, replay_weight=0.25)
    ready = prepare(spec, LabelledParts.load(dataset))
    frames = read_frames(ready.config["pt_train_file"])
    keys = KeySpecification.from_defaults()
    weights = config_from_atoms(frames[0], keys).property_weights
    assert [weights[name] for name in ("energy", "forces", "stress")] == [0.25] * 3
    assert "weight_pt_head" not in ready.config
    with pytest.raises(SettingsError, match="weight_pt_head"):
        prepare(small_spec(dataset, mace={"weight_pt_head": 3.0}), LabelledParts.load(dataset))


def test_a_config_weight_is_refused(dataset, tmp_path):
    frames = read_frames(dataset / "train.extxyz")
    frames[0].info["config_weight"] = 3.0
    write_frames(tmp_path / "weighted.extxyz", frames)
    with pytest.raises(
        TrainingDataError, match="config_weight other than 1, which has no effect"
    ):
        read_frames(tmp_path / "weighted.extxyz")
    assert all(name.startswith("config_") for name in FRAME_WEIGHTS)


def test_isolated_atoms_that_would_replace_the_energies_are_refused(dataset, tmp_path):
    frames = read_frames(dataset / "train.extxyz")
    frames[0].info["config_type"] = "IsolatedAtom"
    write_frames(tmp_path / "isolated.extxyz", frames)
    with pytest.raises(TrainingDataError, match="IsolatedAtom"):
        read_frames(tmp_path / "isolated.extxyz")


def test_incomplete_stresses_are_refused(dataset, tmp_path):
    frames = read_frames(dataset / "train.extxyz")
    del frames[0].info["REF_stress"]
    write_frames(tmp_path / "holes.extxyz", frames)
    with pytest.raises(TrainingDataError, match="1 of 12 frames have no stress"):
        read_frames(tmp_path / "holes.extxyz")


def test_a_validation_set_smaller_than_the_ranks_is_refused():
    """Mace would print loss=nan and exit with 0."""
    launch = Launch(launcher="torchrun", gpus_per_node=4)
    with pytest.raises(TrainingDataError, match="head pt_head has 3 frames for 4 processes"):
        launch.check({"a": 8, "pt_head": 3}, train=100, batch_size=2)


def test_less_than_one_batch_is_refused():
    """Mace drops the last incomplete batch, and would train on nothing."""
    with pytest.raises(TrainingDataError, match="do not fill one batch of 8"):
        Launch().check({"a": 4}, train=7, batch_size=8)


@pytest.mark.slow
def test_a_wrong_head_of_a_fine_tuned_model_is_an_error(trained):
    """MACECalculator only warns, and takes the last head."""
    from mofonon.potentials import PotentialSpec, make_calculator

    path = str(trained.prepared.folder.model)
    with pytest.raises(UnknownHeadError, match="has no head 'pbe'"):
        make_calculator(PotentialSpec(family="mace", model=path, head="pbe"))
    with pytest.raises(UnknownHeadError, match="has several heads"):
        make_calculator(PotentialSpec(family="mace", model=path))


@pytest.mark.slow
def test_a_foundation_with_several_heads_needs_one_named(trained, dataset):
    """Mace would take the first one that is not its replay head."""
    spec = small_spec(dataset, foundation=str(trained.prepared.folder.model))
    with pytest.raises(UnknownHeadError, match="has several heads"):
        prepare(spec, LabelledParts.load(dataset))
    named = prepare(
        spec.model_copy(update={"foundation_head": "pbe_d3"}), LabelledParts.load(dataset)
    )
    assert named.config["foundation_head"] == "pbe_d3"
    model = torch.load(trained.prepared.folder.model, weights_only=False)
    own = head_energies(model)["pbe_d3"]["C"]
    assert named.expected.energies["pt_head"]["C"] == pytest.approx(own)
