"""Settings of phonons: supercells, meshes and what is refused."""

import numpy as np
import pytest

from mofonon.errors import SettingsError
from mofonon.lattice.settings import PhononSettings, RelaxSettings, parse_supercell


def test_the_defaults_are_the_papers_but_for_displacements():
    settings = PhononSettings()
    assert settings.supercell == ((2, 0, 0), (0, 2, 0), (0, 0, 2))
    assert settings.displacement == 1e-6
    assert settings.plus_minus is False
    assert settings.mesh == (11, 11, 11)
    assert settings.symprec == 1e-5
    assert settings.dos_pitch == 0.01
    assert RelaxSettings().fmax == 1e-6


@pytest.mark.parametrize(
    ("numbers", "matrix"),
    [
        ([2, 2, 2], [[2, 0, 0], [0, 2, 0], [0, 0, 2]]),
        ([1, 2, 3], [[1, 0, 0], [0, 2, 0], [0, 0, 3]]),
        ([-1, 1, 1, 1, -1, 1, 1, 1, -1], [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),
    ],
)
def test_supercell_from_numbers(numbers, matrix):
    settings = PhononSettings(supercell=parse_supercell(numbers))
    assert settings.supercell_matrix(np.eye(3)).tolist() == matrix
    assert PhononSettings(supercell=tuple(numbers)) == settings


@pytest.mark.parametrize("length", [10.0, 12.5, 21.0])
def test_a_length_is_the_least_distance_between_faces(length):
    cell = np.array([[6.0, 0, 0], [3.0, 5.0, 0], [1.0, 2.0, 7.0]])
    matrix = PhononSettings(supercell=length).supercell_matrix(cell)
    heights = 1 / np.linalg.norm(np.linalg.inv(matrix @ cell), axis=0)
    assert (heights >= length - 1e-6).all()
    for axis in range(3):
        if matrix[axis, axis] > 1:
            smaller = matrix.copy()
            smaller[axis, axis] -= 1
            less = 1 / np.linalg.norm(np.linalg.inv(smaller @ cell), axis=0)
            assert less[axis] < length


@pytest.mark.parametrize("numbers", [[0], [0, 0, 0], [2, 0, 2], [0] * 9, [-2, 2, 2]])
def test_a_supercell_without_volume_is_refused(numbers):
    with pytest.raises(SettingsError, match="has no positive volume"):
        PhononSettings(supercell=parse_supercell(numbers))


def test_a_single_small_number_was_meant_as_a_repetition():
    with pytest.raises(SettingsError, match="for a repetition give three integers"):
        PhononSettings(supercell=parse_supercell([2]))


@pytest.mark.parametrize("numbers", [[2, 2], [2.5, 2, 2], []])
def test_other_counts_of_numbers_are_refused(numbers):
    with pytest.raises(SettingsError, match="cannot be made of"):
        parse_supercell(numbers)


def test_settings_survive_json():
    settings = PhononSettings(supercell=12.0, plus_minus=False)
    assert PhononSettings.model_validate_json(settings.model_dump_json()) == settings
