"""Settings, launch scripts, replay selection."""

import subprocess

import numpy as np
import pytest
from pydantic import ValidationError

from mofonon.dataset.schemas import DatasetDoc
from mofonon.errors import (
    MissingDependencyError,
    SettingsError,
    TrainingDataError,
    UnknownElementError,
)
from mofonon.potentials import PotentialSpec
from mofonon.training import FineTuneSpec, TrainingSet
from mofonon.training.frames import fitted_energies, read_frames, write_frames
from mofonon.training.launch import BatchScript, Launch
from mofonon.training.mace_config import TrainingFiles, mace_config
from mofonon.training.prepare import LabelledParts, prepare
from mofonon.training.replay import farthest_frames, filter_frames, select_replay
from support.labelled import labelled, small_spec, zinc_cyanide_frames


def test_the_defaults_are_those_of_the_paper(tmp_path):
    spec = FineTuneSpec(replay="mp")
    files = TrainingFiles(*(tmp_path / name for name in "abcde"))
    config = mace_config(spec, files, tmp_path)
    wanted = {
        "energy_weight": 1,
        "forces_weight": 10,
        "stress_weight": 100,
        "lr": 0.005,
        "ema": True,
        "ema_decay": 0.995,
        "batch_size": 8,
        "max_num_epochs": 2500,
        "force_mh_ft_lr": True,
        "multiheads_finetuning": True,
        "foundation_model_elements": True,
        "skip_evaluate_heads": "",
    }
    assert {key: config[key] for key in wanted} == wanted
    assert spec.foundation == "medium-0b"
    assert list(config["heads"]) == ["pbe_d3"]


def test_the_learning_rate_falls_on_plateaus_or_in_every_epoch(tmp_path):
    files = TrainingFiles(*(tmp_path / name for name in "abcde"))
    plateau = mace_config(FineTuneSpec(replay="mp"), files, tmp_path)
    assert plateau["scheduler"] == "ReduceLROnPlateau"
    decaying = mace_config(FineTuneSpec(replay="mp", lr_decay=0.9), files, tmp_path)
    assert decaying["scheduler"] == "ExponentialLR"
    assert decaying["lr_scheduler_gamma"] == 0.9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "naive", "replay": "mp"}, "naive training has no replay"),
        ({"replay": "mp", "head": "pt_head"}, "cannot be called pt_head"),
        ({"mode": "naive", "foundation": None}, "needs a foundation"),
        ({"mode": "scratch", "foundation": None}, "no foundation to take E0s from"),
        ({"mode": "naive", "E0s": "fit"}, "fitted E0s shift"),
        ({"mode": "naive", "E0s": {"Xx": 1.0}}, "no elements"),
        ({"mode": "naive", "architecture": {}}, "architecture of its foundation"),
    ],
)
def test_combinations_that_make_no_sense(fields, message):
    with pytest.raises((SettingsError, ValidationError), match=message):
        FineTuneSpec(**fields)


def test_an_option_of_mace_that_the_spec_decides_is_refused(dataset):
    spec = small_spec(dataset, mace={"lr": 0.1, "amsgrad": True})
    with pytest.raises(SettingsError, match="mace options that the spec decides: lr"):
        prepare(spec, LabelledParts.load(dataset))


def test_the_id_of_a_training_is_that_of_its_content(dataset, tmp_path):
    """Not of the file names, nor of where it runs; but of data, seed, foundation."""
    import shutil

    copy = tmp_path / "elsewhere"
    shutil.copytree(dataset, copy)
    data = LabelledParts.load(dataset)
    first = prepare(small_spec(dataset), data).training_id
    assert prepare(small_spec(copy), LabelledParts.load(copy)).training_id == first
    assert prepare(small_spec(dataset, seed=1), data).training_id != first
    frames = read_frames(copy / "train.extxyz")
    frames[0].info["REF_energy"] += 1e-9
    write_frames(copy / "train.extxyz", frames)
    assert prepare(small_spec(copy), LabelledParts.load(copy)).training_id != first


def test_an_element_that_the_foundation_lacks(dataset, tmp_path):
    (frame,) = labelled(zinc_cyanide_frames(1, 9), new_method=False)
    frame.symbols[0] = "Pu"
    for part in ("train", "valid"):
        write_frames(tmp_path / f"{part}.extxyz", [frame] * 4)
    with pytest.raises(UnknownElementError, match="does not know Pu"):
        prepare(small_spec(dataset), LabelledParts.load(tmp_path))


def test_a_folder_without_frames(tmp_path):
    with pytest.raises(TrainingDataError, match=r"no train\.extxyz and no valid\.extxyz"):
        TrainingSet.from_folder(tmp_path)


def test_labels_of_dft_documents_are_taken(dataset):
    """LabelFrame of the dft stage, with the labels in a calculator."""
    from mofonon.dft.schemas import LabelFrame

    frames = read_frames(dataset / "valid.extxyz")
    documents = [
        LabelFrame.from_arrays(
            frame,
            frame.info["REF_energy"],
            frame.arrays["REF_forces"],
            frame.info["REF_stress"].reshape(3, 3),
            mof_id="Zn(CN)2",
            origin="md",
            notice="toy labels",
        )
        for frame in frames
    ]
    parts = LabelledParts.load({"train": documents, "valid": documents, "dataset_id": "abc"})
    assert parts.dataset_id == "abc"
    assert parts.notice == "toy labels"
    for mine, theirs in zip(parts.parts["train"], frames, strict=True):
        assert np.allclose(mine.arrays["REF_forces"], theirs.arrays["REF_forces"])
        assert np.allclose(mine.info["REF_stress"], theirs.info["REF_stress"])


def test_a_dataset_document_and_its_export_train_alike(dataset, tmp_path):
    """Both ways from the dataset stage give the same frames, hence the same training."""
    from mofonon.dataset.extxyz import write_extxyz
    from mofonon.dft.schemas import LabelFrame

    frames = [
        LabelFrame.from_arrays(
            frame,
            frame.info["REF_energy"],
            frame.arrays["REF_forces"],
            frame.info["REF_stress"].reshape(3, 3),
            mof_id="Zn(CN)2",
            origin="md",
        )
        for frame in read_frames(dataset / "train.extxyz")
    ]
    parts = {"train": frames[:6], "valid": frames[6:9], "test": frames[9:]}
    for part, members in parts.items():
        write_extxyz(tmp_path / f"{part}.xyz", members, head="pbe_d3")

    class Document(DatasetDoc):
        def part(self, split, part):
            assert split == "by-mof"
            return parts[part]

    document = Document.model_construct(calculation_id="abc", notice=None)
    of_document = LabelledParts.load(document, "by-mof")
    of_files = LabelledParts.load(tmp_path)
    assert of_document.dataset_id == "abc"
    for part, members in of_document.parts.items():
        for mine, theirs in zip(members, of_files.parts[part], strict=True):
            assert np.allclose(mine.positions, theirs.positions, atol=1e-9)
            assert np.allclose(mine.arrays["REF_forces"], theirs.arrays["REF_forces"])
            assert np.allclose(mine.info["REF_stress"], theirs.info["REF_stress"])
            assert mine.info["REF_energy"] == pytest.approx(theirs.info["REF_energy"])


def test_replay_frames_are_the_farthest_ones(dataset, tmp_path):
    """Two clusters and one outlier: three frames by FPS are one of each; chance would not."""
    base = zinc_cyanide_frames(1, 3)[0]
    frames = []
    for scale, count in ((1.0, 6), (1.06, 6), (0.9, 1)):
        for number in range(count):
            frame = base.copy()
            frame.set_cell(base.cell.array * (scale + 1e-4 * number), scale_atoms=True)
            frames.append(frame)
    done = labelled(frames, new_method=False)
    chosen = farthest_frames(done, 3, PotentialSpec(family="demo"))
    assert sorted(0 if i < 6 else 1 if i < 12 else 2 for i in chosen) == [0, 1, 2]
    write_frames(tmp_path / "all.extxyz", done)
    spec = small_spec(dataset, replay=str(tmp_path / "all.extxyz"), n_replay=3)
    found = select_replay(spec, ["Zn", "C", "N"], PotentialSpec(family="demo"))
    assert found.method == "3 of 13 frames by fps"
    assert len(found.train) + len(found.valid) == 3


def test_replay_filters():
    from ase import Atoms

    frames = [Atoms("ZnO"), Atoms("ZnOH"), Atoms("CO")]

    def kept(name: str) -> list[int]:
        spec = FineTuneSpec(replay="mp", replay_filter=name)
        return [frames.index(f) for f in filter_frames(frames, ["Zn", "O"], spec)]

    assert kept("none") == [0, 1, 2]
    assert kept("combinations") == kept("exclusive") == [0]
    assert kept("inclusive") == [0, 1]


def test_fitted_energies_rebuild_a_sum_over_atoms(dataset):
    frames = read_frames(dataset / "train.extxyz")
    for frame in frames:
        frame.info["REF_energy"] = -3.0 * len(frame)
    found = fitted_energies(frames)
    sums = [sum(found[s] for s in frame.get_chemical_symbols()) for frame in frames]
    assert sums == pytest.approx([-30] * len(frames))


def test_the_launch_of_sixteen_gpus():
    launch = Launch(launcher="slurm", nodes=4, gpus_per_node=4, cpus_per_task=8)
    words = launch.command("config.yaml")
    assert words[0] == "srun"
    assert words[words.index("--ntasks-per-node") + 1] == "4"
    assert words[words.index("--gpus-per-node") + 1] == "4"
    assert "--gpus-per-task" not in " ".join(words)
    assert launch.environment() == {"MASTER_PORT": "33333"}
    assert launch.world_size == 16
    assert launch.describe_batch(8) == "batch 8 on each of 16 process(es), 128 in all"


def test_a_launch_on_several_nodes_needs_slurm():
    with pytest.raises((SettingsError, ValidationError), match="ranks on one node"):
        Launch(launcher="torchrun", nodes=2)
    with pytest.raises((SettingsError, ValidationError), match="need a launcher"):
        Launch(gpus_per_node=2)


def test_a_missing_package_of_the_slurm_launcher(monkeypatch):
    monkeypatch.setattr("mofonon.training.launch.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="python-hostlist"):
        Launch(launcher="slurm", gpus_per_node=4).check({"a": 9}, train=99, batch_size=1)


def test_the_batch_script(tmp_path):
    launch = Launch(launcher="slurm", nodes=4, gpus_per_node=4, cpus_per_task=8)
    text = BatchScript(partition="a100", setup="module load cuda").render(
        launch, ["mofonon", "finetune", "my data"], batch_size=8
    )
    for line in (
        "#SBATCH --nodes=4",
        "#SBATCH --ntasks-per-node=4",
        "#SBATCH --gpus-per-node=4",
        "#SBATCH --signal=B:TERM@180",
        "export MASTER_PORT=33333",
        "# batch 8 on each of 16 process(es), 128 in all",
        "mofonon finetune 'my data' &",
    ):
        assert line in text.splitlines()
    path = tmp_path / "job.sh"
    path.write_text(text)
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_the_batch_script_hands_the_signal_on(tmp_path):
    """Run by bash: SIGTERM to the script reaches the training, whose exit is waited for."""
    import os
    import signal
    import time

    child = tmp_path / "mofonon"
    child.write_text(
        "#!/bin/bash\ntrap 'sleep 0.3; echo stopped > said; exit 1' TERM\necho up > up\n"
        "while true; do sleep 0.05; done\n"
    )
    child.chmod(0o755)
    script = tmp_path / "job.sh"
    launch = Launch(launcher="slurm", gpus_per_node=2)
    script.write_text(BatchScript(requeue=False).render(launch, [str(child)], batch_size=1))
    process = subprocess.Popen(["bash", str(script)], cwd=tmp_path, env={**os.environ})
    deadline = time.monotonic() + 20
    while not (tmp_path / "up").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 1
    assert (tmp_path / "said").read_text() == "stopped\n"
