"""Training that goes on from a fitted model: temporal fine-tuning."""

import numpy as np
import pytest

from nnlib.data import Interactions
from nnlib.data.synthetic import HMMClicks
from nnlib.metrics import evaluate
from nnlib.models import GRU4Rec

OLD = Interactions.from_arrays([1, 1, 1, 2, 2], ["a", "b", "c", "b", "a"], range(5))
NEW = Interactions.from_arrays([7, 7, 7], ["d", "b", "e"], range(3))


def small(**settings):
    return GRU4Rec(**{**dict(hidden=(6,), batch_size=2, n_sample=3, epochs=2, lr=0.1), **settings})


def test_items_of_both_logs_are_known():
    old = small().fit(OLD)
    tuned = small(epochs=1).fit(NEW, start_from=old)
    assert tuned.item_ids_.tolist() == ["a", "b", "c", "d", "e"]
    assert old.item_ids_.tolist() == ["a", "b", "c"]
    a, c = 0, 2  # not in the new log: their outputs rest, and nothing but their outputs is shared
    for code in (a, c):
        np.testing.assert_array_equal(tuned.net_.W.value[code], old.net_.W.value[code])


def test_the_weights_are_where_it_starts():
    old = small().fit(OLD)
    still = small(epochs=1, lr=1e-9).fit(OLD, start_from=old)
    np.testing.assert_allclose(
        still.scores(OLD.histories()), old.scores(OLD.histories()), atol=1e-6
    )
    assert old.scores(OLD.histories()) is not still.scores(OLD.histories())


def test_the_fitted_model_is_left_alone():
    old = small().fit(OLD)
    before = old.scores(OLD.histories())
    small().fit(OLD, start_from=old)
    np.testing.assert_array_equal(old.scores(OLD.histories()), before)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="hidden"):
        small().fit(NEW, start_from=small(hidden=(5,)).fit(OLD))
    with pytest.raises(ValueError, match="embedding"):
        small().fit(NEW, start_from=small(embedding=None).fit(OLD))


def test_logq_of_items_that_are_not_in_the_recent_log():
    tuned = small(logq=1.0).fit(NEW, start_from=small().fit(OLD))
    assert np.isfinite(tuned.losses_).all()


def test_going_on_with_the_recent_part_adapts_to_a_change():
    """Popularity and tastes change: the world of another seed, of which little is known yet."""
    rng = np.random.default_rng(0)
    before, after = HMMClicks(seed=1), HMMClicks(seed=2)
    old, recent, test = before.sample(1500, rng), after.sample(400, rng), after.sample(200, rng)
    settings = dict(hidden=(24,), batch_size=16, n_sample=64, sample_alpha=0.0, epochs=3)
    pretrained = small(**settings).fit(old)
    tuned = small(**settings).fit(recent, start_from=pretrained)
    gain = evaluate(tuned, test)["recall@20"] - evaluate(pretrained, test)["recall@20"]
    assert gain > 0.02
