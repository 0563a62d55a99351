"""GRUCell: one step of a gated recurrent unit, gate by gate."""

from typing import Literal, TypeAlias

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.activations import logistic
from nnlib.init import Init, glorot, per_gate
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.parameter import Parameter

Reset: TypeAlias = Literal["before", "after"]
Update: TypeAlias = Literal["candidate", "state"]


class GRUCell(Layer):
    """One step of a gated recurrent unit.

        (1) r  = σ(x W_r + h U_r + b_r)               reset gate
        (2) z  = σ(x W_z + h U_z + b_z)               update gate
        (3) c  = tanh(x W_c + (r ⊙ h) U_c + b_c)      candidate, reset before the product, or
            c  = tanh(x W_c + r ⊙ (h U_c + b_h) + b_c)           reset after it
        (4) h' = (1 − z) ⊙ h + z ⊙ c                  z takes the candidate, or
            h' = z ⊙ h + (1 − z) ⊙ c                  z keeps the state
    The two forms of (3) are different functions: weights of one are of no use to the other.  The
    two of (4) are the same function of −W_z, −U_z, −b_z.

    Shapes
        x (B, I) · h (B, H) → h' (B, H);   W (I, 3H), U (H, 3H), b (3H,) hold r | z | c;   b_h (H,)
    Arguments
        n_in, n_hidden: I and H
        rng: draws W and U
        init: of W and U, each gate by itself; biases start at 0.  A negative b_z (positive where z
            keeps the state) makes the cell remember longer: at −2 it keeps 1 − σ(−2) = 0.88 of its
            state
        reset: "before" (Cho et al.; GRU4Rec's paper) or "after" (cuDNN, torch)
        update: what z = 1 means: "candidate" (GRU4Rec) or "state" (Cho et al., torch)
        h: None is a state of zeros
    Raises
        ValueError: I or H is below 1, or `reset` or `update` is none of these words.
    Source
        Cho et al. 2014, eq. 5-8 · deck, "Gated Recurrent Unit" · differs: the deck prints h' on
        both sides of (4), and r ⊙ U h without brackets.
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
        check_sizes(n_in=n_in, n_hidden=n_hidden)
        if reset not in ("before", "after"):
            raise ValueError(f"reset={reset!r}: it must be 'before' or 'after'")
        if update not in ("candidate", "state"):
            raise ValueError(f"update={update!r}: it must be 'candidate' or 'state'")
        self.n_hidden = n_hidden
        self.keeps = update == "state"
        self.W = Parameter(per_gate(init, 3)(rng, (n_in, 3 * n_hidden)))
        self.U = Parameter(per_gate(init, 3)(rng, (n_hidden, 3 * n_hidden)))
        self.b = Parameter(np.zeros(3 * n_hidden, np.float32))
        self.b_h = Parameter(np.zeros(n_hidden, np.float32)) if reset == "after" else None

    def __call__(
        self, x: Array, h: Array | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        xp, H = array_module(x), self.n_hidden
        h_old = xp.zeros((len(x), H), x.dtype) if h is None else h
        return self._before(x, h_old) if self.b_h is None else self._after(x, h_old, self.b_h)

    def _before(self, x: Array, h: Array) -> tuple[Array, Backward]:
        xp, W, U, b = array_module(x), self.W, self.U, self.b
        U_r, U_z, U_c = xp.split(U.value, 3, axis=1)
        a_r, a_z, a_c = xp.split(x @ W.value + b.value, 3, axis=1)
        r = logistic(a_r + h @ U_r)  # (1)
        z = logistic(a_z + h @ U_z)  # (2)
        q = r * h
        c = xp.tanh(a_c + q @ U_c)  # (3)
        h_next = z * h + (1 - z) * c if self.keeps else (1 - z) * h + z * c  # (4)

        def backward(dh_next: Array) -> tuple[Array, Array]:
            dz, dc, dh = dh_next * (c - h), dh_next * z, dh_next * (1 - z)  # (4)
            if self.keeps:
                dz, dc, dh = -dz, dh, dc  # (4)
            da_c = dc * (1 - c * c)  # (3)
            dq = da_c @ U_c.T  # (3)
            dr, dh = dq * h, dh + dq * r  # (3)
            da_z = dz * z * (1 - z)  # (2)
            da_r = dr * r * (1 - r)  # (1)
            dh += da_z @ U_z.T + da_r @ U_r.T  # (2) (1)
            da = xp.hstack([da_r, da_z, da_c])
            U.accumulate(xp.hstack([h.T @ da_r, h.T @ da_z, q.T @ da_c]))  # (3) (2) (1)
            W.accumulate(x.T @ da)  # (3) (2) (1)
            b.accumulate(da.sum(axis=0))  # (3) (2) (1)
            return da @ W.value.T, dh  # (3) (2) (1)

        return h_next, backward

    def _after(self, x: Array, h: Array, b_h: Parameter) -> tuple[Array, Backward]:
        xp, W, U, b = array_module(x), self.W, self.U, self.b
        U_r, U_z, U_c = xp.split(U.value, 3, axis=1)
        a_r, a_z, a_c = xp.split(x @ W.value + b.value, 3, axis=1)
        r = logistic(a_r + h @ U_r)  # (1)
        z = logistic(a_z + h @ U_z)  # (2)
        m = h @ U_c + b_h.value
        c = xp.tanh(a_c + r * m)  # (3)
        h_next = z * h + (1 - z) * c if self.keeps else (1 - z) * h + z * c  # (4)

        def backward(dh_next: Array) -> tuple[Array, Array]:
            dz, dc, dh = dh_next * (c - h), dh_next * z, dh_next * (1 - z)  # (4)
            if self.keeps:
                dz, dc, dh = -dz, dh, dc  # (4)
            da_c = dc * (1 - c * c)  # (3)
            dr, dm = da_c * m, da_c * r  # (3)
            da_z = dz * z * (1 - z)  # (2)
            da_r = dr * r * (1 - r)  # (1)
            dh += dm @ U_c.T + da_z @ U_z.T + da_r @ U_r.T  # (3) (2) (1)
            da = xp.hstack([da_r, da_z, da_c])
            U.accumulate(xp.hstack([h.T @ da_r, h.T @ da_z, h.T @ dm]))  # (3) (2) (1)
            b_h.accumulate(dm.sum(axis=0))  # (3)
            W.accumulate(x.T @ da)  # (3) (2) (1)
            b.accumulate(da.sum(axis=0))  # (3) (2) (1)
            return da @ W.value.T, dh  # (3) (2) (1)

        return h_next, backward
