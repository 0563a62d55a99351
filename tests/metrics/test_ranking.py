"""Ranks: closed forms, ties, what is not finite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.functional import ranks as counting
from nnlib.metrics import mrr_at, ranking, ranks, recall_at

MODES = ("standard", "conservative", "median")


def brute_force(scores, target, ties):
    found = []
    for row, i in zip(scores.tolist(), target.tolist(), strict=True):
        gt = sum(s > row[i] for s in row)
        eq = sum(s == row[i] for s in row) - 1
        found.append({"standard": gt + 1, "conservative": gt + eq + 1, "median": gt + eq / 2 + 1})
    return [f[ties] for f in found]


@given(
    st.integers(0, 20),
    st.integers(1, 30),
    st.integers(1, 5),
    st.sampled_from([np.float32, np.float64, np.int64]),
    st.integers(0, 9),
)
def test_ranks_equal_counting_one_by_one(n_rows, n_items, n_values, dtype, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-n_values, n_values + 1, (n_rows, n_items)).astype(dtype)
    target = rng.integers(0, n_items, n_rows)
    for ties in MODES:
        found = ranks(scores, target, ties)
        assert found.tolist() == brute_force(scores, target, ties)
        assert found.dtype == (np.float64 if ties == "median" else np.int64)
    standard, conservative = ranking.rank_bounds(scores, target)
    np.testing.assert_array_equal(standard, ranks(scores, target, "standard"))
    np.testing.assert_array_equal(conservative, ranks(scores, target))


def test_a_constant_scorer_is_perfect_or_worthless_by_the_tie_mode():
    scores, target = np.full((7, 50), 0.25, np.float32), np.arange(7)
    assert recall_at(ranks(scores, target, "standard"), 20) == 1.0
    assert recall_at(ranks(scores, target, "conservative"), 20) == 0.0
    assert ranks(scores, target, "median").tolist() == [25.5] * 7
    assert mrr_at(ranks(scores, target, "standard"), 20) == 1.0


def test_saturated_scores_fool_the_standard_rank():
    rng = np.random.default_rng(0)
    scores = np.tanh(rng.normal(0, 10, (200, 1000))).astype(np.float32)  # many are exactly 1
    target = scores.argmax(axis=1)
    assert recall_at(ranks(scores, target, "standard"), 20) == 1.0
    assert recall_at(ranks(scores, target, "conservative"), 20) == 0.0


def test_metrics_count_the_cut_off_itself():
    rank = np.array([1, 2, 20, 21, 500])
    assert recall_at(rank, 20) == 3 / 5
    assert recall_at(rank, 1) == 1 / 5
    assert mrr_at(rank, 20) == pytest.approx((1 + 1 / 2 + 1 / 20) / 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ties", MODES)
def test_scores_that_are_not_finite_are_refused(bad, ties):
    scores = np.zeros((4, 6), np.float32)
    scores[2, 3] = bad
    with pytest.raises(ValueError, match=f"item 3 in row 2 is {bad}"):
        ranks(scores, np.arange(4), ties)


def test_large_finite_scores_are_not_taken_for_infinite_ones():
    scores = np.array([[3e38, -3e38, 3e38, 1.0]], np.float32)  # their squares overflow
    assert ranks(scores, np.array([3])).tolist() == [3]


def test_an_unknown_tie_mode_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="ties='first': it must be one of 'standard', 'conser"):
        ranks(np.zeros((1, 2)), np.zeros(1, int), "first")


@pytest.mark.parametrize("tile", [1, 40, 10_000])
def test_tiles_of_the_gpu_count_like_rows(tile, monkeypatch):
    monkeypatch.setattr(counting, "GPU_TILE", tile)
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 4, (11, 13)).astype(np.float32)
    at_target = scores[:, 5]
    by_row = counting._count_by_row(scores, at_target)
    by_tile = counting._count_by_tile(scores, at_target)
    for a, b in zip(by_row, by_tile, strict=True):
        np.testing.assert_allclose(a, b)
