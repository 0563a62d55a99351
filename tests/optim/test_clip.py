"""Clipping by the global norm, for dense and row gradients."""

import numpy as np
import pytest

from nnlib.optim import clip_global_norm
from nnlib.parameter import Parameter


def three(dtype: type = np.float64) -> list[Parameter]:
    """A dense gradient, row gradients with repeated ids, both together."""
    rng = np.random.default_rng(0)
    p, q, r, unused = (Parameter(np.zeros((5, 2), dtype)) for _ in range(4))
    p.accumulate(rng.normal(size=(5, 2)).astype(dtype))
    q.accumulate_rows(np.array([1, 1, 4]), rng.normal(size=(3, 2)).astype(dtype))
    q.accumulate_rows(np.array([0]), rng.normal(size=(1, 2)).astype(dtype), distinct=True)
    r.accumulate(rng.normal(size=(5, 2)).astype(dtype))
    r.accumulate_rows(np.array([2, 2]), rng.normal(size=(2, 2)).astype(dtype))
    return [p, q, r, unused]


def whole(params: list[Parameter]) -> np.ndarray:
    return np.concatenate([p.dense_grad().ravel() for p in params])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scales_to_the_norm(dtype: type) -> None:
    params = three(dtype)
    g = whole(params)
    norm = clip_global_norm([*params, params[0]], 0.5)  # a repeated parameter counts once
    rtol = 1e-6 if dtype is np.float32 else 1e-13
    np.testing.assert_allclose(norm, np.linalg.norm(g), rtol=rtol)
    np.testing.assert_allclose(whole(params), g * 0.5 / np.linalg.norm(g), rtol=rtol)
    assert params[0].grad is not None
    assert params[0].grad.dtype == params[1].rows[0].values.dtype == dtype
    assert params[1].grad is None, "row gradients must stay rows"


def test_short_gradients_stay() -> None:
    params = three()
    g = whole(params)
    norm = clip_global_norm(params, 100.0)
    assert norm == pytest.approx(np.linalg.norm(g))
    np.testing.assert_array_equal(whole(params), g)


def test_row_values_of_the_caller_are_not_written_to() -> None:
    p, values = Parameter(np.zeros((3, 2))), np.full((2, 2), 10.0)
    values.flags.writeable = False
    p.accumulate_rows(np.array([0, 2]), values, distinct=True)
    clip_global_norm([p], 1.0)
    np.testing.assert_allclose(p.dense_grad()[[0, 2]], 0.5)


def test_a_norm_that_is_not_finite_leaves_the_gradients() -> None:
    for bad in (np.nan, np.inf):
        params = three()
        assert params[0].grad is not None
        params[0].grad[0, 0] = bad
        g = whole(params)
        assert not np.isfinite(clip_global_norm(params, 1.0))
        np.testing.assert_array_equal(whole(params), g)


def test_squares_that_overflow_single_precision() -> None:
    p = Parameter(np.zeros(4, np.float32))
    p.accumulate(np.full(4, 1e30, np.float32))
    np.testing.assert_allclose(clip_global_norm([p], 1.0), 2e30, rtol=1e-6)
    np.testing.assert_allclose(p.grad, 0.5, rtol=1e-6)


def test_no_gradients_and_bad_limits() -> None:
    assert clip_global_norm([Parameter(np.zeros(3))], 1.0) == 0
    assert clip_global_norm([], 1.0) == 0
    zero = Parameter(np.zeros(3))
    zero.accumulate(np.zeros(3))
    assert clip_global_norm([zero], 1.0) == 0
    for bad in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"max_norm=.*must be positive and finite"):
            clip_global_norm([], bad)
