"""Alpha dropout keeps what SELU keeps."""

from typing import Any

import numpy as np
import pytest

from nnlib.functional.activations import SELU_ALPHA, SELU_SCALE, selu
from nnlib.layers import AlphaDropout, Dropout


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5])
def test_mean_and_variance_stay(p: float) -> None:
    x, _ = selu(np.random.default_rng(0).normal(size=(1000, 400)))
    y, _ = AlphaDropout(p)(x, rng=np.random.default_rng(1))
    # 400,000 draws of variance 1: the standard deviation of their mean is 0.0016
    assert y.mean() == pytest.approx(0, abs=0.01)
    assert y.var() == pytest.approx(1, abs=0.015)
    plain, _ = Dropout(p)(x, rng=np.random.default_rng(1))
    assert plain.var() == pytest.approx(1 / (1 - p), rel=0.03)


def test_a_dropped_unit_is_selus_lowest_value_rescaled() -> None:
    p, c = 0.3, -SELU_SCALE * SELU_ALPHA
    x = np.random.default_rng(2).normal(size=(40, 30))
    y, backward = AlphaDropout(p)(x, rng=np.random.default_rng(3))
    dx = backward(np.ones_like(x))
    dropped = dx == 0
    assert dropped.mean() == pytest.approx(p, abs=0.05)
    A = 1 / np.sqrt(1 - p + c**2 * p * (1 - p))
    np.testing.assert_allclose(y[dropped], A * c * (1 - p), rtol=1e-12)
    np.testing.assert_allclose(y[~dropped], A * (x[~dropped] - c * p), rtol=1e-12)
    np.testing.assert_allclose(dx[~dropped], A, rtol=1e-12)
    _, back_plain = Dropout(p)(x, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(back_plain(np.ones_like(x)) == 0, dropped)


def test_single_precision_stays_single_and_has_the_same_mask() -> None:
    x = np.ones((10, 20), np.float32)
    y, backward = AlphaDropout(0.5)(x, rng=np.random.default_rng(0))
    double, _ = AlphaDropout(0.5)(x.astype(np.float64), rng=np.random.default_rng(0))
    assert y.dtype == backward(y).dtype == np.float32
    np.testing.assert_allclose(y, double, rtol=1e-6)


@pytest.mark.parametrize(("p", "rng"), [(0.0, np.random.default_rng(0)), (0.5, None)])
def test_without_noise_it_is_the_identity(p: float, rng: Any) -> None:
    x = np.random.default_rng(4).normal(size=(3, 4))
    y, backward = AlphaDropout(p)(x, rng=rng)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(backward(2 * x), 2 * x)


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_probabilities(p: float) -> None:
    with pytest.raises(ValueError, match=rf"p={p}: the probability of dropping must be at least 0"):
        AlphaDropout(p)
