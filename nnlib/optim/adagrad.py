"""Adagrad: a learning rate of its own for every weight, falling with its past gradients."""

from collections.abc import Iterable

from nnlib.array import Array, array_module
from nnlib.functional.updates import adagrad, adagrad_rows
from nnlib.optim.optimizer import Optimizer, check_fraction, check_not_negative
from nnlib.parameter import Parameter


class Adagrad(Optimizer):
    """Adagrad: weights that rarely get a gradient keep a large learning rate.

        (1) G ← G + g²
        (2) u = −η g / (√G + ε)
        (3) θ ← θ + u                           without momentum
        (4) v ← μ v + u,  θ ← θ + v             with momentum μ > 0
    The first step is −η sign(g), whatever the size of g, if ε and the initial G are negligible.

    Row updates equal dense ones exactly without momentum (repeated ids are summed before they
    are squared), for G and θ of a row without gradient do not change.  With momentum they are
    lazy: such a row rests, with its v, instead of rolling on.

    GRU4Rec's optimizer, whose step is −η g / √(G + 10⁻⁶) with G from 0, is
    `Adagrad(params, lr, momentum, initial=1e-6, eps=0.0)`.

    Arguments
        params, lr: as in Optimizer
        momentum: μ in [0, 1), the heavy ball on Adagrad's step
        initial: G before the first step; ≥ 0
        eps: ε ≥ 0, outside the root as in the paper; with initial = 0 as well, a weight whose
            gradients are all 0 becomes NaN
    Raises
        ValueError: an argument is outside its range.
    Source
        Duchi, Hazan & Singer 2011 · Hidasi et al. 2016 for momentum · differs: the deck prints ε
        inside the root.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float,
        momentum: float = 0.0,
        initial: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        check_fraction("momentum", momentum)
        check_not_negative("initial", initial)
        check_not_negative("eps", eps)
        self.momentum, self.initial, self.eps = momentum, initial, eps
        self.slot_names = ("G", "v") if momentum else ("G",)
        super().__init__(params, lr)

    def initial_slot(self, name: str, value: Array) -> Array:
        fill = self.initial if name == "G" else 0.0
        return array_module(value).full_like(value, fill)

    def rule(self, theta: Array, g: Array, G: Array, v: Array | None = None) -> None:
        adagrad(theta, g, G, v, **self._settings())

    def _update_whole(self, theta: Array, g: Array, *slots: Array) -> None:
        self.rule(theta, g, *slots)  # which goes through the array in pieces itself, or at once

    def _update_rows(self, p: Parameter, *slots: Array) -> None:
        ids, g, _, looked_up = p.row_grad()
        adagrad_rows(p.value, ids, g, *slots, **self._settings(), looked_up=looked_up)

    def _settings(self) -> dict[str, float]:
        return {"lr": self.lr, "momentum": self.momentum, "eps": self.eps}
