"""AdamW: Adam with weight decay that its root does not divide."""

from collections.abc import Iterable

from nnlib.array import Array
from nnlib.optim.adam import Adam
from nnlib.optim.optimizer import check_not_negative
from nnlib.parameter import Parameter


class AdamW(Adam):
    """Adam with decoupled weight decay.

        (1) u = Adam's step −η M̂ / (√V̂ + ε), from the gradient of the loss alone
        (2) θ ← θ − η λ θ + u
    With λ θ added to the gradient instead (`l2_penalty`), Adam divides it by √V̂ as well: weights
    with large gradients then hardly decay, and where g is small against λ θ, the step is −η sign θ
    whatever λ is.  For SGD both are the same.

    Row updates are lazy: a row without gradient does not decay.

    Arguments
        params, lr, betas, eps: as in Adam
        weight_decay: λ ≥ 0; in a step a weight loses the fraction η λ.  Biases are commonly left
            without: give them to an optimizer of their own
    Raises
        ValueError: an argument is outside its range.
    Source
        Loshchilov & Hutter 2019, algorithm 2 · differs: there λ is multiplied by the schedule's
        factor alone and not by Adam's step size, so their λ is our η λ.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        check_not_negative("weight_decay", weight_decay)
        super().__init__(params, lr, betas, eps)
        self.weight_decay = weight_decay

    def rule(self, theta: Array, g: Array, M: Array, V: Array) -> None:
        theta *= 1 - self.lr * self.weight_decay  # (2)
        super().rule(theta, g, M, V)  # (1)
