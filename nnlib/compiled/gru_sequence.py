"""The elementwise part of a GRU over time: one loop a step, or two, instead of many passes.

Products stay NumPy's.
"""

import numpy as np
from numba import njit

from nnlib.array import Array, without_kernel
from nnlib.compiled.elementary import logistic, tanh, vectorised
from nnlib.functional import gru_sequence as reference
from nnlib.functional.gru_sequence import GRUSaved, negate_z
from nnlib.functional.sequences import is_cut


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
    """`functional.gru_sequence.gru_sequence`."""
    if x.dtype != np.float32:
        return without_kernel(reference.gru_sequence)(x, h0, W, U, b, b_h, mask, keeps)
    T, (B, H) = len(x), h0.shape
    if keeps:
        W, U, b = negate_z(W), negate_z(U), negate_z(b)
    a = (x.reshape(-1, x.shape[-1]) @ W).reshape(T, B, 3 * H)
    h = np.empty((T + 1, B, H), a.dtype)
    h[0] = h0
    gates, c = np.empty((T, B, 2 * H), a.dtype), np.empty((T, B, H), a.dtype)
    valid = np.ones((T, B), a.dtype) if mask is None else mask.astype(a.dtype)
    if b_h is None:
        hU, (q, qU) = np.empty((B, 2 * H), a.dtype), np.empty((2, B, H), a.dtype)
        for t in range(T):
            np.matmul(h[t], U[:, : 2 * H], out=hU)
            _gates_before(a[t], hU, b, valid[t], h[t], gates[t], q)
            np.matmul(q, U[:, 2 * H :], out=qU)
            _state_before(a[t], qU, b, gates[t], h[t], c[t], h[t + 1])
        return h[1:], GRUSaved(x, W, U, h, gates, c, None, keeps)
    hU, m = np.empty((B, 3 * H), a.dtype), np.empty_like(c)
    for t in range(T):
        np.matmul(h[t], U, out=hU)
        _step_after(a[t], hU, b, b_h, valid[t], h[t], gates[t], m[t], c[t], h[t + 1])
    return h[1:], GRUSaved(x, W, U, h, gates, c, m, keeps)


# Short loops over a row with few arrays each: where there are many, the compiler has to make sure
# that none overlaps another, and may give up and do one element at a time.


@vectorised
def _gates_before(a, hU, bias, valid, h, gates, q):  # type: ignore[no-untyped-def]
    B, H = h.shape
    for b in range(B):
        for j in range(2 * H):
            gates[b, j] = logistic(a[b, j] + bias[j] + hU[b, j])  # (1) (2)
        for j in range(H):
            gates[b, H + j] *= valid[b]  # (4)
            q[b, j] = gates[b, j] * h[b, j]


@vectorised
def _state_before(a, qU, bias, gates, h, c, h_next):  # type: ignore[no-untyped-def]
    B, H = h.shape
    for b in range(B):
        for j in range(H):
            c[b, j] = tanh(a[b, 2 * H + j] + bias[2 * H + j] + qU[b, j])  # (1) (3)
        for j in range(H):
            h_next[b, j] = h[b, j] + gates[b, H + j] * (c[b, j] - h[b, j])  # (5)


@vectorised
def _step_after(a, hU, bias, b_h, valid, h, gates, m, c, h_next):  # type: ignore[no-untyped-def]
    B, H = h.shape
    for b in range(B):
        for j in range(2 * H):
            gates[b, j] = logistic(a[b, j] + bias[j] + hU[b, j])  # (1) (2)
        for j in range(H):
            gates[b, H + j] *= valid[b]  # (4)
            m[b, j] = hU[b, 2 * H + j] + b_h[j]
        for j in range(H):
            c[b, j] = tanh(a[b, 2 * H + j] + bias[2 * H + j] + gates[b, j] * m[b, j])  # (3)
        for j in range(H):
            h_next[b, j] = h[b, j] + gates[b, H + j] * (c[b, j] - h[b, j])  # (5)


def gru_sequence_backward(
    dh: Array, saved: GRUSaved, truncate: int | None = None
) -> tuple[Array, Array, Array, Array, Array, Array | None]:
    """`functional.gru_sequence.gru_sequence_backward`."""
    x, W, U, h, gates, c, m, keeps = saved
    T, B, H = c.shape
    dh, Ut = np.ascontiguousarray(dh), U.T.copy()
    da, dh_later = np.empty((T, B, 3 * H), c.dtype), np.zeros_like(dh[0])
    dhU = da if m is None else np.empty_like(da)
    dq, more = np.empty_like(dh_later), np.empty_like(dh_later)
    for t in range(T)[::-1]:
        _candidate_and_update(dh[t], dh_later, gates[t], h[t], c[t], da[t])
        if m is None:
            np.matmul(da[t, :, 2 * H :], Ut[2 * H :], out=dq)  # (3)
            _into_reset_before(dq, gates[t], h[t], dh_later, da[t])
            np.matmul(da[t, :, : 2 * H], Ut[: 2 * H], out=more)  # (2)
        else:
            _into_reset_after(gates[t], m[t], da[t], dhU[t])
            np.matmul(dhU[t], Ut, out=more)  # (3) (2)
        dh_later += more
        if is_cut(t, truncate):
            dh_later[:] = 0
    rows, dhU_rows, h_rows = da.reshape(-1, 3 * H), dhU.reshape(-1, 3 * H), h[:-1].reshape(-1, H)
    if m is None:
        dU, inner = np.empty_like(U), (gates[:, :, :H] * h[:-1]).reshape(-1, H)
        np.matmul(inner.T, rows[:, 2 * H :], out=dU[:, 2 * H :])  # (3)
        np.matmul(h_rows.T, rows[:, : 2 * H], out=dU[:, : 2 * H])  # (2)
    else:
        dU = h_rows.T @ dhU_rows  # (3) (2)
    db_h = None if m is None else dhU_rows[:, 2 * H :].sum(axis=0)  # (3)
    dW, db = x.reshape(-1, x.shape[-1]).T @ rows, rows.sum(axis=0)  # (1)
    if keeps:
        dW, dU, db = negate_z(dW), negate_z(dU), negate_z(db)
    return (rows @ W.T).reshape(x.shape), dh_later, dW, dU, db, db_h  # (1)


@njit(cache=True, nogil=True)
def _candidate_and_update(dh, dh_later, gates, h, c, da):  # type: ignore[no-untyped-def]
    """da_z and da_c; what the state gets past the gates replaces dh_later."""
    B, H = h.shape
    one = h.dtype.type(1)
    for b in range(B):
        for j in range(H):
            z = gates[b, H + j]
            dh_t = dh[b, j] + dh_later[b, j]
            dh_later[b, j] = dh_t * (one - z)  # (5)
            da[b, 2 * H + j] = dh_t * (z * (one - c[b, j] * c[b, j]))  # (5) (3)
            da[b, H + j] = dh_t * ((c[b, j] - h[b, j]) * z * (one - z))  # (5) (2)


@njit(cache=True, nogil=True)
def _into_reset_before(dq, gates, h, dh_later, da):  # type: ignore[no-untyped-def]
    B, H = h.shape
    one = h.dtype.type(1)
    for b in range(B):
        for j in range(H):
            r = gates[b, j]
            dh_later[b, j] += dq[b, j] * r  # (3)
            da[b, j] = dq[b, j] * (h[b, j] * r * (one - r))  # (3) (2)


@njit(cache=True, nogil=True)
def _into_reset_after(gates, m, da, dhU):  # type: ignore[no-untyped-def]
    """da_r, and the gradient of h U, which has r ⊙ da_c for da_c."""
    B, H = m.shape
    one = m.dtype.type(1)
    for b in range(B):
        for j in range(H):
            r, da_c = gates[b, j], da[b, 2 * H + j]
            da[b, j] = da_c * (m[b, j] * r * (one - r))  # (3) (2)
            dhU[b, j] = da[b, j]
            dhU[b, H + j] = da[b, H + j]
            dhU[b, 2 * H + j] = da_c * r  # (3)
