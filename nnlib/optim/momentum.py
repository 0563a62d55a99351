"""Momentum: the heavy ball."""

from collections.abc import Iterable

from nnlib.array import Array
from nnlib.optim.optimizer import Optimizer, check_fraction
from nnlib.parameter import Parameter


class Momentum(Optimizer):
    """Gradient descent with momentum ("heavy ball"): the step remembers the steps before.

        (1) v ← μ v − η g
        (2) θ ← θ + v
    A constant gradient ends in steps of η g / (1 − μ).  Beware the form v ← μ v + (1 − μ) g of
    other libraries: its η is smaller by 1 − μ.

    Row updates are lazy: in a dense update a row without gradient keeps rolling by v ← μ v, here
    it rests, with its v, until its next gradient.

    Arguments
        params, lr: as in Optimizer
        momentum: μ in [0, 1)
    Raises
        ValueError: an argument is outside its range.
    Source
        Polyak 1964.
    """

    slot_names = ("v",)

    def __init__(self, params: Iterable[Parameter], lr: float, momentum: float = 0.9) -> None:
        check_fraction("momentum", momentum)
        super().__init__(params, lr)
        self.momentum = momentum

    def rule(self, theta: Array, g: Array, v: Array) -> None:
        v *= self.momentum  # (1)
        v -= self.lr * g
        theta += v  # (2)
