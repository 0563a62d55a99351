"""Squared error: its convention (½, sum over outputs, mean over the batch) and its gradient."""

import numpy as np

from nnlib.check import assert_gradients
from nnlib.losses import squared


def test_gradient() -> None:
    rng = np.random.default_rng(0)
    target, weight = rng.normal(size=(4, 3)), rng.random((4, 3))
    assert_gradients(lambda y: squared(y, target), rng.normal(size=(4, 3)))
    assert_gradients(lambda y: squared(y, target, weight), rng.normal(size=(4, 3)))
    assert_gradients(lambda y: squared(y, target, weight[:, :1]), rng.normal(size=(4, 3)))


def test_convention() -> None:
    y, target = np.array([[3.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 4.0]])
    loss, backward = squared(y, target)
    assert loss == (0.5 * 2**2 + 0.5 * 4**2) / 2
    np.testing.assert_array_equal(backward(), np.array([[2.0, 0.0], [0.0, -4.0]]) / 2)
    assert squared(y, target, 10)[0] == 10 * loss
    assert squared(y[:, 0], target[:, 0])[0] == 0.5 * 2**2 / 2  # (B,): one output


def test_dtype_of_the_prediction() -> None:
    loss, backward = squared(np.ones((2, 2), np.float32), np.zeros((2, 2)), np.ones(2))
    assert loss.dtype == backward().dtype == np.float32
