"""What multi-head fine-tuning is for: the old method is kept, which plain fine-tuning loses."""

import pytest

from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.training import FineTuneMaker
from mofonon.training.flows import run_training
from mofonon.training.metrics import set_errors
from mofonon.training.predict import labels_of, predict
from support.labelled import labelled, small_spec, zinc_cyanide_frames


def force_rmse(potential: PotentialSpec, frames: list) -> float:
    """Error of force components (meV/A)."""
    found = set_errors(predict(frames, make_calculator(potential)), labels_of(frames))
    return found.forces.rmse


@pytest.mark.slow
def test_plain_fine_tuning_forgets_more_than_the_replay_head(trained, dataset, monkeypatch):
    """Frames that neither saw, labelled by both methods; the same epochs and settings.

    The old method is the foundation itself, whose error is zero: what is lost is measured
    against the distance of the two methods. The check with a foundation that has errors of
    its own is benchmarks/fine_tuning.py.
    """
    monkeypatch.setenv("MOFONON_MODELS", str(trained.models))
    naive_spec = small_spec(dataset, mode="naive", replay=None)
    naive = run_training(FineTuneMaker(spec=naive_spec).prepare(dataset), "naive")
    cells = zinc_cyanide_frames(4, seed=77)
    old, new = (labelled(cells, new_method=is_new) for is_new in (False, True))
    distance = force_rmse(PotentialSpec(family="demo"), new)
    both = trained.doc.potential_spec
    replay_head = both.model_copy(update={"head": "pt_head"})
    lost = {
        "replay head": force_rmse(replay_head, old) / distance,
        "naive": force_rmse(naive.potential_spec, old) / distance,
    }
    gained = {
        "new head": force_rmse(both, new) / distance,
        "naive": force_rmse(naive.potential_spec, new) / distance,
    }
    summary = f"lost of the old method: {lost}, left to the new one: {gained}"
    assert max(gained.values()) < 1, summary
    assert lost["replay head"] < 0.7 * lost["naive"], summary
