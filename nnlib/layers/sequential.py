"""Sequential: one thing after another; its backward is the chain rule."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from nnlib.array import Array, Backward
from nnlib.layer import Layer

Step: TypeAlias = Callable[..., tuple[Any, Backward]]


class Sequential(Layer):
    """y = f_n(… f_2(f_1(x)) …);   dx = back_1(back_2(… back_n(dy) …)).

    Arguments
        steps: layers, which are given `rng`, and plain functions such as `relu`, which are not
    Raises
        ValueError: there is no step.
        TypeError: a step cannot be called.
    """

    def __init__(self, *steps: Step) -> None:
        if not steps:
            raise ValueError("Sequential(): give it at least one layer or function")
        for step in steps:
            check_step(step)
        self.steps = steps

    def __call__(self, x: Any, rng: np.random.Generator | None = None) -> tuple[Any, Backward]:
        backwards = []
        for step in self.steps:
            x, backward_step = apply(step, x, rng)
            backwards.append(backward_step)

        def backward(dx: Array) -> Array:
            for backward_step in backwards[::-1]:
                dx = backward_step(dx)
            return dx

        return x, backward


def apply(step: Step, x: Any, rng: np.random.Generator | None) -> tuple[Any, Backward]:
    """step(x), with the generator if it is a layer: plain functions take none."""
    return step(x, rng=rng) if isinstance(step, Layer) else step(x)


def check_step(step: Any) -> None:
    """Raise a TypeError unless `step` can be called; a class instead of its instance cannot."""
    if not callable(step) or isinstance(step, type):
        raise TypeError(f"{step!r} is no step: give a layer, such as Dense(2, 3, rng=rng), or relu")
