"""GRU: a gated recurrent unit over time, in the fast form."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.gru_sequence import gru_sequence, gru_sequence_backward
from nnlib.init import Init, glorot
from nnlib.layer import Layer
from nnlib.layers.gru_cell import GRUCell, Reset


class GRU(Layer):
    """A gated recurrent unit over a whole sequence: `Scan(gru.cell)`, with fewer products.

        (1) h_t = cell(x_t, h_{t−1}),   t = 1…T
    Shapes
        x (T, B, I) · h0 (B, H) → h (T, B, H);   parameters as in `GRUCell`
    Arguments
        n_in, n_hidden, rng, init, reset: as for `GRUCell`
        h0: None is a state of zeros
    Raises
        ValueError: I or H is below 1, or `reset` is neither "before" nor "after".
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
        reset: Reset = "before",
    ) -> None:
        self.cell = GRUCell(n_in, n_hidden, rng=rng, init=init, reset=reset)

    def __call__(
        self, x: Array, h0: Array | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        W, U, b, b_h = self.cell.W, self.cell.U, self.cell.b, self.cell.b_h
        if h0 is None:
            h0 = array_module(x).zeros((x.shape[1], self.cell.n_hidden), x.dtype)
        h, saved = gru_sequence(
            x, h0, W.value, U.value, b.value, None if b_h is None else b_h.value
        )  # (1)

        def backward(dh: Array) -> tuple[Array, Array]:
            dx, dh0, dW, dU, db, db_h = gru_sequence_backward(dh, saved)  # (1)
            W.accumulate(dW)
            U.accumulate(dU)
            b.accumulate(db)
            if b_h is not None:
                b_h.accumulate(db_h)
            return dx, dh0

        return h, backward
