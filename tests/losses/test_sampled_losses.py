"""Negative sampling against its definition, and what its edges do."""

import numpy as np
import pytest

from nnlib.check import assert_gradients
from nnlib.losses import negative_sampling


def test_value() -> None:
    rng = np.random.default_rng(0)
    positive, negative, weight = rng.normal(size=5), rng.normal(size=(5, 3)), rng.random(5)
    sigma = lambda x: 1 / (1 + np.exp(-x))
    rows = [
        -np.log(sigma(p)) - sum(np.log(sigma(-n)) for n in ns)
        for p, ns in zip(positive, negative, strict=True)
    ]
    assert negative_sampling(positive, negative)[0] == pytest.approx(np.mean(rows))
    weighted = negative_sampling(positive, negative, weight)[0]
    assert weighted == pytest.approx(np.mean(weight * np.array(rows)))


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    weight = rng.random(4) if weighted else None
    f = lambda positive, negative: negative_sampling(positive, negative, weight)
    assert_gradients(f, 3 * rng.normal(size=4), 3 * rng.normal(size=(4, 6)))


def test_at_zero_every_score_is_a_coin() -> None:
    loss, backward = negative_sampling(np.zeros(2), np.zeros((2, 5)))
    assert loss == pytest.approx(6 * np.log(2))
    dpositive, dnegative = backward()
    np.testing.assert_array_equal(dpositive, -0.25)
    np.testing.assert_array_equal(dnegative, 0.25)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_negative_at_minus_infinity_does_not_count(dtype: type) -> None:
    rng = np.random.default_rng(2)
    positive, negative = rng.normal(size=3).astype(dtype), rng.normal(size=(3, 4)).astype(dtype)
    longer = np.insert(negative, 2, -np.inf, axis=1)
    loss, backward = negative_sampling(positive, negative)
    loss_longer, back_longer = negative_sampling(positive, longer)
    assert loss == loss_longer
    assert loss.dtype == dtype
    np.testing.assert_array_equal(backward()[0], back_longer()[0])
    np.testing.assert_array_equal(np.insert(backward()[1], 2, 0, axis=1), back_longer()[1])


def test_far_out_in_single_precision() -> None:
    loss, backward = negative_sampling(
        np.array([-1e4, 1e4], np.float32), np.array([[1e4], [-1e4]], np.float32)
    )
    assert loss == 1e4
    np.testing.assert_array_equal(backward()[0], [-0.5, 0])
    np.testing.assert_array_equal(backward()[1], [[0.5], [0]])
