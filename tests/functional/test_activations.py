"""Activations: closed forms, extremes, the conventions at 0, and the deck's slip."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.check import check_gradients
from nnlib.functional import activations
from nnlib.functional.activations import (
    SELU_ALPHA,
    SELU_SCALE,
    elu,
    leaky_relu,
    logistic,
    relu,
    selu,
    sigmoid,
    softmax,
    softplus,
    tanh,
)

ELEMENTWISE = [sigmoid, tanh, relu, leaky_relu, elu, selu, softplus]
FORMULAS: dict[str, Callable[[float], float]] = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x)),
    "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "softplus": lambda x: math.log(1 + math.exp(x)),
}
AT_ZERO = {"sigmoid": 0.25, "tanh": 1, "relu": 0, "leaky_relu": 1, "elu": 1, "softplus": 0.5}


@pytest.mark.parametrize("f", ELEMENTWISE, ids=lambda f: f.__name__)
def test_formula(f: Any) -> None:
    x = np.linspace(-6, 6, 121)
    y, _ = f(x)
    np.testing.assert_allclose(y, [FORMULAS[f.__name__](v) for v in x], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [*ELEMENTWISE, softmax], ids=lambda f: f.__name__)
def test_extremes_are_finite_without_a_warning_and_keep_the_dtype(f: Any, dtype: type) -> None:
    x = np.array([-1e38, -1e4, -100, -1e-30, 0, 1e-30, 100, 1e4, 1e38], dtype)
    y, backward = f(x)
    dx = backward(np.ones_like(x))
    assert y.dtype == dx.dtype == dtype
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()
    if f is not softmax:
        assert (np.diff(y) >= 0).all()


@pytest.mark.parametrize("f", ELEMENTWISE, ids=lambda f: f.__name__)
def test_derivative_at_zero(f: Any) -> None:
    _, backward = f(np.array([0.0, -0.0]))
    expected = AT_ZERO.get(f.__name__, SELU_SCALE)
    np.testing.assert_allclose(backward(np.ones(2)), expected, rtol=1e-15)


def test_derivatives_beside_zero() -> None:
    """α ≠ 1 makes the derivative of ELU jump; SELU's jumps from λα to λ."""
    x, one = np.array([-1e-9, 1e-9]), np.ones(2)
    np.testing.assert_allclose(elu(x, alpha=0.5)[1](one), [0.5, 1], rtol=1e-8)
    np.testing.assert_allclose(selu(x)[1](one), [1.758, 1.051], atol=5e-4)
    np.testing.assert_allclose(leaky_relu(x, alpha=0.3)[1](one), [0.3, 1], rtol=1e-12)


def test_the_decks_derivative_of_selu_is_wrong() -> None:
    def deck(x: Array) -> tuple[Array, Any]:
        y, _ = selu(x)
        return y, lambda dy: dy * np.where(y > 0, SELU_SCALE, SELU_SCALE * (y + SELU_ALPHA))

    x = np.array([-1.2])
    assert check_gradients(selu, x).passed
    [row] = check_gradients(deck, x).rows
    assert row.error > 0.1
    assert selu(x)[1](np.ones(1)) == pytest.approx(0.530, abs=5e-4)
    assert deck(x)[1](np.ones(1)) == pytest.approx(0.467, abs=5e-4)


def test_selu_keeps_mean_0_and_variance_1() -> None:
    y, _ = selu(np.random.default_rng(0).standard_normal(1_000_000))
    assert y.mean() == pytest.approx(0, abs=0.005)
    assert y.var() == pytest.approx(1, abs=0.01)


def test_logistic_may_write_over_its_input() -> None:
    x = np.array([-2.0, 0.0, 3.0])
    expected = logistic(x)
    np.testing.assert_array_equal(x, [-2, 0, 3])
    assert logistic(x, out=x) is x
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_allclose(logistic(np.array([2.0, 0.0, -3.0])), 1 - expected, rtol=1e-15)
    assert logistic(np.array(0.0)) == 0.5


def test_softplus_is_the_integral_of_the_logistic() -> None:
    x = np.array([-40.0, -3.0, 0.5, 40.0])
    y, backward = softplus(x)
    np.testing.assert_allclose(backward(np.ones(4)), 1 / (1 + np.exp(-x)), rtol=1e-14)
    np.testing.assert_allclose(y - softplus(-x)[0], x, rtol=1e-15)


def test_softmax_sums_to_1_and_ignores_a_shift() -> None:
    x = np.random.default_rng(0).normal(0, 3, (2, 4, 5))
    y, backward = softmax(x)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-15)
    np.testing.assert_allclose(softmax(x + 1000)[0], y, rtol=1e-12)
    np.testing.assert_allclose(y, np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(backward(np.ones_like(x)), 0, atol=1e-15)
    one = np.zeros_like(x)
    one[..., 2] = 1
    jacobian = y * (np.eye(5)[2] - y[..., 2:3])
    np.testing.assert_allclose(backward(one), jacobian, rtol=1e-12)


def test_the_table_in_the_docstring_names_every_activation() -> None:
    for f in [*ELEMENTWISE, softmax]:
        assert f"    {f.__name__} " in (activations.__doc__ or "")
