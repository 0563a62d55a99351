"""L2 in the gradient, L1 by its proximal step."""

import numpy as np
import pytest

from nnlib.optim import SGD, l2_penalty, soft_threshold
from nnlib.parameter import Parameter


def test_the_l2_gradient_is_that_of_the_penalty() -> None:
    rng = np.random.default_rng(0)
    p, q = Parameter(rng.normal(size=(3, 2))), Parameter(rng.normal(size=4))
    p.accumulate(np.ones((3, 2)))
    penalty = l2_penalty([p, q, p], 0.7)
    assert penalty == pytest.approx(0.35 * ((p.value**2).sum() + (q.value**2).sum()))
    analytic = [p.dense_grad() - 1, q.dense_grad()]
    for parameter, g in zip((p, q), analytic, strict=True):
        for at in np.ndindex(parameter.value.shape):
            kept = parameter.value[at]
            values = []
            for moved in (kept + 1e-6, kept - 1e-6):
                parameter.value[at] = moved
                values.append(float(l2_penalty([p, q], 0.7)))
            parameter.value[at] = kept
            assert g[at] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8)


def test_with_sgd_l2_is_weight_decay() -> None:
    theta, g = np.array([2.0, -3.0]), np.array([0.5, 0.25])
    p = Parameter(theta.copy())
    p.accumulate(g.copy())
    l2_penalty([p], 0.3)
    SGD([p], 0.1).step()
    np.testing.assert_allclose(p.value, (1 - 0.1 * 0.3) * theta - 0.1 * g, rtol=1e-14)


def test_l2_counts_every_row_of_a_table() -> None:
    E = Parameter(np.ones((4, 2)))
    E.accumulate_rows(np.array([1, 1]), np.ones((2, 2)))
    l2_penalty([E], 0.5)
    np.testing.assert_allclose(E.dense_grad(), [[0.5, 0.5], [2.5, 2.5], [0.5, 0.5], [0.5, 0.5]])


def test_soft_threshold_is_the_proximal_step() -> None:
    """argmin over z of ½ (z − θ)² + a |z|, by trying all z of a grid."""
    grid, a = np.linspace(-3, 3, 60_001), 0.4
    p = Parameter(np.array([1.7, -0.9, 0.3, -0.39, 0.0, 0.41, -0.4]))
    best = [grid[np.argmin(0.5 * (grid - theta) ** 2 + a * abs(grid))] for theta in p.value]
    soft_threshold([p, p], a)
    np.testing.assert_allclose(p.value, best, atol=1e-4)
    assert (p.value[[2, 3, 4, 6]] == 0).all()


def test_steps_and_thresholds_find_the_lasso() -> None:
    """For orthonormal columns the solution is soft thresholding of Xᵀt, in one formula."""
    rng = np.random.default_rng(1)
    X, _ = np.linalg.qr(rng.normal(size=(12, 5)))
    t = X @ [2.0, 0, -1, 0, 0.5] + 0.1 * rng.normal(size=12)
    p = Parameter(np.zeros(5))
    optimizer = SGD([p], 0.5)
    for _ in range(100):
        p.accumulate(X.T @ (X @ p.value - t))
        optimizer.step()
        soft_threshold([p], 0.5 * 0.3)
    z = X.T @ t
    np.testing.assert_allclose(p.value, np.sign(z) * np.maximum(abs(z) - 0.3, 0), atol=1e-12)
    assert (p.value == 0).sum() == 2


def test_single_precision_and_ranges() -> None:
    p = Parameter(np.ones(2, np.float32))
    assert l2_penalty([], 1.0) == 0
    l2_penalty([p], 0.1)
    soft_threshold([p], 0.1)
    assert p.value.dtype == p.dense_grad().dtype == np.float32
    for bad in (-0.1, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"strength=.*: it must be finite and not negative"):
            l2_penalty([p], bad)
        with pytest.raises(ValueError, match=r"amount=.*: it must be finite and not negative"):
            soft_threshold([p], bad)
