"""Embedding: rows of a table, looked up by integer."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.init import Init, normal
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.parameter import Parameter

SMALL = normal(0.1)


class Embedding(Layer):
    """A learned vector for each of N things: what a product with a one-hot matrix would give.

        (1) y = E[ids]
    Backward
        row ids[i] of ∂L/∂E receives dy[i]; ids that occur twice receive both
    Shapes
        ids (...) int · E (N, D) → y (..., D)
    Arguments
        n_rows, n_factors: N and D
        rng: draws E
        init: of E
    Raises
        ValueError: N or D is below 1.
    """

    def __init__(
        self, n_rows: int, n_factors: int, *, rng: np.random.Generator, init: Init = SMALL
    ) -> None:
        check_sizes(n_rows=n_rows, n_factors=n_factors)
        self.E = Parameter(init(rng, (n_rows, n_factors)))

    def __call__(
        self, ids: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        E = self.E
        y = E.value.take(ids, axis=0)  # (1); faster than E[ids], and as strict

        def backward(dy: Array) -> None:
            E.accumulate_rows(ids, dy.copy())  # (1)

        return y, backward
