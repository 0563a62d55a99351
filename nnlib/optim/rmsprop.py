"""RMSProp: gradients divided by a moving average of their size."""

from collections.abc import Iterable

from nnlib.array import Array, array_module
from nnlib.optim.optimizer import Optimizer, check_fraction, check_not_negative
from nnlib.parameter import Parameter


class RMSProp(Optimizer):
    """RMSProp: Adagrad that forgets, so that its learning rates do not fall to 0.

        (1) G ← γ G + (1 − γ) g²
        (2) θ ← θ − η g / (√G + ε)
    G starts at 0 and is not corrected for it: the first step is η / √(1 − γ) = 3.2 η for γ = 0.9.

    Row updates are lazy: G of a row without gradient does not decay.

    Arguments
        params, lr: as in Optimizer
        decay: γ in [0, 1)
        eps: ε ≥ 0, outside the root; with 0, a weight whose gradients are all 0 becomes NaN
    Raises
        ValueError: an argument is outside its range.
    Source
        Tieleman & Hinton 2012, lecture 6.5 (which has no ε) · differs: the deck prints ε inside
        the root.
    """

    slot_names = ("G",)

    def __init__(
        self, params: Iterable[Parameter], lr: float = 1e-3, decay: float = 0.9, eps: float = 1e-8
    ) -> None:
        check_fraction("decay", decay)
        check_not_negative("eps", eps)
        super().__init__(params, lr)
        self.decay, self.eps = decay, eps

    def rule(self, theta: Array, g: Array, G: Array) -> None:
        xp = array_module(g)
        u = xp.square(g)
        u *= 1 - self.decay
        G *= self.decay  # (1)
        G += u
        xp.sqrt(G, out=u)
        u += self.eps
        xp.divide(g, u, out=u)
        u *= self.lr
        theta -= u  # (2)
