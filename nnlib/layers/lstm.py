"""LSTMCell and LSTM: long short-term memory, one step of it and over time."""

from typing import TypeAlias

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.activations import logistic
from nnlib.functional.lstm_sequence import lstm_sequence, lstm_sequence_backward
from nnlib.init import Init, glorot, per_gate
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.layers.steps import check_truncate, valid_steps
from nnlib.parameter import Parameter

State: TypeAlias = tuple[Array, Array]


class LSTMCell(Layer):
    """One step of an LSTM, whose state is a pair: h, which others read, and the cell c.

        (1) o  = σ(x W_o + h U_o + b_o)               output gate
        (2) f  = σ(x W_f + h U_f + b_f)               forget gate
        (3) i  = σ(x W_i + h U_i + b_i)               input gate
        (4) g  = tanh(x W_g + h U_g + b_g)            candidate
        (5) c' = f ⊙ c + i ⊙ g
        (6) h' = o ⊙ tanh(c')
    Along the cell the Jacobian is f alone: with b_f = 0 half of it is lost at every step.

    Shapes
        x (B, I) · (h, c) each (B, H) → (h', c');   W (I, 4H), U (H, 4H), b (4H,) hold o | f | i | g
        (dh', dc') → dx, (dh, dc)
    Arguments
        n_in, n_hidden: I and H
        rng: draws W and U
        init: of W and U, each gate by itself; biases start at 0, but for
        forget_bias: b_f at the start.  After T steps σ(b_f)ᵀ of a cell is left: to remember for T
            steps take log T, or more
        state: (h, c); None is zeros
    Raises
        ValueError: I or H is below 1.
    Source
        Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000; its bias: Jozefowicz et al.
        2015; log T: Tallec & Ollivier 2018 · no peepholes · deck, "Long short-term memory", dates
        the paper 1999 and has the forget gate in it.
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
        forget_bias: float = 1.0,
    ) -> None:
        check_sizes(n_in=n_in, n_hidden=n_hidden)
        self.n_hidden = n_hidden
        self.W = Parameter(per_gate(init, 4)(rng, (n_in, 4 * n_hidden)))
        self.U = Parameter(per_gate(init, 4)(rng, (n_hidden, 4 * n_hidden)))
        self.b = Parameter(np.zeros(4 * n_hidden, np.float32))
        self.b.value[n_hidden : 2 * n_hidden] = forget_bias

    def __call__(
        self, x: Array, state: State | None = None, rng: np.random.Generator | None = None
    ) -> tuple[State, Backward]:
        xp, W, U, b = array_module(x), self.W, self.U, self.b
        h, c = zero_state(x, self.n_hidden) if state is None else state
        a_o, a_f, a_i, a_g = xp.split(x @ W.value + h @ U.value + b.value, 4, axis=1)
        o, f, i = logistic(a_o), logistic(a_f), logistic(a_i)  # (1) (2) (3)
        g = xp.tanh(a_g)  # (4)
        c_next = f * c + i * g  # (5)
        tanh_c = xp.tanh(c_next)
        h_next = o * tanh_c  # (6)

        def backward(dh_next: Array, dc_next: Array) -> tuple[Array, State]:
            do = dh_next * tanh_c  # (6)
            dc = dc_next + dh_next * o * (1 - tanh_c * tanh_c)  # (6)
            df, di, dg = dc * c, dc * g, dc * i  # (5)
            da_g = dg * (1 - g * g)  # (4)
            da_i = di * i * (1 - i)  # (3)
            da_f = df * f * (1 - f)  # (2)
            da_o = do * o * (1 - o)  # (1)
            da = xp.hstack([da_o, da_f, da_i, da_g])
            W.accumulate(x.T @ da)  # (4) (3) (2) (1)
            U.accumulate(h.T @ da)  # (4) (3) (2) (1)
            b.accumulate(da.sum(axis=0))  # (4) (3) (2) (1)
            return da @ W.value.T, (da @ U.value.T, dc * f)  # (5) (4) (3) (2) (1)

        return (h_next, c_next), backward


class LSTM(Layer):
    """An LSTM over a whole sequence: `Scan(lstm.cell)`, with fewer products.

        (1) h_t, c_t = cell(x_t, (h_{t−1}, c_{t−1})),   t = 1…T
    Backward is back-propagation through time.  Truncated after k steps, h and c are handed on as
    constants at every k-th step, and the loss of a step reaches back k steps at most.

    Shapes
        x (T, B, I) · (h0, c0) each (B, H) → (h, c) each (T, B, H);   parameters as in `LSTMCell`
        (dh, dc) → dx, (dh0, dc0);   dc may be left out where no one reads the cells
    Arguments
        n_in, n_hidden, rng, init, forget_bias: as for `LSTMCell`
        state: (h0, c0); None is zeros.  The last one is (h[−1], c[−1])
        lengths, truncate: as for `RNN`
    Raises
        ValueError: I or H is below 1; `lengths` has another shape or type; k is below 1.
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
        forget_bias: float = 1.0,
    ) -> None:
        self.cell = LSTMCell(n_in, n_hidden, rng=rng, init=init, forget_bias=forget_bias)

    def __call__(
        self,
        x: Array,
        state: State | None = None,
        rng: np.random.Generator | None = None,
        *,
        lengths: Array | None = None,
        truncate: int | None = None,
    ) -> tuple[State, Backward]:
        check_truncate(truncate)
        W, U, b = self.cell.W, self.cell.U, self.cell.b
        h0, c0 = zero_state(x[0], self.cell.n_hidden) if state is None else state
        mask = valid_steps(x, lengths)
        states, saved = lstm_sequence(x, h0, c0, W.value, U.value, b.value, mask)  # (1)

        def backward(dh: Array, dc: Array | None = None) -> tuple[Array, State]:
            dx, dh0, dc0, dW, dU, db = lstm_sequence_backward(dh, dc, saved, truncate)  # (1)
            W.accumulate(dW)
            U.accumulate(dU)
            b.accumulate(db)
            return dx, (dh0, dc0)

        return states, backward


def zero_state(x: Array, n_hidden: int) -> State:
    """(h, c) = 0 for the rows of x (B, I)."""
    xp = array_module(x)
    return xp.zeros((len(x), n_hidden), x.dtype), xp.zeros((len(x), n_hidden), x.dtype)
