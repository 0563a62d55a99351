"""RNNCell and RNN: the plain recurrent network, one step of it and over time."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.activations import tanh
from nnlib.functional.rnn_sequence import Activation, rnn_sequence, rnn_sequence_backward
from nnlib.init import Init, glorot
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.layers.steps import check_truncate, valid_steps
from nnlib.parameter import Parameter


class RNNCell(Layer):
    """One step of a plain recurrent network.

        (1) h' = f(x W + h U + b)
    Shapes
        x (B, I) · h (B, H) → h' (B, H);   W (I, H), U (H, H), b (H,)
    Arguments
        n_in, n_hidden: I and H
        rng: draws W and U
        init, init_recurrent: of W and of U; b starts at 0
        activation: f, a function such as `tanh` or `linear`, or a layer such as `ModReLU`
        h: None is a state of zeros
    Raises
        ValueError: I or H is below 1.
    Source
        Elman 1990 · deck, "Recurrent neural network".
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
        init_recurrent: Init = glorot,
        activation: Activation = tanh,
    ) -> None:
        check_sizes(n_in=n_in, n_hidden=n_hidden)
        self.n_hidden = n_hidden
        self.W = Parameter(init(rng, (n_in, n_hidden)))
        self.U = Parameter(init_recurrent(rng, (n_hidden, n_hidden)))
        self.b = Parameter(np.zeros(n_hidden, np.float32))
        self.activation = activation

    def __call__(
        self, x: Array, h: Array | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        W, U, b = self.W, self.U, self.b
        h_old = array_module(x).zeros((len(x), self.n_hidden), x.dtype) if h is None else h
        h_next, back = self.activation(x @ W.value + h_old @ U.value + b.value)  # (1)

        def backward(dh_next: Array) -> tuple[Array, Array]:
            da = back(dh_next)  # (1)
            W.accumulate(x.T @ da)  # (1)
            U.accumulate(h_old.T @ da)  # (1)
            b.accumulate(da.sum(axis=0))  # (1)
            return da @ W.value.T, da @ U.value.T  # (1)

        return h_next, backward


class RNN(Layer):
    """A plain recurrent network over a whole sequence: `Scan(rnn.cell)`, with fewer products.

        (1) h_t = cell(x_t, h_{t−1}),   t = 1…T
    Backward is back-propagation through time.  Truncated after k steps, the state is handed on as
    a constant at every k-th step, and the loss of a step reaches back k steps at most.

    Shapes
        x (T, B, I) · h0 (B, H) → h (T, B, H), the last state is h[−1];   parameters as `RNNCell`
    Arguments
        n_in, n_hidden, rng, init, init_recurrent, activation: as for `RNNCell`
        h0: None is a state of zeros
        lengths: (B,) int, how many steps of each sequence count, or a mask (T, B) bool of those
            that do; the state is carried unchanged through all others.  None: all count
        truncate: k ≥ 1, the number of steps between cuts, or None: no cuts
    Raises
        ValueError: I or H is below 1; `lengths` has another shape or type; k is below 1.
    Source
        Elman 1990; back-propagation through time: Werbos 1990; truncated: Williams & Peng 1990.
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
        init_recurrent: Init = glorot,
        activation: Activation = tanh,
    ) -> None:
        self.cell = RNNCell(
            n_in,
            n_hidden,
            rng=rng,
            init=init,
            init_recurrent=init_recurrent,
            activation=activation,
        )

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
        W, U, b = self.cell.W, self.cell.U, self.cell.b
        if h0 is None:
            h0 = array_module(x).zeros((x.shape[1], self.cell.n_hidden), x.dtype)
        mask = valid_steps(x, lengths)
        h, saved = rnn_sequence(x, h0, W.value, U.value, b.value, self.cell.activation, mask)  # (1)

        def backward(dh: Array) -> tuple[Array, Array]:
            dx, dh0, dW, dU, db = rnn_sequence_backward(dh, saved, truncate)  # (1)
            W.accumulate(dW)
            U.accumulate(dU)
            b.accumulate(db)
            return dx, dh0

        return h, backward
