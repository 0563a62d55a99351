"""Ranking losses against a plain statement of them, one row and one negative at a time."""

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from nnlib.array import Array, Backward
from nnlib.check import assert_gradients
from nnlib.functional.softmax import BLOCK
from nnlib.losses import bpr, bpr_max, cross_entropy, top1, top1_max

Loss = Callable[..., tuple[Array, Backward]]
LAMBDA = 0.7


def bpr_max_lambda(s: Array, target: Array, count: Array | None = None) -> tuple[Array, Backward]:
    return bpr_max(s, target, count, regularization=LAMBDA)


def bpr_max_zero(s: Array, target: Array, count: Array | None = None) -> tuple[Array, Backward]:
    return bpr_max(s, target, count, regularization=0.0)


LOSSES: list[Loss] = [bpr, top1, top1_max, bpr_max_lambda, bpr_max_zero]
each_loss = pytest.mark.parametrize("loss_of", LOSSES, ids=lambda f: f.__name__)


def sigma(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def plain(loss_of: Loss, positive: float, r: Array) -> float:
    """The loss of a row whose negatives have the scores `r`, as the papers print it."""
    if not len(r):
        return 0.0
    log_pi = r - np.logaddexp.reduce(r)
    pi = np.exp(log_pi)
    top1_terms = sigma(r - positive) + sigma(r**2)
    if loss_of is bpr:
        return float(np.logaddexp(0, r - positive).mean())
    if loss_of is top1:
        return float(top1_terms.mean())
    if loss_of is top1_max:
        return float((pi * top1_terms).sum())
    log_a = np.logaddexp.reduce(log_pi - np.logaddexp(0, r - positive))
    return float(-log_a + (LAMBDA if loss_of is bpr_max_lambda else 0) * (pi * r**2).sum())


def plain_batch(loss_of: Loss, s: Array, target: Array, count: Array) -> float:
    total = 0.0
    for row, t in zip(s, target, strict=True):
        copies = count.astype(int)
        copies[t] -= 1  # the positive itself; its other copies are negatives
        total += plain(loss_of, row[t], np.repeat(row, copies))
    return total / len(s)


def expanded(loss_of: Loss, s: Array, target: Array, count: Array) -> tuple[Array, Array]:
    """Loss and summed gradient of the call in which column j is repeated count_j times."""
    column = np.repeat(np.arange(len(count)), count.astype(int))
    loss, backward = loss_of(s[:, column], np.searchsorted(column, target))
    summed = np.zeros(s.shape[::-1])
    np.add.at(summed, column, backward().T)
    return loss, summed.T


@each_loss
@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 6),
    spread=st.sampled_from([0.1, 1.0, 10.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_value_and_counts(loss_of: Loss, rows: int, columns: int, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    s, target = spread * rng.normal(size=(rows, columns)), rng.integers(columns, size=rows)
    count = rng.integers(1, 4, columns).astype(float)
    loss, backward = loss_of(s, target, count)
    np.testing.assert_allclose(loss, plain_batch(loss_of, s, target, count), rtol=1e-11, atol=1e-14)
    repeated, gradient = expanded(loss_of, s, target, count)
    np.testing.assert_allclose(loss, repeated, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(backward(), gradient, rtol=1e-11, atol=1e-14)
    ones, back_ones = loss_of(s, target, np.ones(columns))
    none, back_none = loss_of(s, target)
    np.testing.assert_array_equal(ones, none)
    np.testing.assert_array_equal(back_ones(), back_none())


@each_loss
@pytest.mark.parametrize("spread", [0.3, 3.0, 40.0])  # 40: the form in logarithms
@pytest.mark.parametrize("counted", [False, True])
def test_gradient(loss_of: Loss, spread: float, counted: bool) -> None:
    if spread == 40 and loss_of is top1_max:
        spread = 12.0  # flat at 40: nothing left to compare
    rng = np.random.default_rng(int(10 * spread))
    target, count = np.array([0, 3, 3, 5]), np.array([1, 2, 1, 3, 1, 1.0]) if counted else None
    assert_gradients(lambda s: loss_of(s, target, count), spread * rng.normal(size=(4, 6)))


@each_loss
def test_a_row_without_negatives_costs_nothing(loss_of: Loss) -> None:
    for dtype in (np.float32, np.float64):
        for count in (None, np.ones(1)):
            s = np.array([[2.0], [-300.0]], dtype)
            loss, backward = loss_of(s, np.zeros(2, int), count)
            assert loss == 0
            assert not backward().any()
            assert loss.dtype == backward().dtype == dtype


@each_loss
@pytest.mark.parametrize("size", [20.0, 100.0, 1e4])
def test_single_precision_at_any_size_of_scores(loss_of: Loss, size: float) -> None:
    rng = np.random.default_rng(1)
    target, count = rng.integers(40, size=6), rng.integers(1, 3, 40)
    below = size * (rng.random((6, 40)) - 1)
    below[np.arange(6), target] = size
    for s in (below, -below, below - size, size * rng.normal(size=(6, 40)), np.full((6, 40), size)):
        single = s.astype(np.float32)
        loss, backward = loss_of(single, target, count)
        exact, back_exact = loss_of(single.astype(np.float64), target, count)
        assert loss.dtype == backward().dtype == np.float32
        plainly = plain_batch(loss_of, single.astype(np.float64), target, count)
        np.testing.assert_allclose(exact, plainly, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(loss, exact, rtol=2e-6, atol=2e-6)
        square = size**2 if loss_of is bpr_max_lambda else 0  # s² − ρ is a difference of such
        np.testing.assert_allclose(
            backward(), back_exact(), rtol=1e-5, atol=1e-6 + 5e-7 * square / len(s)
        )


@each_loss
def test_all_negatives_far_below(loss_of: Loss) -> None:
    """Softmax over negatives must not be 0 / 0 where e^s underflows."""
    for low in (-100, -1000, -1e4):
        s = np.full((2, 50), low, np.float32)
        s[:, 0] = 0
        loss, backward = loss_of(s, np.zeros(2, int))
        pi_term = {bpr: 0, bpr_max_zero: 0, bpr_max_lambda: LAMBDA * low**2}.get(loss_of, 1)
        np.testing.assert_allclose(loss, pi_term, atol=1e-6, rtol=1e-6)
        assert np.isfinite(backward()).all()


@pytest.mark.parametrize("loss_of", [bpr, bpr_max_zero], ids=lambda f: f.__name__)
def test_only_differences_of_scores_count(loss_of: Loss) -> None:
    rng = np.random.default_rng(2)
    s, target = rng.normal(size=(3, 8)), np.array([1, 0, 7])
    np.testing.assert_allclose(loss_of(s + 5, target)[0], loss_of(s, target)[0], rtol=1e-13)
    np.testing.assert_allclose(loss_of(s, target)[1]().sum(axis=1), 0, atol=1e-15)


def test_equal_scores() -> None:
    s, target = np.zeros((2, 5)), np.array([0, 4])
    assert bpr(s, target)[0] == pytest.approx(np.log(2))
    assert bpr_max(s, target)[0] == pytest.approx(np.log(2))
    assert top1(s, target)[0] == pytest.approx(1)
    assert top1_max(s, target)[0] == pytest.approx(1)


def test_identities_with_the_released_code() -> None:
    """Which sums over all columns in BPR and keeps σ(0) = ½ of the positive in TOP1."""
    rng = np.random.default_rng(4)
    s, target = rng.normal(size=(3, 9)), np.array([2, 0, 5])
    y = s - s[np.arange(3), target][:, None]
    own = s[np.arange(3), target]
    released_bpr = np.logaddexp(0, y).sum(axis=1).mean()
    assert released_bpr == pytest.approx(8 * bpr(s, target)[0] + np.log(2))
    released_top1 = (sigma(y) + sigma(s**2)).mean(axis=1) - sigma(own**2) / 9
    assert released_top1.mean() == pytest.approx(8 / 9 * top1(s, target)[0] + 0.5 / 9)


def test_many_irrelevant_negatives_drown_the_rival_in_a_mean_only() -> None:
    """|∂L/∂s_t| with one rival at +½ and the other negatives at −10: 31 and 2,079 of them."""
    slope = {}
    for name, loss_of in {
        "bpr": bpr, "top1": top1, "bpr_max": bpr_max_zero, "top1_max": top1_max, "xe": cross_entropy
    }.items():  # fmt: skip
        for negatives in (31, 2079):
            s = np.full((1, negatives + 1), -10.0)
            s[0, :2] = 0.0, 0.5
            slope[name, negatives] = -loss_of(s, np.zeros(1, int))[1]()[0, 0]
    expected = {
        "bpr": (0.020, 0.0003), "top1": (0.0076, 0.0002), "bpr_max": (0.621, 0.541),
        "top1_max": (0.235, 0.222), "xe": (0.623, 0.635),
    }  # fmt: skip
    for name, (few, many) in expected.items():
        assert slope[name, 31] == pytest.approx(few, rel=0.02)
        assert slope[name, 2079] == pytest.approx(many, rel=0.005, abs=5e-5)


@each_loss
def test_blocks_of_rows_make_no_difference(loss_of: Loss) -> None:
    rng = np.random.default_rng(5)
    columns = BLOCK // 3  # three rows to a block
    s, target = rng.normal(size=(7, columns)), rng.integers(columns, size=7)
    s[5] *= 100  # one block of bpr_max goes the other way
    loss, backward = loss_of(s, target)
    parts = [loss_of(s[i : i + 1], target[i : i + 1]) for i in range(7)]
    np.testing.assert_allclose(loss, np.mean([part[0] for part in parts]), rtol=1e-12)
    rows = np.concatenate([part[1]() for part in parts]) / 7
    np.testing.assert_allclose(backward(), rows, rtol=1e-9, atol=1e-15)
