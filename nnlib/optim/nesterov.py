"""Nesterov: momentum that looks ahead."""

from nnlib.array import Array
from nnlib.optim.momentum import Momentum


class Nesterov(Momentum):
    """Nesterov's accelerated gradient: momentum with the gradient taken where the step leads.

    In the textbook form the gradient belongs to another point than the parameters:

        v ← μ v − η g(θ + μ v),    θ ← θ + v
    Kept is the point ahead, θ̂ = θ + μ v, where the model is evaluated; the same in θ̂ is

        (1) v ← μ v − η g(θ̂)
        (2) θ̂ ← θ̂ + μ v − η g(θ̂)
    Row updates are lazy: in a dense update a row without gradient keeps rolling, here it rests.

    Arguments
        params, lr, momentum: as in Momentum
    Raises
        ValueError: an argument is outside its range.
    Source
        Nesterov 1983; the form in θ̂ is Bengio et al. 2013.
    """

    def rule(self, theta: Array, g: Array, v: Array) -> None:
        step = self.lr * g
        v *= self.momentum  # (1)
        v -= step
        theta -= step  # (2)
        theta += self.momentum * v
