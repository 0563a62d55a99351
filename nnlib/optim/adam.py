"""Adam: momentum and RMSProp, both corrected for their start at 0."""

from collections.abc import Iterable

from nnlib.array import Array, array_module
from nnlib.optim.optimizer import Optimizer, check_fraction, check_not_negative
from nnlib.parameter import Parameter


class Adam(Optimizer):
    """Adam: adaptive moment estimation.

        (1) M ← β₁ M + (1 − β₁) g
        (2) V ← β₂ V + (1 − β₂) g²
        (3) M̂ = M / (1 − β₁ᵗ),   V̂ = V / (1 − β₂ᵗ)          t counts steps from 1
        (4) θ ← θ − η M̂ / (√V̂ + ε)
    (3) makes up for the start at 0: the first step is −η sign(g); without it 3.2 times as long.

    Row updates are lazy: M and V of a row without gradient do not decay and the row does not
    move, while a dense update keeps moving it by M; t counts the steps of all.

    Arguments
        params, lr: as in Optimizer
        betas: (β₁, β₂), both in [0, 1)
        eps: ε ≥ 0, outside the root; with 0, a weight whose gradients are all 0 becomes NaN
    Raises
        ValueError: an argument is outside its range.
    Source
        Kingma & Ba 2015, algorithm 1 · differs: the deck prints ε inside the root, where 10⁻⁸
        shortens the steps of weights with |g| < 10⁻⁴.
    """

    slot_names = ("M", "V")

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        check_fraction("betas[0]", betas[0])
        check_fraction("betas[1]", betas[1])
        check_not_negative("eps", eps)
        super().__init__(params, lr)
        self.betas, self.eps = betas, eps

    def rule(self, theta: Array, g: Array, M: Array, V: Array) -> None:
        xp = array_module(g)
        beta1, beta2 = self.betas
        u = g * (1 - beta1)
        M *= beta1  # (1)
        M += u
        xp.square(g, out=u)
        u *= 1 - beta2
        V *= beta2  # (2)
        V += u
        # (3) in (4): M̂ / (√V̂ + ε) = a M / (√V + ε √c₂) with c = 1 − βᵗ and a = √c₂ / c₁
        root_c2 = (1 - beta2**self.t) ** 0.5
        xp.sqrt(V, out=u)
        u += self.eps * root_c2
        xp.divide(M, u, out=u)
        u *= self.lr * root_c2 / (1 - beta1**self.t)
        theta -= u  # (4)
