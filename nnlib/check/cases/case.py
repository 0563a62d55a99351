"""What a case is, and how its numbers are drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from nnlib.array import Array
from nnlib.check.subject import Function, Parameters
from nnlib.layer import Layer

L = TypeVar("L", bound=Layer)


class Sizes(NamedTuple):
    """Sizes by the letters of the docstrings, all different so that no transposition fits."""

    B: int = 4  # batch
    T: int = 3  # time
    I: int = 2  # in
    O: int = 6  # out
    H: int = 5  # hidden
    N: int = 7  # items


SIZES = Sizes()


class Subject(NamedTuple):
    """What `check_gradients` is given."""

    f: Function
    inputs: tuple[Array, ...]
    params: Parameters = ()


Make: TypeAlias = Callable[[np.random.Generator, Sizes], Subject]


@dataclass(frozen=True)
class Case:
    """An example of one public name."""

    name: str  # the public name, then what is special about this example
    target: Callable[..., Any]  # the public object
    make: Make


def away(x: Array, by: float = 0.01) -> Array:
    """x with what lies within `by` of 0 pushed out: a kink there must not be stepped over."""
    return np.where(np.abs(x) < by, x + np.copysign(by, x), x)


def scrambled(layer: L, rng: np.random.Generator) -> L:
    """The layer with random float64 numbers in every parameter, biases included."""
    for p in layer.parameters():
        p.value = rng.normal(0, 0.7, p.value.shape)
    return layer
