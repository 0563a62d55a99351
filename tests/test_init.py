"""Initial weights: their distributions, shapes and dtype."""

from typing import Any

import numpy as np
import pytest

from nnlib.init import (
    BLANK,
    glorot,
    he,
    he_leaky,
    lecun,
    normal,
    orthogonal,
    per_gate,
    scaled,
    uniform,
)

INITS: list[Any] = [
    glorot,
    he,
    he_leaky(0.1),
    lecun,
    orthogonal,
    normal(0.1),
    uniform(0.2),
    scaled(glorot, 4),
]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("init", [*INITS, per_gate(glorot, 3)])
def test_blank_weights_are_there_to_be_overwritten(init: Any) -> None:
    a, b = init(BLANK, (20, 30)), init(BLANK, (20, 30))
    assert a.shape == (20, 30)
    assert a.dtype == np.float32
    assert not a.any()
    a[:] = 1
    assert not b.any()


@pytest.mark.parametrize("init", INITS)
def test_shape_dtype_and_seed(init: Any) -> None:
    w = init(rng(), (20, 30))
    assert w.shape == (20, 30)
    assert w.dtype == np.float32
    np.testing.assert_array_equal(w, init(rng(), (20, 30)))
    assert (w != init(np.random.default_rng(1), (20, 30))).any()


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        (glorot, 2 / (300 + 200)),  # of U(±a) the variance is a²/3
        (he, 2 / 300),
        (he_leaky(0), 2 / 300),
        (he_leaky(0.5), 2 / (1.25 * 300)),
        (scaled(glorot, 4), 16 * 2 / (300 + 200)),
        (lecun, 1 / 300),
        (normal(0.05), 0.05**2),
        (uniform(0.3), 0.3**2 / 3),
    ],
)
def test_mean_and_variance(init: Any, variance: float) -> None:
    w = init(rng(), (300, 200)).astype(np.float64)
    assert w.mean() == pytest.approx(0, abs=4 * np.sqrt(variance / w.size))
    assert w.var() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize(("init", "bound"), [(glorot, np.sqrt(6 / 500)), (uniform(0.3), 0.3)])
def test_uniform_bounds(init: Any, bound: float) -> None:
    w = np.abs(init(rng(), (300, 200)))
    assert 0.999 * bound < w.max() <= np.float32(bound)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (1, 4), (4, 1)])
def test_orthogonal_rows_or_columns(shape: tuple[int, int]) -> None:
    w = orthogonal(rng(), shape).astype(np.float64)
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-6)


def test_orthogonal_is_uniform() -> None:
    """Without the signs of R's diagonal the first element would be negative in every draw."""
    generator = rng()
    draws = np.array([orthogonal(generator, (3, 3)) for _ in range(400)])
    assert np.abs((draws > 0).mean(axis=0) - 0.5).max() < 0.1
    assert np.abs(draws.mean(axis=0)).max() < 0.12


def test_per_gate_draws_every_gate_by_its_own_bound() -> None:
    w = per_gate(glorot, 3)(rng(), (50, 3 * 40))
    assert w.shape == (50, 120)
    assert w.dtype == np.float32
    own, joint = np.sqrt(6 / (50 + 40)), np.sqrt(6 / (50 + 120))
    for gate in np.split(w, 3, axis=1):
        assert joint < np.abs(gate).max() <= np.float32(own)
    np.testing.assert_array_equal(w[:, :40], glorot(rng(), (50, 40)))


def test_per_gate_of_orthogonal_is_orthogonal_in_each_gate() -> None:
    w = per_gate(orthogonal, 2)(rng(), (4, 8)).astype(np.float64)
    for gate in np.split(w, 2, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(4), atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_he_leaky_keeps_the_second_moment_through_leaky_rectifiers(alpha: float) -> None:
    generator = rng()
    a = generator.standard_normal((400, 300))
    for _ in range(6):
        a = np.where(a > 0, a, alpha * a) @ he_leaky(alpha)(generator, (300, 300))
    assert 0.7 < np.mean(a * a) < 1.4
