"""Activations, each with its derivative:  y, backward = f(x);  dx = backward(dy).

Every derivative is written in terms of the output y where that is possible: y is needed by the
next layer anyway, x is not.  All are stable for |x| up to the largest float.
"""

from nnlib.array import Array, Backward, array_module

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def logistic(x: Array) -> Array:
    """σ(x) = 1 / (1 + e⁻ˣ), computed as ½ + ½ tanh(x/2): never overflows, half the time of exp."""
    y = array_module(x).tanh(x * 0.5)
    y *= 0.5
    y += 0.5
    return y


def sigmoid(x: Array) -> tuple[Array, Backward]:
    """Logistic sigmoid:  y = 1 / (1 + e⁻ˣ).

    Backward:  ∂y/∂x = y (1 − y) ≤ ¼.
    """
    y = logistic(x)
    return y, lambda dy: dy * (y * (1 - y))


def elu(x: Array, alpha: float = 1.0) -> tuple[Array, Backward]:
    """Exponential linear unit:  y = x if x > 0, α (eˣ − 1) otherwise.

    Backward:  ∂y/∂x = 1 where x > 0, otherwise α eˣ = y + α.  For α ≠ 1 it jumps at 0.

    Source
        Clevert et al. 2016, eq. 1.
    """
    xp = array_module(x)
    y = xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))
    return y, lambda dy: dy * xp.where(y > 0, 1, y + alpha)
