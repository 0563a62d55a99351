"""The elementwise parts of a GRU step, in one loop instead of a pass per operation."""

import numpy as np
from numba import njit

from nnlib.array import Array, without_kernel
from nnlib.compiled.elementary import ZERO, logistic, tanh, vectorised
from nnlib.functional import gru_step as reference
from nnlib.functional.gru_step import GRUStepSaved


def gru_step_before(v: Array, h: Array, U: Array, b: Array) -> tuple[Array, GRUStepSaved]:
    """`functional.gru_step.gru_step_before`."""
    if v.dtype != np.float32:
        return without_kernel(reference.gru_step_before)(v, h, U, b)
    B, H = len(v), h.shape[1]
    gates, q = np.empty((B, 2 * H), v.dtype), np.empty_like(h)
    c, gap, h_next = np.empty((3, B, H), v.dtype)
    _before_gates(v, h @ U[:, : 2 * H], b, h, gates, q)
    _before_state(v, q @ U[:, 2 * H :], b, h, gates, c, gap, h_next)
    return h_next, GRUStepSaved(h, U, gates, c, gap, q)


@vectorised
def _before_gates(v, hU, bias, h, gates, q):  # type: ignore[no-untyped-def]
    (C, H), B = h.shape, len(v)
    for b in range(B):
        for j in range(2 * H):
            a = v[b, j] + bias[j]  # (1)
            gates[b, j] = logistic(a + (hU[b, j] if b < C else ZERO))  # (2)
    for b in range(C):
        for j in range(H):
            q[b, j] = gates[b, j] * h[b, j]  # (3)


@vectorised
def _before_state(v, qU, bias, h, gates, c, gap, h_next):  # type: ignore[no-untyped-def]
    (C, H), B = h.shape, len(v)
    for b in range(B):
        for j in range(H):
            a = v[b, 2 * H + j] + bias[2 * H + j]  # (1)
            c[b, j] = tanh(a + (qU[b, j] if b < C else ZERO))  # (4)
            old = h[b, j] if b < C else ZERO
            gap[b, j] = c[b, j] - old
            h_next[b, j] = old + gates[b, H + j] * gap[b, j]  # (5)


def gru_step_after(
    v: Array, h: Array, U: Array, b: Array, b_h: Array
) -> tuple[Array, GRUStepSaved]:
    """`functional.gru_step.gru_step_after`."""
    if v.dtype != np.float32:
        return without_kernel(reference.gru_step_after)(v, h, U, b, b_h)
    B, H = len(v), h.shape[1]
    gates = np.empty((B, 2 * H), v.dtype)
    m_c, c, gap, h_next = np.empty((4, B, H), v.dtype)
    _after_forward(v, h @ U, b, b_h, h, gates, m_c, c, gap, h_next)
    return h_next, GRUStepSaved(h, U, gates, c, gap, m_c)


@vectorised
def _after_forward(v, hU, bias, b_h, h, gates, m_c, c, gap, h_next):  # type: ignore[no-untyped-def]
    (C, H), B = h.shape, len(v)
    for b in range(B):
        for j in range(2 * H):
            a, m = v[b, j] + bias[j], (hU[b, j] if b < C else ZERO) + b_h[j]  # (1)
            gates[b, j] = logistic(a + m)  # (2)
        for j in range(H):
            m_c[b, j] = (hU[b, 2 * H + j] if b < C else ZERO) + b_h[2 * H + j]  # (1)
            c[b, j] = tanh(v[b, 2 * H + j] + bias[2 * H + j] + gates[b, j] * m_c[b, j])  # (3)
            old = h[b, j] if b < C else ZERO
            gap[b, j] = c[b, j] - old
            h_next[b, j] = old + gates[b, H + j] * gap[b, j]  # (4)


def gru_step_before_backward(dh_next: Array, saved: GRUStepSaved) -> tuple[Array, Array, Array]:
    """`functional.gru_step.gru_step_before_backward`."""
    h, U, gates, c, gap, q = saved
    C, H = h.shape
    da, db = np.empty((len(c), 3 * H), c.dtype), np.zeros(3 * H, c.dtype)
    _before_z_c(dh_next, gates, c, gap, da)
    _before_r(da[:C, 2 * H :] @ U[:, 2 * H :].T, gates, h, da, db)
    dU = np.empty_like(U)
    np.matmul(q.T, da[:C, 2 * H :], out=dU[:, 2 * H :])  # (4)
    np.matmul(h.T, da[:C, : 2 * H], out=dU[:, : 2 * H])  # (2)
    return da, dU, db


@njit(cache=True, nogil=True)
def _before_z_c(dh_next, gates, c, gap, da):  # type: ignore[no-untyped-def]
    B, H = c.shape
    one = c.dtype.type(1)
    for b in range(B):
        for j in range(H):
            z = gates[b, H + j]
            da[b, 2 * H + j] = dh_next[b, j] * z * (one - c[b, j] * c[b, j])  # (5) (4)
            da[b, H + j] = dh_next[b, j] * gap[b, j] * (z * (one - z))  # (5) (2)


@njit(cache=True, nogil=True)
def _before_r(dq, gates, h, da, db):  # type: ignore[no-untyped-def]
    C, H = h.shape
    one = h.dtype.type(1)
    for b in range(C):
        for j in range(H):
            r = gates[b, j]
            da[b, j] = dq[b, j] * h[b, j] * (r * (one - r))  # (3) (2)
    da[C:, :H] = 0
    for b in range(len(da)):
        for j in range(3 * H):
            db[j] += da[b, j]  # (1)


def gru_step_after_backward(
    dh_next: Array, saved: GRUStepSaved
) -> tuple[Array, Array, Array, Array]:
    """`functional.gru_step.gru_step_after_backward`."""
    h, _, gates, c, gap, m_c = saved
    C, H = h.shape
    da, dm = np.empty((2, len(c), 3 * H), c.dtype)
    db, db_h = np.zeros((2, 3 * H), c.dtype)
    _after(dh_next, gates, c, gap, m_c, da, dm, db, db_h)
    return da, h.T @ dm[:C], db, db_h  # (1)


@njit(cache=True, nogil=True)
def _after(dh_next, gates, c, gap, m_c, da, dm, db, db_h):  # type: ignore[no-untyped-def]
    B, H = c.shape
    one = c.dtype.type(1)
    for b in range(B):
        for j in range(H):
            r, z = gates[b, j], gates[b, H + j]
            da_z = dh_next[b, j] * gap[b, j] * (z * (one - z))  # (4) (2)
            da_c = dh_next[b, j] * z * (one - c[b, j] * c[b, j])  # (4) (3)
            da_r = da_c * m_c[b, j] * (r * (one - r))  # (3) (2)
            dm_c = da_c * r  # (3)
            da[b, j], da[b, H + j], da[b, 2 * H + j] = da_r, da_z, da_c
            dm[b, j], dm[b, H + j], dm[b, 2 * H + j] = da_r, da_z, dm_c
        for j in range(3 * H):
            db[j] += da[b, j]  # (1)
            db_h[j] += dm[b, j]  # (1)
