"""The cut to the elements present, batches and allocation: the same numbers, for less."""

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mofonon.errors import MissingDependencyError, PotentialError, UnknownElementError
from mofonon.potentials import (
    EvaluationLog,
    LoggedCalculator,
    PotentialSpec,
    describe_potential,
    make_calculator,
)
from mofonon.potentials.mace_calculator import ElementMACECalculator
from mofonon.potentials.mace_elements import cut_to_elements
from mofonon.potentials.mace_files import load_mace, model_path
from mofonon.structures import read_structure
from support.mace_models import MP_ELEMENTS, random_mace

_CYANIDE = "src/mofonon/data/structures/Zn(CN)2.cif"


def _cyanide(rattle: float = 0.05) -> Atoms:
    atoms = read_structure(_CYANIDE).to_ase_atoms(msonable=False)
    atoms.rattle(rattle, seed=2)
    return atoms


def _whole(model, **settings):
    """The calculator of mace itself, with the whole model."""
    from mace.calculators import MACECalculator

    return MACECalculator(models=[model], device="cpu", default_dtype="float64", **settings)


def _assert_equal(ours, theirs, atoms, tolerance=1e-12):
    """Energy, forces and stress; tolerance relative to the largest force if above 1 eV/A."""
    ours.calculate(atoms.copy())
    theirs.calculate(atoms.copy())
    scale = max(1.0, np.abs(theirs.results["forces"]).max())
    for name in ("forces", "stress", "energies", "node_energy"):
        difference = np.abs(ours.results[name] - theirs.results[name]).max()
        assert difference < tolerance * scale, name
    relative = ours.results["energy"] / theirs.results["energy"] - 1
    assert abs(relative) < 1e-13


def test_the_demo_model_cut_to_three_elements_has_the_same_forces():
    ours = make_calculator(PotentialSpec(family="demo"))
    theirs = _whole(load_mace(model_path(None, "demo"), "cpu"))
    _assert_equal(ours, theirs, _cyanide())
    assert [int(z) for z in ours.models[0].atomic_numbers] == [6, 7, 30]
    zinc_oxide = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    zinc_oxide.rattle(0.05, seed=1)
    _assert_equal(ours, theirs, zinc_oxide)  # another set of elements, the same calculator


@pytest.mark.slow
def test_the_medium_architecture_cut_from_89_elements_has_the_same_forces():
    model = random_mace(MP_ELEMENTS)
    theirs = _whole(model)
    ours = ElementMACECalculator(model, head=None, dtype="float64", device="cpu")
    _assert_equal(ours, theirs, _cyanide())
    whole = sum(parameter.numel() for parameter in model.parameters())
    cut = sum(parameter.numel() for parameter in ours.models[0].parameters())
    assert cut < whole / 7
    assert len(model.atomic_numbers) == 89


@pytest.mark.parametrize("head", ["pt_head", "mof"])
def test_heads_and_their_isolated_atoms_survive_the_cut(head):
    model = random_mace([1, 6, 7, 8, 29, 30], channels=4, heads=["pt_head", "mof"])
    assert model.atomic_energies_fn.atomic_energies.shape == (2, 6)
    theirs = _whole(model, head=head)
    ours = ElementMACECalculator(model, head=head, dtype="float64", device="cpu")
    _assert_equal(ours, theirs, _cyanide())
    assert [int(z) for z in ours.models[0].atomic_numbers] == [6, 7, 30]
    lone = Atoms("Zn", cell=np.eye(3) * 30, pbc=True)
    ours.calculate(lone)
    theirs.calculate(lone)
    assert np.isclose(ours.results["energy"], theirs.results["energy"], atol=1e-12)


def test_residual_nonlinear_interactions_survive_the_cut():
    """The blocks of newer foundation models: embeddings of both ends of an edge."""
    from e3nn import o3
    from mace import modules

    model = random_mace(
        [1, 6, 7, 8, 29, 30],
        channels=4,
        interaction_cls=modules.RealAgnosticResidualNonLinearInteractionBlock,
        interaction_cls_first=modules.RealAgnosticResidualNonLinearInteractionBlock,
        edge_irreps=o3.Irreps("4x0e + 4x1o"),
        use_edge_irreps_first=True,
    )
    ours = ElementMACECalculator(model, head=None, dtype="float64", device="cpu")
    _assert_equal(ours, _whole(model), _cyanide())
    assert len(ours.models[0].atomic_numbers) == 3


def test_descriptors_are_those_of_the_whole_model():
    ours = make_calculator(PotentialSpec(family="demo"))
    theirs = _whole(load_mace(model_path(None, "demo"), "cpu"))
    found, expected = (each.get_descriptors(_cyanide()) for each in (ours, theirs))
    assert np.allclose(found, expected, atol=1e-12, rtol=0)


def test_the_cut_can_be_left_out(monkeypatch):
    monkeypatch.setenv("MOFONON_CUT_MODELS", "false")
    ours = make_calculator(PotentialSpec(family="demo"))
    ours.calculate(_cyanide())
    known = describe_potential(PotentialSpec(family="demo")).elements or []
    assert len(ours.models[0].atomic_numbers) == len(known) > 3


def test_a_cut_that_changes_the_forces_is_refused(monkeypatch):
    """A wrong cut, such as of an architecture that hides elements somewhere else."""
    from mofonon.potentials import mace_calculator

    def wrong(model, numbers):
        cut = cut_to_elements(model, numbers)
        cut.products[0].symmetric_contractions.contractions[0].weights_max *= 1 + 1e-7
        return cut

    monkeypatch.setattr(mace_calculator, "cut_to_elements", wrong)
    monkeypatch.setattr(mace_calculator, "_SHARED", {})
    ours = make_calculator(PotentialSpec(family="demo"))
    with pytest.raises(PotentialError, match="differs from the whole one in energy") as caught:
        ours.calculate(_cyanide())
    assert "MOFONON_CUT_MODELS" in caught.value.remedy


def test_calculators_of_the_same_weights_share_what_was_cut():
    """As in the jobs of a QHA; another precision, or other weights, share nothing."""
    first, second = (make_calculator(PotentialSpec(family="demo")) for _ in range(2))
    results = []
    for calculator in (first, second):
        calculator.calculate(_cyanide())
        results.append(calculator.results)
    assert second.models[0] is first.models[0]
    np.testing.assert_array_equal(results[0]["forces"], results[1]["forces"])
    single = make_calculator(PotentialSpec(family="demo", dtype="float32"))
    single.calculate(_cyanide())
    assert single.models[0] is not first.models[0]
    first.calculate(_cyanide())
    np.testing.assert_array_equal(first.results["forces"], results[0]["forces"])
    own = ElementMACECalculator(
        load_mace(model_path(None, "demo"), "cpu"), head=None, dtype="float64", device="cpu"
    )
    own.calculate(_cyanide())
    assert own.models[0] is not first.models[0]


def test_an_unknown_element_is_named():
    ours = make_calculator(PotentialSpec(family="demo"))
    with pytest.raises(UnknownElementError, match=r"\[94\]"):
        ours.calculate(Atoms("PuO", [[0, 0, 0], [2, 0, 0]], cell=np.eye(3) * 9, pbc=True))


def test_provenance_is_that_of_the_file():
    from mofonon.provenance import file_sha256

    described = describe_potential(PotentialSpec(family="demo"))
    assert described.sha256 == file_sha256(model_path(None, "demo"))


@pytest.mark.parametrize("dispersion", [None, "d3bj"])
def test_batches_give_the_same_as_one_at_a_time(dispersion, monkeypatch):
    """Through the log and the sum with D3, as displaced supercells go."""
    cells = [_cyanide(amplitude) for amplitude in (0.01, 0.02, 0.03, 0.04, 0.05)]
    spec = PotentialSpec(family="demo", dispersion=dispersion)
    one = list(LoggedCalculator(make_calculator(spec)).evaluate(cells))
    monkeypatch.setenv("MOFONON_BATCH_SIZE", "3")
    potential = make_calculator(spec)
    sizes = []
    real = potential.calculate_many
    monkeypatch.setattr(
        potential, "calculate_many", lambda cells: (sizes.append(len(cells)), real(cells))[1]
    )
    batched = LoggedCalculator(potential)
    many = list(batched.evaluate(cells))
    assert sizes == [3, 2]
    assert batched.n_evaluations == batched.n_computed == 5
    for a, b in zip(one, many, strict=True):
        assert np.abs(a["forces"] - b["forces"]).max() < 1e-12
        assert np.abs(a["stress"] - b["stress"]).max() < 1e-13
        assert abs(a["energy"] - b["energy"]) < 1e-11


def test_a_batch_takes_from_the_log_what_is_there(tmp_path, monkeypatch):
    cells = [_cyanide(amplitude) for amplitude in (0.01, 0.02, 0.03, 0.04)]
    monkeypatch.setenv("MOFONON_BATCH_SIZE", "4")
    potential = make_calculator(PotentialSpec(family="demo"))
    with EvaluationLog(tmp_path / "log") as log:
        first = list(LoggedCalculator(potential, log).evaluate([cells[1], cells[3]]))
        second = LoggedCalculator(potential, log)
        found = list(second.evaluate(cells))
    assert (second.n_evaluations, second.n_computed) == (4, 2)
    assert np.array_equal(found[1]["forces"], first[0]["forces"])
    assert np.array_equal(found[3]["forces"], first[1]["forces"])
    assert not np.array_equal(found[0]["forces"], found[2]["forces"])


def test_a_batch_too_large_for_the_memory_is_halved(monkeypatch):
    """As on a GPU; the error of torch is raised here in its place."""
    import torch

    potential = make_calculator(PotentialSpec(family="demo"))
    cells = [_cyanide(amplitude) for amplitude in (0.01, 0.02, 0.03)]
    expected = potential.calculate_many(cells)
    real, sizes = potential._evaluate, []

    def small_memory(cells):
        sizes.append(len(cells))
        if len(cells) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(cells)

    monkeypatch.setattr(potential, "_evaluate", small_memory)
    found = potential.calculate_many(cells)
    assert sizes == [3, 1, 2, 1, 1]
    for a, b in zip(found, expected, strict=True):
        assert np.abs(a["forces"] - b["forces"]).max() < 1e-12


def test_batches_are_sized_to_the_memory_of_a_gpu(monkeypatch):
    """With the figures of a GPU in place of one: 10 GB free, 1 MB an atom."""
    import torch

    potential = make_calculator(PotentialSpec(family="demo"))
    assert potential.batch_size(100) == 1  # a CPU
    monkeypatch.setattr(potential, "device", torch.device("cuda"))
    assert potential.batch_size(100) == 1  # nothing measured yet
    monkeypatch.setattr(potential, "_bytes_per_atom", 1e6)
    monkeypatch.setattr(potential, "_free_memory", lambda: int(10e9))
    assert potential.batch_size(100) == 80
    assert potential.batch_size(100_000) == 1


def test_frequencies_with_cuequivariance_agree():
    """Its CPU fallback does; the CUDA kernels want the same check on a GPU."""
    pytest.importorskip("cuequivariance_torch", reason="pip install 'mofonon[cueq]'")
    from mofonon.lattice.acceleration import check_acceleration
    from mofonon.lattice.settings import PhononSettings

    settings = PhononSettings(supercell=((1, 0, 0), (0, 1, 0), (0, 0, 1)), mesh=(2, 2, 2))
    assert check_acceleration(_cyanide(0.0), PotentialSpec(family="demo"), settings) < 1e-4


def test_cuequivariance_that_is_not_installed_is_asked_for():
    pytest.importorskip("mace")
    from mace.modules.wrapper_ops import CUET_AVAILABLE

    if CUET_AVAILABLE:
        pytest.skip("cuequivariance is installed")
    with pytest.raises(MissingDependencyError, match="is not installed") as caught:
        make_calculator(PotentialSpec(family="demo", enable_cueq=True))
    assert "pip install 'mofonon[cueq]'" in caught.value.remedy
    with pytest.raises(PotentialError, match="only MACE models use it"):
        PotentialSpec(family="chgnet", enable_cueq=True)


_GROW_AND_FREE = """
import ctypes, os, sys
from mofonon.potentials.allocation import keep_freed_memory, restore_allocation
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
def grow_and_free():
    blocks = [bytearray(b"x") * 20_000_000 for _ in range(10)]
    del blocks
start = resident()
grow_and_free()
default = resident() - start
assert keep_freed_memory()
grow_and_free()
kept = resident() - start
assert restore_allocation()
print(default, kept, resident() - start)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's mallopt")
def test_freed_memory_is_kept_until_it_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", _GROW_AND_FREE], capture_output=True, text=True, check=True
    )
    default, kept, restored = (float(word) for word in done.stdout.split())
    assert default < 50
    assert kept > 150
    assert restored < 50
