"""GRUStep: one recurrent step on rows of which some carry a state and the others start at zero."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.functional.gru_step import (
    gru_step_after,
    gru_step_after_backward,
    gru_step_after_into_state,
    gru_step_before,
    gru_step_before_backward,
    gru_step_before_into_state,
)
from nnlib.init import glorot, per_gate
from nnlib.layer import Layer
from nnlib.layers.gru_cell import Reset
from nnlib.parameter import Parameter


class GRUStep(Layer):
    """One GRU step, by default cut off from its past: back-propagation through one step only.

        (1) h' = GRU(v + b, h)                       v: the input's part, from any layer
    functional/gru_step.py has the equations.

    Backward
        The state h is a constant and gets no gradient, unless `through_time`: then backward
        returns (dv, dh)
    Shapes
        v (B, 3H) columns r | z | c · h (C, H), C ≤ B → h' (B, H)
        Row i < C continues from h[i], the other rows start from a state of zero.
    Arguments
        n_hidden: H
        rng: draws U (H, 3H), each gate by itself; the biases start at 0
        reset: "before" or "after" the recurrent product; "after" has a second bias b_h (3H,)
        through_time: the state h has a gradient
    Source
        Hidasi et al. 2016 ("before"); the official PyTorch code with embeddings ("after").
    """

    def __init__(
        self,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        reset: Reset,
        through_time: bool = False,
    ) -> None:
        self.n_hidden, self.through_time = n_hidden, through_time
        self.U = Parameter(per_gate(glorot, 3)(rng, (n_hidden, 3 * n_hidden)))
        self.b = Parameter(np.zeros(3 * n_hidden, np.float32))
        self.b_h = Parameter(np.zeros(3 * n_hidden, np.float32)) if reset == "after" else None

    def __call__(
        self, v: Array, h: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        U, b, b_h = self.U, self.b, self.b_h
        if b_h is None:
            h_next, saved = gru_step_before(v, h, U.value, b.value)  # (1)
        else:
            h_next, saved = gru_step_after(v, h, U.value, b.value, b_h.value)  # (1)

        def backward(dh_next: Array) -> Array | tuple[Array, Array]:
            if b_h is None:
                dv, dU, db = gru_step_before_backward(dh_next, saved)  # (1)
            else:
                dv, dU, db, db_h = gru_step_after_backward(dh_next, saved)  # (1)
                b_h.accumulate(db_h)
            U.accumulate(dU)
            b.accumulate(db)
            if not self.through_time:
                return dv
            into_state = gru_step_before_into_state if b_h is None else gru_step_after_into_state
            return dv, into_state(dh_next, dv, saved)  # (1)

        return h_next, backward
