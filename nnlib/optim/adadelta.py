"""Adadelta: steps in the units of the weights, without a learning rate to choose."""

from collections.abc import Iterable

from nnlib.array import Array, array_module
from nnlib.optim.optimizer import Optimizer, check_fraction
from nnlib.parameter import Parameter


class Adadelta(Optimizer):
    """Adadelta: the learning rate is the size of the past steps.

        (1) G ← ρ G + (1 − ρ) g²
        (2) u = √(D + ε) / √(G + ε) · g
        (3) D ← ρ D + (1 − ρ) u²
        (4) θ ← θ − η u
    With D = 0 at first, ε decides the first step: it is √(ε / (1 − ρ)) = 0.0045 by default.
    As the step is as long as past steps, it comes near a minimum but not to rest there.

    Row updates are lazy: G and D of a row without gradient do not decay.

    Arguments
        params: as in Optimizer
        lr: η, 1 in the paper, which has none
        decay: ρ in [0, 1)
        eps: ε > 0, inside both roots as in the paper; with 0 nothing would ever move
    Raises
        ValueError: an argument is outside its range.
    Source
        Zeiler 2012, algorithm 1.
    """

    slot_names = ("G", "D")

    def __init__(
        self, params: Iterable[Parameter], lr: float = 1.0, decay: float = 0.95, eps: float = 1e-6
    ) -> None:
        check_fraction("decay", decay)
        if not 0 < eps < float("inf"):
            raise ValueError(f"eps={eps!r}: it must be positive and finite")
        super().__init__(params, lr)
        self.decay, self.eps = decay, eps

    def rule(self, theta: Array, g: Array, G: Array, D: Array) -> None:
        xp = array_module(g)
        square = xp.square(g)
        square *= 1 - self.decay
        G *= self.decay  # (1)
        G += square
        u = D + self.eps  # (2): the quotient first, then one root instead of two
        xp.add(G, self.eps, out=square)
        u /= square
        xp.sqrt(u, out=u)
        u *= g
        xp.square(u, out=square)  # (3)
        square *= 1 - self.decay
        D *= self.decay
        D += square
        u *= self.lr  # (4)
        theta -= u
