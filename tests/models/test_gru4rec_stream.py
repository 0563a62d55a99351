"""Training from chunks: the same as one epoch, goes on where it was, and needs no more memory."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from nnlib.data import DataError, Interactions
from nnlib.data.synthetic import HMMClicks
from nnlib.metrics import evaluate
from nnlib.models import GRU4Rec, Popularity

WORLD = HMMClicks()
ITEMS = range(WORLD.n_items)
MODEL = GRU4Rec(
    hidden=(16,), batch_size=16, n_sample=32, epochs=1, lr=0.1, momentum=0.2, dropout_hidden=0.2
)


def clicks(n_sessions=80, seed=0):
    return WORLD.sample(n_sessions, np.random.default_rng(seed))


def weights(model):
    return [p.value.copy() for p in model.net_.parameters()]


def assert_same_weights(a, b):
    for mine, theirs in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_one_chunk_is_one_epoch():
    log = clicks()
    streamed = replace(MODEL).partial_fit(log, item_ids=log.item_ids)
    fitted = replace(MODEL).fit(log)
    assert_same_weights(streamed, fitted)
    assert streamed.losses_ == fitted.losses_


def test_the_same_log_twice_is_two_epochs_but_for_the_counts():
    """With α = 0 samples do not depend on the counts, so that nothing is left to differ."""
    log, uniform = clicks(), replace(MODEL, sample_alpha=0.0)
    streamed = replace(uniform)
    for _ in range(2):
        streamed.partial_fit(log, item_ids=log.item_ids)
    assert_same_weights(streamed, replace(uniform, epochs=2).fit(log))
    assert len(streamed.losses_) == 2


def test_counts_are_of_all_chunks_so_far():
    first, second = clicks(seed=1), clicks(seed=2)
    model = replace(MODEL).partial_fit(first, ITEMS).partial_fit(second)
    expected = np.zeros(WORLD.n_items, int)
    for log in (first, second):
        np.add.at(expected, log.item_ids, log.support())
    np.testing.assert_array_equal(model._stream.support, expected)


def test_a_fit_forgets_the_stream_and_a_loaded_model_goes_on(tmp_path):
    log = clicks()
    model = replace(MODEL).partial_fit(clicks(seed=3), ITEMS).fit(log)
    assert_same_weights(model, replace(MODEL).fit(log))
    model.save(tmp_path / "model")
    loaded = GRU4Rec.load(tmp_path / "model")
    for m in (model, loaded):
        m.partial_fit(log)
    assert_same_weights(model, loaded)
    np.testing.assert_array_equal(model._stream.support, log.support())


def test_items_that_were_not_announced():
    model = replace(MODEL)
    with pytest.raises(ValueError, match="first chunk needs item_ids"):
        model.partial_fit(clicks())
    with pytest.raises(ValueError, match="names 1 items twice"):
        model.partial_fit(clicks(), item_ids=[1, 2, 3, 2])
    model.partial_fit(clicks(), ITEMS).partial_fit(clicks(seed=1), ITEMS)
    with pytest.raises(ValueError, match="item_ids has 3 items"):
        model.partial_fit(clicks(), item_ids=[1, 2, 3])
    log = Interactions.from_arrays([1, 1, 1, 2, 2], [3, 4, 999, 4, 3])
    with pytest.warns(UserWarning, match="1 of 5 events are on items"):
        model.partial_fit(log)
    single = Interactions.from_arrays([1, 2, 3], [3, 4, 5])
    with pytest.raises(DataError, match="single event"):
        model.partial_fit(single)


def test_a_model_that_trains_otherwise_has_no_stream():
    class Other(GRU4Rec):
        def fit(self, train, **options):
            return self

    with pytest.raises(TypeError, match="a Other learns from whole logs only"):
        Other().partial_fit(clicks(), ITEMS)


@pytest.mark.slow
def test_it_learns_and_memory_is_steady():
    """200,000 events in 40 chunks: what is allocated at the last is what was at the tenth."""
    model = replace(MODEL, hidden=(32,), batch_size=32, n_sample=64)
    in_use, peak = [], []
    tracemalloc.start()
    try:
        for log in WORLD.stream(200_000, np.random.default_rng(0), chunk=830):
            tracemalloc.reset_peak()
            model.partial_fit(log, ITEMS)
            now, highest = tracemalloc.get_traced_memory()
            in_use.append(now)
            peak.append(highest)
    finally:
        tracemalloc.stop()
    assert len(peak) >= 40
    assert max(in_use[10:]) - min(in_use[10:]) < 200_000, in_use
    assert max(peak[10:]) < 1.1 * max(peak[:10]), peak
    test = clicks(400, seed=9)
    few = clicks(5_000, seed=8)
    margin = evaluate(model, test)["recall@20"] - evaluate(Popularity().fit(few), test)["recall@20"]
    assert margin > 0.15
