"""Evaluation: which points there are, what is dropped, what is reported."""

import json
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.data import Interactions
from nnlib.metrics import difference, evaluate
from nnlib.metrics.evaluate import mean_and_stderr
from nnlib.models.base import NotFittedError, Recommender


@dataclass(kw_only=True)
class Fixed(Recommender):
    """Scores the same list after every history; item_ids are what it was made with."""

    def __init__(self, item_ids, scores):
        self.item_ids_ = np.array(item_ids)
        self.list_ = np.array(scores, np.float64)

    def scores(self, histories):
        return np.tile(self.list_, (len(histories), 1))


@dataclass(kw_only=True)
class NextInLine(Recommender):
    """Knows that item i is followed by item i + 1: ranks it first, the others by code."""

    def __init__(self, n_items):
        self.item_ids_ = np.arange(n_items)

    def scores(self, histories):
        last = histories.items[histories.stop - 1]
        n = len(self.item_ids_)
        scores = np.tile(-np.arange(n, dtype=np.float64), (len(histories), 1))
        scores[np.arange(len(last)), (last + 1) % n] = 1
        return scores


def log(*sessions):
    user = np.repeat(np.arange(len(sessions)), [len(s) for s in sessions])
    return Interactions.from_arrays(user, np.concatenate(sessions))


def test_the_mean_is_over_points_not_over_sessions():
    model = NextInLine(10)
    found = evaluate(model, log([0, 1, 2, 3, 4], [7, 2]), k=(1, 5))
    assert found["recall@1"] == 4 / 5  # over sessions it would be 1/2
    assert found["mrr@5"] == pytest.approx((4 + 1 / 4) / 5)  # 2 comes after 8, 0 and 1
    assert found.rank.tolist() == [1, 1, 1, 1, 4]
    assert found.session.tolist() == [0, 0, 0, 0, 1]
    assert found.target.tolist() == [1, 2, 3, 4, 2]
    assert found.seen.tolist() == [1, 2, 3, 4, 1]
    assert (found["n_points"], found["n_sessions"]) == (5, 2)


def test_keys_are_metrics_and_counts():
    found = evaluate(NextInLine(5), log([0, 1, 2]), k=(1, 20))
    metrics = ["recall@1", "recall@20", "mrr@1", "mrr@20"]
    assert list(found) == [
        *metrics, "n_points", "n_sessions", "dropped_events", "dropped_sessions"
    ]  # fmt: skip
    assert list(found.stderr) == metrics


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(1, 7),
)
def test_every_event_on_a_known_item_but_the_first_is_a_point(sessions, block):
    model = Fixed(range(6), range(6))
    known = [[i for i in s if i < 6] for s in sessions]
    usable = [s for s in known if len(s) > 1]
    test = log(*sessions)
    if not usable:
        with pytest.raises(ValueError, match=r"nothing to predict|no item in common"):
            evaluate(model, test)
        return
    found = evaluate(model, test, block=block)
    events = sum(map(len, usable))
    assert found["n_points"] == events - len(usable) == len(found.rank)
    assert found["n_sessions"] == len(usable)
    assert found["dropped_events"] == sum(map(len, sessions)) - sum(map(len, known))
    assert found["dropped_sessions"] == len(sessions) - len(usable)
    assert found.rank.tolist() == [6 - i for s in usable for i in s[1:]]


def test_unknown_items_go_before_pairs_are_formed():
    """0, 99, 1 is the pair (0, 1): not two pairs of which one has an unknown target."""
    found = evaluate(NextInLine(3), log([0, 99, 1], [99, 2]), k=1)
    assert found.rank.tolist() == [1]
    assert (found["dropped_events"], found["dropped_sessions"]) == (2, 1)


def test_raw_ids_are_matched_not_codes():
    model = Fixed(["c", "b", "a"], [3, 2, 1])
    found = evaluate(model, log(["a", "b"], ["a", "c"]), k=1)
    assert found.rank.tolist() == [2, 1]
    assert found.target.tolist() == ["b", "c"]


@pytest.mark.parametrize("ties", ["standard", "conservative", "median"])
def test_a_constant_scorer_is_warned_of_in_every_mode(ties):
    model = Fixed(range(50), np.zeros(50))
    with pytest.warns(UserWarning, match=r"recall@1 is 0.0000 if .* 1.0000 if it wins"):
        found = evaluate(model, log([0, 1], [2, 3]), ties=ties)
    assert found["recall@20"] == {"standard": 1, "conservative": 0, "median": 0}[ties]


def test_ties_that_change_nothing_are_not_warned_of():
    model = Fixed(range(50), np.maximum(np.arange(50) - 25, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(model, log([0, 49], [2, 3]), k=(1, 20))
    assert found["recall@20"] == 0.5


class Twice(NextInLine):
    def walk(self, sessions, block=256):
        for _ in range(2):
            yield from super().walk(sessions, block)


class Never(NextInLine):
    def walk(self, sessions, block=256):
        for row, at, scores in super().walk(sessions, block):
            yield row[1:], at[1:], scores[1:]


class Exchanged(NextInLine):
    def walk(self, sessions, block=256):
        for row, at, scores in super().walk(sessions, block):
            at[0] = at[-1]
            yield row, at, scores


@pytest.mark.parametrize("model", [Twice, Never, Exchanged])
def test_a_walk_that_loses_or_repeats_points_is_caught(model):
    with pytest.raises(RuntimeError, match=f"{model.__name__}.walk gave"):
        evaluate(model(5), log([0, 1, 2, 3]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k=0: give cut-offs"),
        ({"k": (1, -5)}, r"k=\(1, -5\)"),
        ({"k": ()}, "cut-offs"),
        ({"k": 1.5}, "k=1.5"),
        ({"k": (1, 2.5)}, "whole numbers"),
        ({"ties": "best"}, "ties='best'"),
        ({"block": 0}, "block=0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(NextInLine(5), log([0, 1]), **options)


def test_nothing_to_predict_is_an_error_that_says_why():
    with pytest.raises(ValueError, match=r"none of the 2 test sessions .* \(1 of 3 events"):
        evaluate(NextInLine(5), log([0], [1, 77]))
    with pytest.raises(ValueError, match="no item in common"):
        evaluate(NextInLine(5), log(["0", "1"]))


def test_a_model_that_was_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        evaluate(Recommender(), log([0, 1]))


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="is nan"):
        evaluate(Fixed(range(3), [1, np.nan, 2]), log([0, 1]))


def test_with_one_point_a_session_the_error_is_the_binomial_one():
    rng = np.random.default_rng(0)
    hit = (rng.random(500) < 0.3).astype(float)
    mean, stderr = mean_and_stderr(hit, np.arange(500))
    assert stderr == pytest.approx(np.sqrt(mean * (1 - mean) / 499))


def test_the_error_is_that_of_a_bootstrap_of_sessions():
    rng = np.random.default_rng(1)
    size = rng.integers(1, 12, 300)
    session = np.repeat(np.arange(300), size)
    x = (rng.random(len(session)) < np.repeat(rng.random(300), size)).astype(float)
    total = np.bincount(session, x)
    drawn = rng.integers(0, 300, (4000, 300))
    bootstrap = (total[drawn].sum(axis=1) / size[drawn].sum(axis=1)).std()
    mean, stderr = mean_and_stderr(x, session)
    assert stderr == pytest.approx(bootstrap, rel=0.06)
    assert stderr > 1.3 * np.sqrt(mean * (1 - mean) / len(x))  # points of a session agree


def test_repeating_every_point_of_a_session_adds_no_certainty():
    x, session = np.array([1.0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 2])
    once = mean_and_stderr(x, session)
    assert mean_and_stderr(np.repeat(x, 9), np.repeat(session, 9)) == pytest.approx(once)


def test_a_difference_is_paired_by_point():
    rng = np.random.default_rng(2)
    test = log(*[rng.integers(0, 30, 5) for _ in range(40)])
    scores = rng.random(30)
    a = evaluate(Fixed(range(30), scores), test)
    b = evaluate(Fixed(range(30), scores + 0.6 * rng.random(30)), test)
    assert difference(a, a, "recall@20") == (0, 0)
    mean, stderr = difference(a, b, "recall@10")
    assert mean == pytest.approx(a["recall@10"] - b["recall@10"])
    assert 0 < stderr < np.hypot(a.stderr["recall@10"], b.stderr["recall@10"])
    assert difference(a, b, "mrr@7")[0] == -difference(b, a, "mrr@7")[0]  # any cut-off


def test_only_evaluations_of_the_same_points_can_be_compared():
    a = evaluate(NextInLine(9), log([0, 1, 2]))
    for other in (log([0, 1, 3]), log([0, 1, 2, 3]), log([5, 6], [0, 1])):
        with pytest.raises(ValueError, match="not the same"):
            difference(a, evaluate(NextInLine(9), other), "recall@20")
    with pytest.raises(ValueError, match="'recall': a metric is"):
        difference(a, a, "recall")


def test_by_position_splits_the_same_mean():
    found = evaluate(NextInLine(10), log([0, 1, 2, 5], [7, 2], [3, 4, 6]), k=1)
    assert found.by_position("recall@1") == [(1, 2 / 3, 3), (2, 1 / 2, 2), (3, 0, 1)]
    pooled = found.by_position("recall@1", longest=2)
    assert pooled == [(1, 2 / 3, 3), (2, 1 / 3, 3)]
    assert sum(v * n for _, v, n in pooled) / 6 == found["recall@1"]
    with pytest.raises(ValueError, match="longest=0"):
        found.by_position("recall@1", longest=0)


def test_it_prints_as_a_table_and_fits_into_json():
    found = evaluate(NextInLine(10), log([0, 1, 99, 3], [7, 2], [99]))
    lines = str(found).splitlines()
    assert lines[0] == (
        "NextInLine: 3 points of 2 sessions, each ranks all 10 items (ties: conservative)"
    )
    assert [line.split()[0] for line in lines[2:6]] == ["1", "5", "10", "20"]
    assert "0.3333 ± " in lines[2]
    assert not any(line.endswith(" ") for line in lines)
    assert lines[-1].startswith("left out: 2 events on items that the training data does not have")
    assert "NextInLine" in repr(found)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["recall@20"] == found["recall@20"]
    assert plain["stderr"]["mrr@5"] == found.stderr["mrr@5"]
    assert (plain["ties"], plain["n_items"], plain["dropped_events"]) == ("conservative", 10, 2)


def test_a_single_session_has_no_standard_error():
    found = evaluate(NextInLine(10), log([0, 1, 2]))
    assert np.isnan(found.stderr["recall@1"])
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["stderr"]["recall@1"] is None
