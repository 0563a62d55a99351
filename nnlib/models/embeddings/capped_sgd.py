"""CappedSGD: word2vec's step of η for every prediction, taken for many predictions at once."""

from collections.abc import Sequence

import numpy as np

from nnlib.array import Array, array_module
from nnlib.functional.sparse_products import add_scaled_rows
from nnlib.optim import Optimizer
from nnlib.parameter import Parameter


class CappedSGD(Optimizer):
    """SGD on sums over a batch, in which the steps of frequent rows are shortened.

        (1) θ_i ← θ_i − η r c_i g_i
        (2) c_i = min(1, longest / (η₀ r v_i))
    g is a sum over examples, as if each took its own step of η r; v_i is how many of them are
    expected to touch row i.  A hundred such steps in one place, all from the same point, would
    overshoot: at word2vec's rates a batch of a thousand tokens diverges without (2).

    Row updates equal dense ones exactly: a row without gradient does not move.

    Arguments
        params: tables (N, D)
        visits: for each of them v (N,), expected examples of each row in a batch
        lr: η₀ > 0, what η starts with
        rates: r of each of them, > 0
        longest: step of a row that is not shortened, > 0; 1.6 are 64 examples at η₀ = 0.025
    """

    def __init__(
        self,
        params: Sequence[Parameter],
        visits: Sequence[Array],
        lr: float,
        rates: Sequence[float],
        longest: float = 1.6,
    ) -> None:
        super().__init__(params, lr)
        self.factors: list[Array] = []  # −r c of each table
        for p, v, r in zip(self.params, visits, rates, strict=True):
            c = np.minimum(1, longest / np.maximum(lr * r * v, 1e-9))  # (2)
            self.factors.append(array_module(p.value).asarray(-r * c, p.value.dtype))
        self._scratch = [array_module(f).empty(len(f), np.int32) for f in self.factors]

    def step(self) -> None:
        """Update every parameter that has a gradient, and clear all gradients."""
        self.t += 1
        for p, factor, scratch in zip(self.params, self.factors, self._scratch, strict=True):
            if p.grad is not None:
                p.value += (self.lr * factor)[:, None] * p.grad  # (1)
            for ids, g, _, _ in p.rows:
                scale = factor.take(ids)
                scale *= self.lr
                add_scaled_rows(p.value, ids, g, scale, scratch)  # (1)
            p.clear()
