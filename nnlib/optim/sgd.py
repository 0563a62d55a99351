"""SGD: stochastic gradient descent."""

from nnlib.array import Array
from nnlib.optim.optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent.

        (1) θ ← θ − η g
    Row updates equal dense ones exactly: a row without gradient does not move.

    Source
        Robbins & Monro 1951.
    """

    def rule(self, theta: Array, g: Array) -> None:
        theta -= self.lr * g  # (1)
