"""GRU: a gated recurrent unit over time, in the fast form."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.gru_sequence import gru_sequence, gru_sequence_backward
from nnlib.init import Init, glorot
from nnlib.layer import Layer
from nnlib.layers.gru_cell import GRUCell, Reset, Update
from nnlib.layers.steps import check_truncate, valid_steps


class GRU(Layer):
    """A gated recurrent unit over a whole sequence: `Scan(gru.cell)`, with fewer products.

        (1) h_t = cell(x_t, h_{t−1}),   t = 1…T
    Backward is back-propagation through time.  Truncated after k steps, the state is handed on as
    a constant at every k-th step, and the loss of a step reaches back k steps at most.

    Shapes
        x (T, B, I) · h0 (B, H) → h (T, B, H), the last state is h[−1];   parameters as in `GRUCell`
    Arguments
        n_in, n_hidden, rng, init, reset, update: as for `GRUCell`
        h0: None is a state of zeros
        lengths, truncate: as for `RNN`
    Raises
        ValueError: I or H is below 1; `reset` or `update` is none of its words; `lengths` has
            another shape or type; k is below 1.
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
        reset: Reset = "before",
        update: Update = "candidate",
    ) -> None:
        self.cell = GRUCell(n_in, n_hidden, rng=rng, init=init, reset=reset, update=update)

    def __call__(
        self,
        x: Array,
        h0: Array | None = None,
        rng: np.random.Generator | None = None,
        *,
        lengths: Array | None = None,
        truncate: int | None = None,
    ) -> tuple[Array, Backward]:
        check_truncate(truncate)
        W, U, b, b_h = self.cell.W, self.cell.U, self.cell.b, self.cell.b_h
        if h0 is None:
            h0 = array_module(x).zeros((x.shape[1], self.cell.n_hidden), x.dtype)
        biases = b.value, None if b_h is None else b_h.value
        mask = valid_steps(x, lengths)
        h, saved = gru_sequence(
            x, h0, W.value, U.value, *biases, mask=mask, keeps=self.cell.keeps
        )  # (1)

        def backward(dh: Array) -> tuple[Array, Array]:
            dx, dh0, dW, dU, db, db_h = gru_sequence_backward(dh, saved, truncate)  # (1)
            W.accumulate(dW)
            U.accumulate(dU)
            b.accumulate(db)
            if b_h is not None:
                b_h.accumulate(db_h)
            return dx, dh0

        return h, backward
