"""Kernels of scores and losses against their references, and exp and tanh against float64."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from nnlib.array import COMPILED, Array
from nnlib.compiled import compiled_kernels, numba_problem
from nnlib.functional import activations, ranking, ranks, scores, softmax

if problem := numba_problem():
    pytest.skip(problem, allow_module_level=True)

from numba import njit

from nnlib.compiled import elementary, row_losses

seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(1, 20), st.integers(2, 150))  # more items than a tile has


def compiled(name: str) -> Any:
    with compiled_kernels():
        return COMPILED[name]


def by_kernel(op: Any, *arguments: Any) -> Any:
    """What the kernel gives, which may not leave the work to its reference."""

    def reference(*_: Any) -> None:
        pytest.fail("the reference did the work")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(op, "__wrapped__", reference)
        return compiled(op.__name__)(*arguments)


def close(found: Array, expected: Array, tolerance: float = 2e-6) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    scale = max(1.0, float(abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def block(size: tuple[int, int], spread: float, seed: int) -> tuple[Array, Array, Array]:
    """Scores in item-major order, targets, and counts of which some are 0 (padding)."""
    (B, U), rng = size, np.random.default_rng(seed)
    s = np.asfortranarray(rng.normal(scale=spread, size=(B, U)).astype(np.float32))
    target = rng.integers(U, size=B)
    count = rng.integers(0, 4, U).astype(np.float32)
    count[target] = np.maximum(count[target], 1)
    count[0] = max(count[0], 2)  # so that every row has a negative
    return s, target, count


@settings(max_examples=40, deadline=None)
@given(size=sizes, spread=st.sampled_from([0.1, 2.0]), weighed=st.booleans(), seed=seeds)
def test_cross_entropy(size: Any, spread: float, weighed: bool, seed: int) -> None:
    s, target, count = block(size, spread, seed)
    weight = count if weighed else None
    before = s.copy()
    found = by_kernel(softmax.cross_entropy, s, target, weight)
    for x, y in zip(found, softmax.cross_entropy.__wrapped__(s, target, weight), strict=True):
        close(x, y)
    assert (s == before).all()


@settings(max_examples=40, deadline=None)
@given(size=sizes, spread=st.sampled_from([0.1, 2.0]), seed=seeds)
def test_bpr_max(size: Any, spread: float, seed: int) -> None:
    s, target, count = block(size, spread, seed)
    before = s.copy()
    found = by_kernel(ranking.bpr_max, s, target, count, 0.7)
    exact = ranking.bpr_max_in_logs(s.astype(float), target, count.astype(float), 0.7)
    close(found.losses, exact.losses.astype(np.float32))
    gradient = exact.G * exact.scale[:, None]
    close(found.G * found.scale[:, None], gradient.astype(np.float32))
    assert (s == before).all()


@pytest.mark.parametrize("name", ["cross_entropy", "bpr_max"])
@pytest.mark.parametrize("worst", [90.0, -200.0, np.nan])
def test_scores_too_far_apart_go_to_the_reference(name: str, worst: float) -> None:
    """A target at 90 has no exp, all scores at −200 have the sum 0: the shifted form is exact."""
    s, target, count = block((3, 70), 1.0, 0)
    s[1] = worst
    options = (0.5,) if name == "bpr_max" else ()
    op = {"cross_entropy": softmax.cross_entropy, "bpr_max": ranking.bpr_max}[name]
    found = compiled(name)(s, target, count, *options)
    expected = op.__wrapped__(s, target, count, *options)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)
    assert np.isfinite(found.losses[[0, 2]]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_other_orders_and_types_go_to_the_reference(dtype: type) -> None:
    s, target, count = block((3, 70), 1.0, 0)
    s = s.astype(dtype) if dtype is np.float64 else np.ascontiguousarray(s)
    count = count.astype(dtype)
    for name, op, options in (
        ("cross_entropy", softmax.cross_entropy, ()),
        ("bpr_max", ranking.bpr_max, (0.5,)),
    ):
        expected = op.__wrapped__(s, target, count, *options)
        for x, y in zip(compiled(name)(s, target, count, *options), expected, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mine", [True, False])
def test_item_scores(dtype: type, mine: bool) -> None:
    rng, n = np.random.default_rng(0), row_losses.WARM + 9
    shapes = (5, 7), (n, 7), n, 5 * n + 3
    h, rows, bias, memory = (rng.normal(size=shape).astype(dtype) for shape in shapes)
    expected = h @ rows.T + bias
    for f in (scores.item_scores.__wrapped__, compiled("item_scores")):
        found = f(h, rows, bias, memory if mine else None)
        assert np.shares_memory(found, memory) == mine
        close(found, expected, 1e-6)
    assert found.flags.f_contiguous


def test_item_rank_counts() -> None:
    """Of small whole numbers, whose sums are exact and often equal, in several tiles."""
    rng, n = np.random.default_rng(0), 2 * row_losses.WARM + 9
    h, rows, bias = (rng.integers(-2, 3, shape).astype(np.float32) for shape in ((7, 5), (n, 5), n))
    target = rng.integers(n, size=7)
    expected = ranks.item_rank_counts.__wrapped__(h, rows, bias, target)
    assert (expected[1] > expected[0] + 1).all()
    for x, y in zip(
        by_kernel(ranks.item_rank_counts, h, rows, bias, target), expected, strict=True
    ):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    wide = [a.astype(np.float64) for a in (h, rows, bias)]
    for x, y in zip(compiled("item_rank_counts")(*wide, target), expected, strict=True):
        np.testing.assert_array_equal(x, y)
    h[2, 3] = np.nan
    squares = by_kernel(ranks.item_rank_counts, h, rows, bias, target)[2]
    assert np.isnan(squares).tolist() == [i == 2 for i in range(7)]


@pytest.mark.parametrize("side", [-np.inf, 0, np.inf])
def test_a_target_whose_two_products_were_rounded_differently_is_its_own_equal(side: float) -> None:
    s = np.arange(12, dtype=np.float32).reshape(6, 2)
    place = np.array([2, -1])  # of the second row's target in a tile before this one
    at_target = np.array([np.nextafter(s[2, 0], np.float32(side)) if side else s[2, 0], 99], "f4")
    (above, at_least), squares = np.zeros((2, 2), np.int32), np.zeros(2, np.float32)
    row_losses._rank_counts(s, np.zeros(6, "f4"), place, at_target, above, at_least, squares)
    assert above.tolist() == [3, 0]
    assert at_least.tolist() == [4, 0]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_elu(order: Any, alpha: float) -> None:
    rng = np.random.default_rng(0)
    x = np.array(rng.normal(scale=3, size=(6, 50)), np.float32, order=order)
    dy = rng.normal(size=(6, 50)).astype(np.float32)
    (y, backward), (mine, my_backward) = (
        f(x, alpha) for f in (activations.elu.__wrapped__, compiled("elu"))
    )
    close(mine, y, 3e-7)
    close(my_backward(dy), backward(dy), 3e-7)
    apart, wide = compiled("elu")(x[:, ::2], alpha)[0], compiled("elu")(x.astype(float), alpha)[0]
    np.testing.assert_array_equal(apart, activations.elu.__wrapped__(x[:, ::2], alpha)[0])
    np.testing.assert_array_equal(wide, activations.elu.__wrapped__(x.astype(float), alpha)[0])


def over(f: Any) -> Any:
    @njit(error_model="numpy")
    def loop(x, y):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            y[i] = f(x[i])

    def apply(x: Array) -> Array:
        loop(x, y := np.empty_like(x))
        return y

    return apply


@pytest.mark.slow
def test_elementary_functions() -> None:
    small = np.logspace(-20, 0, 5000)
    x = np.concatenate([np.linspace(-87, 88, 500_000), small, -small]).astype(np.float32)
    wide = x.astype(np.float64)
    found = over(elementary.exp)(x)
    assert abs(found / np.exp(wide) - 1).max() < 1.5e-7
    found = over(elementary.tanh)(x)
    assert abs(found / np.tanh(wide) - 1)[wide != 0].max() < 2.5e-7
    found = over(elementary.logistic)(x)
    assert abs(found - 0.5 - 0.5 * np.tanh(wide / 2)).max() < 1e-7
    low = x[x < 15]
    found = over(elementary.expm1)(low)
    assert abs(found / np.expm1(low.astype(float)) - 1)[low != 0].max() < 3e-7
    edge = np.array([np.nan, np.inf, -np.inf, 1000, -1000, 88.3, -88], np.float32)
    np.testing.assert_allclose(
        over(elementary.exp)(edge), [np.nan, np.inf, 0, np.inf, 0, np.exp(88.3), 0], rtol=1e-5
    )
    np.testing.assert_array_equal(over(elementary.tanh)(edge), [np.nan, 1, -1, 1, -1, 1, -1])
