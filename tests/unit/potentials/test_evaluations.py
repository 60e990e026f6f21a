"""Evaluation logs: restarts to the last digit, torn files, counting."""

import errno

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mofonon.errors import CheckpointError
from mofonon.lattice.relax import relax
from mofonon.potentials import EvaluationLog, LoggedCalculator
from mofonon.potentials.evaluations import evaluation_key


class _Dying(EMT):
    """EMT that is killed after so many evaluations."""

    def __init__(self, allowed):
        super().__init__()
        self.left = allowed

    def calculate(self, *arguments, **keywords):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        super().calculate(*arguments, **keywords)


def _crystal():
    atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
    atoms.rattle(0.02, seed=2)
    return atoms


@pytest.mark.parametrize(
    ("method", "allowed"), [("lbfgs", 1), ("lbfgs", 17), ("newton", 1), ("newton", 7)]
)
def test_a_killed_relaxation_goes_on_to_the_same_last_digit(tmp_path, method, allowed):
    whole = relax(_crystal(), EMT(), 1e-6, method=method)
    path = tmp_path / "log"
    with EvaluationLog(path) as log, pytest.raises(KeyboardInterrupt):
        relax(_crystal(), LoggedCalculator(_Dying(allowed), log), 1e-6, method=method)
    with EvaluationLog(path) as log:
        assert len(log) == allowed
        calculator = LoggedCalculator(EMT(), log)
        again = relax(_crystal(), calculator, 1e-6, method=method)
    assert calculator.n_computed == whole.n_force_evaluations - allowed
    assert again.n_force_evaluations == whole.n_force_evaluations
    assert np.array_equal(again.atoms.positions, whole.atoms.positions)
    assert np.array_equal(again.atoms.cell.array, whole.atoms.cell.array)
    assert again.energy == whole.energy


def test_a_finished_calculation_needs_no_potential(tmp_path):
    with EvaluationLog(tmp_path / "log") as log:
        first = relax(_crystal(), LoggedCalculator(EMT(), log), 1e-6)

    def fail():
        raise AssertionError("the model was loaded")

    with EvaluationLog(tmp_path / "log") as log:
        again = relax(_crystal(), LoggedCalculator(fail, log), 1e-6)
    assert again.energy == first.energy


@pytest.mark.parametrize("cut", [1, 20, 60, 100])
def test_a_torn_record_is_dropped_and_the_rest_kept(tmp_path, cut):
    path = tmp_path / "log"
    payloads = [np.arange(10.0) + i for i in range(3)]
    with EvaluationLog(path) as log:
        for i, payload in enumerate(payloads):
            log.put(bytes([i]) * 32, payload)
    path.write_bytes(path.read_bytes()[:-cut])
    with EvaluationLog(path) as log:
        assert len(log) == 2
        assert np.array_equal(log.get(bytes([1]) * 32), payloads[1])
        assert log.get(bytes([2]) * 32) is None
        log.put(bytes([2]) * 32, payloads[2])
    with EvaluationLog(path) as log:
        assert np.array_equal(log.get(bytes([2]) * 32), payloads[2])


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "log"
    with EvaluationLog(path) as log:
        log.put(b"a" * 32, np.ones(10))
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    with EvaluationLog(path) as log:
        assert log.get(b"a" * 32) is None


def test_another_kind_of_file_is_left_alone(tmp_path):
    path = tmp_path / "log"
    path.write_text("something precious")
    with pytest.raises(CheckpointError, match="is not an evaluation log"):
        EvaluationLog(path)
    assert path.read_text() == "something precious"


def test_two_processes_do_not_compute_the_same(tmp_path):
    with (
        EvaluationLog(tmp_path / "log"),
        pytest.raises(CheckpointError, match="another process is computing the same"),
    ):
        EvaluationLog(tmp_path / "log")


def test_a_full_disk_keeps_what_was_computed(tmp_path):
    log = EvaluationLog(tmp_path / "log")
    log.put(b"a" * 32, np.ones(3))
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device
        log._file, real = _Full(log._file, full), log._file
        with pytest.raises(CheckpointError, match="No space left on device") as caught:
            log.put(b"b" * 32, np.ones(3))
    assert "the 1 evaluations made so far are kept" in caught.value.remedy
    real.close()
    with EvaluationLog(tmp_path / "log") as again:
        assert np.array_equal(again.get(b"a" * 32), np.ones(3))


class _Full:
    """A file that seeks like one and writes to /dev/full."""

    def __init__(self, file, full):
        self.file, self.full = file, full

    def seek(self, *arguments):
        return self.file.seek(*arguments)

    def write(self, data):
        written = self.full.write(data)
        raise OSError(errno.EIO, f"/dev/full took {written} bytes")

    def flush(self):
        self.full.flush()


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written") as caught:
        EvaluationLog(tmp_path / "file" / "log")
    assert "MOFONON_CHECKPOINTS" in caught.value.remedy


def test_the_key_sees_every_bit():
    atoms = _crystal()
    key = evaluation_key(atoms)
    assert evaluation_key(atoms.copy()) == key
    for change in ("positions", "cell", "numbers", "pbc"):
        other = atoms.copy()
        if change == "positions":
            other.positions[0, 0] = np.nextafter(other.positions[0, 0], 9)
        elif change == "cell":
            other.cell[0, 0] = np.nextafter(other.cell[0, 0], 9)
        elif change == "numbers":
            other.numbers[0] = 28
        else:
            other.pbc[2] = False
        assert evaluation_key(other) != key


def test_results_equal_the_calculators():
    atoms = _crystal()
    atoms.calc = LoggedCalculator(EMT())
    plain = _crystal()
    plain.calc = EMT()
    assert atoms.get_potential_energy() == plain.get_potential_energy()
    assert np.array_equal(atoms.get_forces(), plain.get_forces())
    assert np.array_equal(atoms.get_stress(), plain.get_stress())
    assert atoms.calc.n_evaluations == 1


def test_a_potential_without_stress_is_evaluated_too():
    from ase.calculators.calculator import Calculator, all_changes

    class NoStress(Calculator):
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}

    atoms = _crystal()
    atoms.calc = LoggedCalculator(NoStress())
    assert atoms.get_forces().shape == (4, 3)
    assert "stress" not in atoms.calc.results
