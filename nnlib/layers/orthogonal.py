"""Recurrent networks whose matrix keeps the norm of the state: OrthogonalRNN and CayleyRNN."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.orthogonal import cayley, nearest_orthogonal
from nnlib.functional.rnn_sequence import Activation, rnn_sequence, rnn_sequence_backward
from nnlib.init import Init, glorot, orthogonal
from nnlib.layer import Layer
from nnlib.layers.modrelu import ModReLU
from nnlib.layers.rnn import RNN
from nnlib.layers.sizes import check_sizes
from nnlib.layers.steps import check_truncate, valid_steps
from nnlib.parameter import Parameter


class OrthogonalRNN(RNN):
    """A plain recurrent network that starts with an orthogonal U and is put back to one.

        optimizer.step()
        layer.orthogonalize()
    All singular values of U are 1 then, and no gradient grows or shrinks on its way through U.  An
    optimizer leaves the orthogonal matrices at every step; `orthogonalize` goes to the nearest of
    them, which every few steps is enough.  Without it this is an RNN with an orthogonal start.

    Shapes
        x (T, B, I) · h0 (B, H) → h (T, B, H);   W (I, H), U (H, H), b (H,)
    Arguments
        n_in, n_hidden, rng, init: as for `RNN`
        activation: None is a `ModReLU` of its own, which starts out linear; tanh shrinks gradients
            whatever U is
    Raises
        ValueError: as `RNN`.
    Source
        Start: Saxe et al. 2014.
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
        activation: Activation | None = None,
    ) -> None:
        super().__init__(
            n_in,
            n_hidden,
            rng=rng,
            init=init,
            init_recurrent=orthogonal,
            activation=ModReLU(n_hidden) if activation is None else activation,
        )

    def orthogonalize(self) -> None:
        """Put the nearest orthogonal matrix in the place of U."""
        U = self.cell.U
        U.value[...] = nearest_orthogonal(U.value)


class CayleyRNN(Layer):
    """A plain recurrent network whose U is orthogonal whatever its parameters are (scoRNN).

        (1) U   = (I + A)⁻¹ (I − A) D,   A = L − Lᵀ
        (2) h_t = f(x_t W + h_{t−1} U + b)
    U is computed once for a whole sequence: an inverse, as dear as a few steps of a large batch.

    Shapes
        x (T, B, I) · h0 (B, H) → h (T, B, H);   W (I, H), a (H (H − 1) / 2,) below the diagonal
        of L, row by row, b (H,)
    Arguments
        n_in, n_hidden, rng, init: as for `RNN`, init of W alone
        n_negative: how many entries of D are −1, 0…H, the others +1: how far from I the U is that
            training starts from.  None is H / 2
        activation: as for `OrthogonalRNN`
        h0, lengths, truncate: as for `RNN`
    Raises
        ValueError: I or H is below 1; n_negative is not in 0…H; as `RNN`.
    Source
        Helfrich et al. 2018; a starts at tan(t/2), t ~ U(0, π/2), in 2 × 2 blocks, which turn by t.
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
        n_negative: int | None = None,
        activation: Activation | None = None,
    ) -> None:
        check_sizes(n_in=n_in, n_hidden=n_hidden)
        n_negative = n_hidden // 2 if n_negative is None else n_negative
        if not 0 <= n_negative <= n_hidden:
            raise ValueError(f"n_negative={n_negative}: it must be in 0…{n_hidden}, as n_hidden is")
        L = np.zeros((n_hidden, n_hidden), np.float32)
        turns = np.arange(0, n_hidden - 1, 2)
        L[turns + 1, turns] = np.tan(rng.uniform(0, np.pi / 2, len(turns)) / 2)
        self.W = Parameter(init(rng, (n_in, n_hidden)))
        self.a = Parameter(L[np.tril_indices(n_hidden, -1)])
        self.b = Parameter(np.zeros(n_hidden, np.float32))
        self.signs = np.where(np.arange(n_hidden) < n_negative, -1, 1).astype(np.float32)
        self.activation = ModReLU(n_hidden) if activation is None else activation

    def recurrent(self) -> tuple[Array, Backward]:
        """U (H, H), and its backward, which adds to the gradient of a."""
        a = self.a
        U, back = cayley(a.value, self.signs.astype(a.value.dtype))  # (1)
        return U, lambda dU: a.accumulate(back(dU))  # (1)

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
        W, b = self.W, self.b
        if h0 is None:
            h0 = array_module(x).zeros((x.shape[1], len(b.value)), x.dtype)
        mask = valid_steps(x, lengths)
        U, back_U = self.recurrent()  # (1)
        h, saved = rnn_sequence(x, h0, W.value, U, b.value, self.activation, mask)  # (2)

        def backward(dh: Array) -> tuple[Array, Array]:
            dx, dh0, dW, dU, db = rnn_sequence_backward(dh, saved, truncate)  # (2)
            W.accumulate(dW)
            b.accumulate(db)
            back_U(dU)  # (1)
            return dx, dh0

        return h, backward
