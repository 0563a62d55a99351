"""product: several inputs multiplied."""

import functools
import operator

from nnlib.array import Array, Backward


def product(*xs: Array) -> tuple[Array, Backward]:
    """Multiply two or more arrays elementwise; each gets dy times all the others.

        (1) y = x_1 ⊙ x_2 ⊙ … ⊙ x_n
    Backward
        ∂L/∂x_i = dy ⊙ Π_{j≠i} x_j, as a product: y / x_i would fail where x_i is 0.
    Shapes
        x_1 … x_n, y (..., D)
    """

    def backward(dy: Array) -> tuple[Array, ...]:
        others = (xs[:i] + xs[i + 1 :] for i in range(len(xs)))
        return tuple(functools.reduce(operator.mul, rest, dy) for rest in others)  # (1)

    return functools.reduce(operator.mul, xs), backward  # (1)
