"""Quarantine and duplicates: each reason by a frame made for it."""

import numpy as np
import pytest
from ase.build import bulk

from mofonon.dft.quarantine import quarantined, reason_counts, without_duplicates
from mofonon.dft.schemas import LabelFrame, QuarantineSettings


def frame(energy_per_atom=-3.0, force=0.1, shift=0.0, **fields) -> LabelFrame:
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.positions[0, 0] += shift
    forces = np.zeros((len(atoms), 3))
    forces[0, 2] = force
    return LabelFrame.from_arrays(
        atoms, energy_per_atom * len(atoms), forces, np.zeros((3, 3)),
        **{"mof_id": "salt", "origin": "md", **fields},
    )  # fmt: skip


def reasons(frames, **settings):
    judged = quarantined(frames, QuarantineSettings(**settings))
    return [[reason.partition(":")[0] for reason in one.quarantine] for one in judged]


def test_a_good_frame_is_good():
    assert reasons([frame()]) == [[]]


def test_each_reason():
    frames = [
        frame(electronic_converged=False, n_electronic_steps=100),
        frame(force=60.0),
        frame(shift=2.0),
        frame(energy_per_atom=float("nan")),
    ]
    judged = quarantined(frames)
    assert reasons(frames) == [["electronic steps"], ["force"], ["overlap"], ["not finite"]]
    assert "100 steps" in judged[0].quarantine[0]
    assert "60.0 eV/A, above 50" in judged[1].quarantine[0]
    assert reason_counts(judged) == {
        "electronic steps": 1, "force": 1, "not finite": 1, "overlap": 1,
    }  # fmt: skip
    assert frames[0].quarantine == [], "the frames given are not changed"


def test_an_energy_outlier_needs_both_thresholds():
    energies = [-3.0, -3.01, -2.99, -3.02, -2.98, -3.0, -1.5]
    frames = [frame(energy_per_atom=energy) for energy in energies]
    assert reasons(frames) == [[]] * 6 + [["energy"]]
    assert reasons(frames, energy_floor=2.0) == [[]] * 7
    assert reasons(frames, energy_deviations=1000.0) == [[]] * 7
    wide = [frame(energy_per_atom=-3.0 + 0.5 * n) for n in range(7)]
    assert reasons(wide) == [[]] * 7, "a wide spread is not an outlier"


def test_bad_frames_do_not_move_the_median():
    """Seven unconverged frames at -30 eV/atom would make five good ones outliers."""
    bad = [frame(energy_per_atom=-30.0, electronic_converged=False) for _ in range(7)]
    good = [frame(energy_per_atom=-3.0 - 0.01 * n) for n in range(5)]
    assert reasons(bad + good) == [["electronic steps"]] * 7 + [[]] * 5


def test_few_frames_have_no_outliers():
    assert reasons([frame(), frame(), frame(energy_per_atom=40.0)]) == [[], [], []]


@pytest.mark.parametrize(("shift", "kept"), [(5e-5, 1), (2e-4, 2)])
def test_duplicates_within_the_distance(shift, kept):
    assert len(without_duplicates([frame(), frame(shift=shift)], 1e-4)) == kept


def test_a_periodic_image_is_a_duplicate():
    assert len(without_duplicates([frame(), frame(shift=5.6)], 1e-4)) == 1


def test_the_converged_one_of_duplicates_is_kept():
    bad = frame(electronic_converged=False, energy_per_atom=-9.0)
    kept = without_duplicates([bad, frame(), frame(energy_per_atom=-3.5)])
    assert [one.energy_per_atom for one in kept] == [-3.0]


def test_another_cell_is_no_duplicate():
    strained = frame()
    strained.lattice = (np.array(strained.lattice) * 1.001).tolist()
    assert len(without_duplicates([frame(), strained])) == 2
