"""Top-N: ranks of held-out items, what leaves the ranking, what is dropped, means over users."""

import json
import math
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.data import Interactions
from nnlib.metrics import evaluate_top_n, held_out_item
from nnlib.models.base import NotFittedError, Recommender


@dataclass(kw_only=True)
class Fixed(Recommender):
    """Scores the same list after every history."""

    def __init__(self, scores, item_ids=None):
        self.item_ids_ = np.arange(len(scores)) if item_ids is None else np.array(item_ids)
        self.list_ = np.array(scores, np.float64)

    def scores(self, histories):
        return np.tile(self.list_, (len(histories), 1))


@dataclass(kw_only=True)
class AfterHistory(Recommender):
    """Ranks by closeness to the largest code of the history; an empty history is like code 0."""

    def __init__(self, n_items):
        self.item_ids_ = np.arange(n_items)

    def scores(self, histories):
        top = [histories.row(b).max(initial=0) for b in range(len(histories))]
        return -np.abs(self.item_ids_ - np.array(top)[:, None] - 0.25).astype(float)


def log(*users):
    user = np.repeat(np.arange(len(users)), [len(items) for items in users])
    return Interactions.from_arrays(user, np.concatenate(users))


def test_by_hand():
    model = Fixed([6, 5, 4, 3, 2, 1])
    train, test = log([0, 1], [5]), log([2, 5], [0, 3, 4])
    found = evaluate_top_n(model, train, test, k=(1, 3))
    # User 0 ranks 2 3 4 5: item 2 is first, item 5 fourth.
    # User 1 ranks 0 1 2 3 4: items 0, 3 and 4 are at 1, 4 and 5.
    assert found.rank.tolist() == [1, 4, 1, 4, 5]
    assert found["recall@1"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert found["hit_rate@3"] == 1
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert found["ndcg@3"] == pytest.approx((1 / (1 + 1 / math.log2(3)) + 1 / ideal) / 2)
    assert found["ndcg@1"] == 1  # one place, rightly filled
    assert (found["n_users"], found["n_relevant"]) == (2, 5)
    assert found.stderr["recall@1"] == pytest.approx(abs(1 / 2 - 1 / 3) / 2)


def test_histories_are_given_by_raw_user_id():
    train = Interactions.from_arrays(["b", "a"], [8, 2])
    test = Interactions.from_arrays(["a", "b", "c"], [3, 9, 0])
    found = evaluate_top_n(AfterHistory(12), train, test, k=1)
    assert found.rank.tolist() == [1, 1, 1]  # "c" has an empty history: 0 is the nearest
    swapped = Interactions.from_arrays(["a", "b"], [8, 2])
    assert evaluate_top_n(AfterHistory(12), swapped, test, k=1)["recall@1"] == pytest.approx(1 / 3)


def test_blocks_do_not_change_the_result():
    rng = np.random.default_rng(0)
    train, test = (
        Interactions.from_arrays(rng.integers(9, size=n), rng.integers(30, size=n))
        for n in (60, 25)
    )
    whole = evaluate_top_n(AfterHistory(30), train, test)
    for block in (1, 2, 4):
        part = evaluate_top_n(AfterHistory(30), train, test, block=block)
        assert part.rank.tolist() == whole.rank.tolist()
        assert part.users.tolist() == whole.users.tolist()


def brute_force(scores, had, relevant, ties):
    """Sort the items that are left, relevant ones last or first among equals."""
    shift = {"conservative": 1, "standard": -1}[ties]
    left = [i for i in range(len(scores)) if i not in had]
    left.sort(key=lambda i: (-scores[i], shift * (i in relevant)))
    return [left.index(i) + 1 for i in sorted(relevant)]


@given(st.integers(0, 10**6), st.sampled_from(["conservative", "standard"]))
def test_ranks_are_those_of_sorting(seed, ties):
    rng = np.random.default_rng(seed)
    scores = rng.integers(4, size=12).astype(float)
    items = rng.permutation(12)
    had, relevant = items[:3], items[3 : 4 + rng.integers(4)]
    found = evaluate_top_n(Fixed(scores), log(had), log(relevant), k=3, ties=ties)
    expected = brute_force(scores, had, set(relevant.tolist()), ties)
    assert sorted(found.rank) == sorted(expected)  # relevant equals are in either order
    assert found["recall@3"] == np.mean(np.array(expected) <= 3)


def test_ties_count_half_or_are_lost():
    constant = Fixed(np.zeros(11))
    held = log([4])
    assert evaluate_top_n(constant, log([0]), held, k=1).rank.tolist() == [10]
    assert evaluate_top_n(constant, log([0]), held, k=1, ties="standard").rank.tolist() == [1]
    assert held_out_item(constant, log([0]), held, k=5).rank.tolist() == [5.5]
    assert held_out_item(constant, log([0]), held, k=5)["hit_rate@5"] == 0
    # Relevant items do not push one another down: a perfect ranking is perfect under ties too.
    perfect = Fixed([0, 0, 1, 1, 1])
    assert evaluate_top_n(perfect, log([0]), log([2, 3, 4]), k=3)["ndcg@3"] == 1


def test_what_is_dropped_is_counted():
    model = Fixed([3, 2, 1], item_ids=["a", "b", "c"])
    train = Interactions.from_arrays([1, 1, 2], ["a", "x", "b"])
    test = Interactions.from_arrays(
        [1, 1, 1, 1, 2, 3], ["a", "c", "c", "y", "b", "z"]
    )  # had, new, new again, unknown; only what he had; only unknown
    found = evaluate_top_n(model, train, test)
    assert found.rank.tolist() == [2]
    assert (found["dropped_unknown"], found["dropped_seen"]) == (2, 2)
    assert (found["n_users"], found["dropped_users"]) == (1, 2)
    assert "left out: 2 events on items unknown" in str(found)
    with pytest.raises(ValueError, match="none of the 1 test events"):
        evaluate_top_n(model, train, Interactions.from_arrays([2], ["b"]))
    assert math.isnan(found.stderr["ndcg@10"])  # one user
    assert json.loads(json.dumps(found.to_dict()))["stderr"]["ndcg@10"] is None


def test_difference_is_paired():
    train, test = log([0], [0], [0]), log([1, 2], [3], [4])
    good, bad = Fixed([0, 9, 8, 7, 6]), Fixed([0, 6, 7, 8, 9])
    a, b = (evaluate_top_n(m, train, test, k=2) for m in (good, bad))
    mean, error = a.difference(b, "recall@2")
    each = a.per_user("recall@2") - b.per_user("recall@2")
    assert mean == pytest.approx(a["recall@2"] - b["recall@2"])
    assert error == pytest.approx(np.std(each, ddof=1) / math.sqrt(3))
    with pytest.raises(ValueError, match="not the same ones"):
        a.difference(evaluate_top_n(good, train, log([1], [3], [4])), "recall@2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k=0"),
        ({"ties": "first"}, "ties='first'"),
        ({"block": 0}, "block=0"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        evaluate_top_n(Fixed([1, 2]), log([0]), log([1]), **change)


def test_bad_scores_models_and_keys():
    with pytest.raises(ValueError, match="score of item 1 is nan"):
        evaluate_top_n(Fixed([1, math.nan, 2]), log([0]), log([2]))
    with pytest.raises(ValueError, match="user 0 has 2 held-out events"):
        held_out_item(Fixed([1, 2, 3]), log([0]), log([1, 2]))
    with pytest.raises(ValueError, match="'map@3'"):
        evaluate_top_n(Fixed([1, 2]), log([0]), log([1])).per_user("map@3")
    unfitted = Fixed([1])
    del unfitted.item_ids_
    with pytest.raises(NotFittedError), warnings.catch_warnings():
        evaluate_top_n(unfitted, log([0]), log([1]))
