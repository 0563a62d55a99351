"""Residual: a way around."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.layer import Layer
from nnlib.layers.sequential import Step, apply, check_step


class Residual(Layer):
    """A layer that learns what to add to its input.

        (1) y = x + f(x)
    A fork in the forward is a sum in the backward: dx = dy + back_f(dy), and the first term
    reaches the layers below undiminished.

    Shapes
        x (..., D) → y (..., D);   f keeps the shape
    Arguments
        f: a layer or a plain function
    Raises
        TypeError: f cannot be called.
    Source
        He et al. 2016, eq. 1.
    """

    def __init__(self, f: Step) -> None:
        check_step(f)
        self.f = f

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> tuple[Array, Backward]:
        fx, backward_f = apply(self.f, x, rng)
        return x + fx, lambda dy: dy + backward_f(dy)  # (1)
