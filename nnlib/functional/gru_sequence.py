"""A GRU over a whole sequence: the pair behind `nnlib.layers.GRU`.

What does not depend on the state is taken out of the loop over time: one product x W for all steps
before it; after it, from the kept gradients of the pre-activations, one product for dx and one for
each weight.  Inside remain the recurrent products, which cannot wait.
"""

from typing import NamedTuple

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import logistic
from nnlib.functional.sequences import is_cut


class GRUSaved(NamedTuple):
    """What the backward needs."""

    x: Array  # (T, B, I)
    W: Array  # (I, 3H)
    U: Array  # (H, 3H)
    h: Array  # (T + 1, B, H) states, h0 first
    gates: Array  # (T, B, 2H) r | z
    c: Array  # (T, B, H) candidates
    m: Array | None  # (T, B, H) h U_c + b_h; None: reset before
    keeps: bool  # W, U and z are those of the form in which z takes the candidate


@fusable
def gru_sequence(
    x: Array,
    h0: Array,
    W: Array,
    U: Array,
    b: Array,
    b_h: Array | None = None,
    mask: Array | None = None,
    keeps: bool = False,
) -> tuple[Array, GRUSaved]:
    """All states of a GRU.

        (1) a = x W + b                             all steps at once, columns r | z | c
        (2) r_t | z_t = σ(a_rz + h_{t−1} U_rz)
        (3) c_t = tanh(a_c + (r_t ⊙ h_{t−1}) U_c)         reset before the product: b_h is None, or
            c_t = tanh(a_c + r_t ⊙ (h_{t−1} U_c + b_h))   reset after it
        (4) z_t = 0 where the mask is False
        (5) h_t = h_{t−1} + z_t ⊙ (c_t − h_{t−1})
    keeps: z = 1 keeps the state instead, which is the same with W_z, U_z, b_z negated.
    Shapes
        x (T, B, I) · h0 (B, H) · W (I, 3H) · U (H, 3H) · b (3H,) · b_h (H,) · mask (T, B) bool
        → h (T, B, H)
    Source
        As `nnlib.layers.GRUCell`, whose repetition this equals.
    """
    xp = array_module(x)
    T, (B, H) = len(x), h0.shape
    if keeps:
        W, U, b = negate_z(W), negate_z(U), negate_z(b)
    a = (x.reshape(-1, x.shape[-1]) @ W).reshape(T, B, 3 * H)
    a += b  # (1)
    h = xp.empty((T + 1, B, H), a.dtype)
    h[0] = h0
    gates, c = a[:, :, : 2 * H].copy(), a[:, :, 2 * H :].copy()
    m = None if b_h is None else xp.empty_like(c)
    for t in range(T):
        r, z = gates[t, :, :H], gates[t, :, H:]
        if m is None:
            gates[t] += h[t] @ U[:, : 2 * H]
            logistic(gates[t], out=gates[t])  # (2)
            c[t] += (r * h[t]) @ U[:, 2 * H :]
        else:
            hU = h[t] @ U
            gates[t] += hU[:, : 2 * H]
            logistic(gates[t], out=gates[t])  # (2)
            m[t] = hU[:, 2 * H :] + b_h
            c[t] += r * m[t]
        xp.tanh(c[t], out=c[t])  # (3)
        if mask is not None:
            z *= mask[t, :, None]  # (4)
        h[t + 1] = h[t] + z * (c[t] - h[t])  # (5)
    return h[1:], GRUSaved(x, W, U, h, gates, c, m, keeps)


@fusable
def gru_sequence_backward(
    dh: Array, saved: GRUSaved, truncate: int | None = None
) -> tuple[Array, Array, Array, Array, Array, Array | None]:
    """(dx, dh0, dW, dU, db, db_h) of `gru_sequence`; db_h is None where b_h was.

    truncate=k: every k-th state is a constant.  (4) needs no line of its own: where it acts, z and
    its slope z (1 − z) are 0.
    """
    x, W = saved.x, saved.W
    back_in_time = _before_backward if saved.m is None else _after_backward
    da, dh0, dU, db_h = back_in_time(dh, saved, truncate)
    da_rows = da.reshape(-1, da.shape[-1])
    dW, db = x.reshape(-1, x.shape[-1]).T @ da_rows, da_rows.sum(axis=0)  # (1)
    if saved.keeps:
        dW, dU, db = negate_z(dW), negate_z(dU), negate_z(db)
    return (da_rows @ W.T).reshape(x.shape), dh0, dW, dU, db, db_h  # (1)


def negate_z(W: Array) -> Array:
    """A copy with the columns of z negated: 1 − σ(a) = σ(−a)."""
    W, H = W.copy(), W.shape[-1] // 3
    W[..., H : 2 * H] *= -1
    return W


def _before_backward(
    dh: Array, saved: GRUSaved, truncate: int | None
) -> tuple[Array, Array, Array, None]:
    """(da, dh0, dU, None), reset before the product."""
    xp, U, c = array_module(dh), saved.U, saved.c
    H = c.shape[-1]
    h, r, z = saved.h[:-1], saved.gates[:, :, :H], saved.gates[:, :, H:]
    r_slope, z_slope, c_slope = h * r * (1 - r), (c - h) * z * (1 - z), z * (1 - c * c)
    da = xp.empty((*c.shape[:2], 3 * H), c.dtype)
    dh_later, Uc_t, Urz_t = xp.zeros_like(dh[0]), U[:, 2 * H :].T.copy(), U[:, : 2 * H].T.copy()
    for t in range(len(c))[::-1]:
        dh_t = dh[t] + dh_later
        da_r, da_z, da_c = da[t, :, :H], da[t, :, H : 2 * H], da[t, :, 2 * H :]
        dh_later = dh_t * (1 - z[t])  # (5)
        xp.multiply(dh_t, c_slope[t], out=da_c)  # (5) (3)
        dq = da_c @ Uc_t  # (3)
        dh_later += dq * r[t]  # (3)
        xp.multiply(dq, r_slope[t], out=da_r)  # (3) (2)
        xp.multiply(dh_t, z_slope[t], out=da_z)  # (5) (2)
        dh_later += da[t, :, : 2 * H] @ Urz_t  # (2)
        if is_cut(t, truncate):
            dh_later = xp.zeros_like(dh_later)
    h_rows, q_rows, da_rows = h.reshape(-1, H), (r * h).reshape(-1, H), da.reshape(-1, 3 * H)
    dU = xp.empty_like(U)
    xp.matmul(q_rows.T, da_rows[:, 2 * H :], out=dU[:, 2 * H :])  # (3)
    xp.matmul(h_rows.T, da_rows[:, : 2 * H], out=dU[:, : 2 * H])  # (2)
    return da, dh_later, dU, None


def _after_backward(
    dh: Array, saved: GRUSaved, truncate: int | None
) -> tuple[Array, Array, Array, Array]:
    """(da, dh0, dU, db_h), reset after the product: the gradient of h U has r ⊙ da_c for da_c."""
    xp, U, c, m = array_module(dh), saved.U, saved.c, saved.m
    H = c.shape[-1]
    h, r, z = saved.h[:-1], saved.gates[:, :, :H], saved.gates[:, :, H:]
    r_slope, z_slope, c_slope = m * r * (1 - r), (c - h) * z * (1 - z), z * (1 - c * c)
    da_c, dhU = xp.empty_like(c), xp.empty((*c.shape[:2], 3 * H), c.dtype)
    dh_later, Ut = xp.zeros_like(dh[0]), U.T.copy()
    for t in range(len(c))[::-1]:
        dh_t = dh[t] + dh_later
        da_r, da_z, dm = dhU[t, :, :H], dhU[t, :, H : 2 * H], dhU[t, :, 2 * H :]
        dh_later = dh_t * (1 - z[t])  # (5)
        xp.multiply(dh_t, c_slope[t], out=da_c[t])  # (5) (3)
        xp.multiply(da_c[t], r[t], out=dm)  # (3)
        xp.multiply(da_c[t], r_slope[t], out=da_r)  # (3) (2)
        xp.multiply(dh_t, z_slope[t], out=da_z)  # (5) (2)
        dh_later += dhU[t] @ Ut  # (3) (2)
        if is_cut(t, truncate):
            dh_later = xp.zeros_like(dh_later)
    dhU_rows = dhU.reshape(-1, 3 * H)
    dU = h.reshape(-1, H).T @ dhU_rows  # (3) (2)
    db_h = dhU_rows[:, 2 * H :].sum(axis=0)  # (3)
    da = xp.concatenate([dhU[:, :, : 2 * H], da_c], axis=2)
    return da, dh_later, dU, db_h
