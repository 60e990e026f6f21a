"""Potentials against labels: groups, dispersion, alignment, speed, figures."""

import numpy as np
import pytest

from mofonon.errors import SettingsError, UnknownElementError
from mofonon.potentials import PotentialSpec
from mofonon.training.evaluation import DISPERSION_LINE, evaluate, load_sets, spaced
from mofonon.training.evaluation_schemas import EvaluationSettings
from mofonon.training.frames import read_frames
from mofonon.training.naming import parse_potential
from support.labelled import FACTOR, labelled, zinc_cyanide_frames

DEMO = PotentialSpec(family="demo")


@pytest.fixture(scope="module")
def evaluation(dataset):
    sets = load_sets({"train": dataset / "train.extxyz", "test": dataset / "test.extxyz"})
    potentials = {"demo": DEMO, "demo + D3": DEMO.model_copy(update={"dispersion": "d3bj"})}
    return evaluate(potentials, sets, EvaluationSettings(speed_frames=1, speed_repeats=1))


def test_errors_are_those_that_the_labels_were_made_with(evaluation, dataset):
    """The labels are the demo model's forces times 1.2."""
    labels = np.concatenate(
        [f.arrays["REF_forces"] for f in read_frames(dataset / "test.extxyz")]
    )
    wanted = 1e3 * (1 - 1 / FACTOR) * np.sqrt(np.mean(labels**2))
    assert evaluation.get("demo", "test").all.forces.rmse == pytest.approx(wanted, rel=1e-5)


def test_groups_by_mof_and_origin_rebuild_the_set(evaluation):
    entry = evaluation.get("demo", "train")
    for kind in ("mof", "origin"):
        groups = [g.errors for g in entry.groups if g.kind == kind]
        assert sum(g.n_frames for g in groups) == entry.all.n_frames == 12
        squares = sum(g.forces.rmse**2 * g.forces.n for g in groups)
        assert squares == pytest.approx(entry.all.forces.rmse**2 * entry.all.forces.n)
    assert {g.value for g in entry.groups if g.kind == "origin"} == {"md", "rattle"}


def test_dispersion_has_its_own_line_of_time(evaluation):
    lines = {line.potential: line for line in evaluation.speed}
    assert set(lines) == {"demo", "demo + D3", DISPERSION_LINE}
    assert lines["demo"].relative == 1
    assert lines["demo + D3"].seconds_per_atom > lines[DISPERSION_LINE].seconds_per_atom > 0


def test_the_stand_in_is_named(evaluation):
    assert "not for science" in (evaluation.notice or "")


def test_alignment_is_asked_for_and_said():
    frames = labelled(zinc_cyanide_frames(4, 5), new_method=False)
    for frame in frames:
        frame.info["REF_energy"] += 7.0
    settings = EvaluationSettings(align=True, speed_frames=0)
    aligned = evaluate({"demo": DEMO}, {"all": frames}, settings)
    plain = evaluate({"demo": DEMO}, {"all": frames}, EvaluationSettings(speed_frames=0))
    assert plain.get("demo", "all").all.energy.rmse == pytest.approx(7000)
    assert aligned.get("demo", "all").all.energy.rmse < 1e-3
    shifts = aligned.potentials[0].energy_shifts or {}
    assert 2 * shifts["Zn"] + 4 * shifts["C"] + 4 * shifts["N"] == pytest.approx(7)
    assert "shifted by element" in aligned.warnings[0]
    assert not plain.warnings


def test_an_unknown_element_stops_before_anything_is_computed():
    (frame,) = labelled(zinc_cyanide_frames(1, 5), new_method=False)
    frame.symbols[0] = "Pu"
    with pytest.raises(UnknownElementError, match=r"odd: .* does not know Pu"):
        evaluate({"demo": DEMO}, {"odd": [frame]})


def test_spaced_frames():
    assert spaced(list(range(10)), 4) == [0, 3, 6, 9]
    assert spaced([1, 2], 5) == [1, 2]


@pytest.mark.parametrize(
    ("text", "name", "dispersion", "head"),
    [
        ("demo", "distilled demo model (not for science) + D3(BJ)", "d3bj", None),
        ("a=demo+none", "a", None, None),
        ("b=sevennet-0", "b", "d3bj", None),
        ("c=demo@Default+d3bj", "c", "d3bj", "Default"),
        ("d=ase.calculators.emt:EMT", "d", None, None),
    ],
)
def test_names_of_potentials(text, name, dispersion, head):
    title, spec, _ = parse_potential(text)
    assert (title, spec.dispersion, spec.head) == (name, dispersion, head)


def test_a_potential_that_cannot_be_understood():
    with pytest.raises(SettingsError, match="'d4' is no dispersion"):
        parse_potential("demo+d4")


def test_figures_are_drawn(evaluation, tmp_path):
    from matplotlib.image import imread

    from mofonon.report.evaluation import write_parity

    paths = write_parity(evaluation, tmp_path)
    assert [path.name for path in paths] == [
        "evaluation-train-parity.png",
        "evaluation-test-parity.png",
    ]
    assert imread(paths[0]).std() > 0.01
