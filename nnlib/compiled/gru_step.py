"""The elementwise parts of a GRU step, in one loop instead of a pass per operation."""

import numpy as np
from numba import njit

from nnlib.array import Array, without_kernel
from nnlib.compiled.elementary import ZERO, logistic, tanh, vectorised
from nnlib.functional import gru_step as reference
from nnlib.functional.gru_step import GRUStepSaved


def gru_step_before(a: Array, h: Array, U: Array) -> tuple[Array, GRUStepSaved]:
    """`functional.gru_step.gru_step_before`."""
    if a.dtype != np.float32:
        return without_kernel(reference.gru_step_before)(a, h, U)
    B, H = len(a), h.shape[1]
    gates, q = np.empty((B, 2 * H), a.dtype), np.empty_like(h)
    c, gap, h_next = np.empty((3, B, H), a.dtype)
    _before_gates(a, h @ U[:, : 2 * H], h, gates, q)
    _before_state(a, q @ U[:, 2 * H :], h, gates, c, gap, h_next)
    return h_next, GRUStepSaved(h, U, gates, c, gap, q)


@vectorised
def _before_gates(a, hU, h, gates, q):  # type: ignore[no-untyped-def]
    (C, H), B = h.shape, len(a)
    for b in range(B):
        for j in range(2 * H):
            gates[b, j] = logistic(a[b, j] + (hU[b, j] if b < C else ZERO))  # (1)
    for b in range(C):
        for j in range(H):
            q[b, j] = gates[b, j] * h[b, j]  # (2)


@vectorised
def _before_state(a, qU, h, gates, c, gap, h_next):  # type: ignore[no-untyped-def]
    (C, H), B = h.shape, len(a)
    for b in range(B):
        for j in range(H):
            c[b, j] = tanh(a[b, 2 * H + j] + (qU[b, j] if b < C else ZERO))  # (3)
            old = h[b, j] if b < C else ZERO
            gap[b, j] = c[b, j] - old
            h_next[b, j] = old + gates[b, H + j] * gap[b, j]  # (4)


def gru_step_after(a: Array, h: Array, U: Array, b_h: Array) -> tuple[Array, GRUStepSaved]:
    """`functional.gru_step.gru_step_after`."""
    if a.dtype != np.float32:
        return without_kernel(reference.gru_step_after)(a, h, U, b_h)
    B, H = len(a), h.shape[1]
    gates = np.empty((B, 2 * H), a.dtype)
    m_c, c, gap, h_next = np.empty((4, B, H), a.dtype)
    _after_forward(a, h @ U, b_h, h, gates, m_c, c, gap, h_next)
    return h_next, GRUStepSaved(h, U, gates, c, gap, m_c)


@vectorised
def _after_forward(a, hU, b_h, h, gates, m_c, c, gap, h_next):  # type: ignore[no-untyped-def]
    (C, H), B = h.shape, len(a)
    for b in range(B):
        for j in range(2 * H):
            gates[b, j] = logistic(a[b, j] + (hU[b, j] if b < C else ZERO) + b_h[j])  # (1) (2)
        for j in range(H):
            m_c[b, j] = (hU[b, 2 * H + j] if b < C else ZERO) + b_h[2 * H + j]  # (1)
            c[b, j] = tanh(a[b, 2 * H + j] + gates[b, j] * m_c[b, j])  # (3)
            old = h[b, j] if b < C else ZERO
            gap[b, j] = c[b, j] - old
            h_next[b, j] = old + gates[b, H + j] * gap[b, j]  # (4)


def gru_step_before_backward(dh_next: Array, saved: GRUStepSaved) -> tuple[Array, Array]:
    """`functional.gru_step.gru_step_before_backward`."""
    h, U, gates, c, gap, q = saved
    C, H = h.shape
    da = np.empty((len(c), 3 * H), c.dtype)
    _before_z_c(dh_next, gates, c, gap, da)
    _before_r(da[:C, 2 * H :] @ U[:, 2 * H :].T, gates, h, da)
    dU = np.empty_like(U)
    np.matmul(q.T, da[:C, 2 * H :], out=dU[:, 2 * H :])  # (3)
    np.matmul(h.T, da[:C, : 2 * H], out=dU[:, : 2 * H])  # (1)
    return da, dU


@njit(cache=True, nogil=True)
def _before_z_c(dh_next, gates, c, gap, da):  # type: ignore[no-untyped-def]
    B, H = c.shape
    one = c.dtype.type(1)
    for b in range(B):
        for j in range(H):
            z = gates[b, H + j]
            da[b, 2 * H + j] = dh_next[b, j] * z * (one - c[b, j] * c[b, j])  # (4) (3)
            da[b, H + j] = dh_next[b, j] * gap[b, j] * (z * (one - z))  # (4) (1)


@njit(cache=True, nogil=True)
def _before_r(dq, gates, h, da):  # type: ignore[no-untyped-def]
    C, H = h.shape
    one = h.dtype.type(1)
    for b in range(C):
        for j in range(H):
            r = gates[b, j]
            da[b, j] = dq[b, j] * h[b, j] * (r * (one - r))  # (2) (1)
    da[C:, :H] = 0


def gru_step_after_backward(dh_next: Array, saved: GRUStepSaved) -> tuple[Array, Array, Array]:
    """`functional.gru_step.gru_step_after_backward`."""
    h, _, gates, c, gap, m_c = saved
    C, H = h.shape
    da, dm = np.empty((2, len(c), 3 * H), c.dtype)
    db_h = np.zeros(3 * H, c.dtype)
    _after(dh_next, gates, c, gap, m_c, da, dm, db_h)
    return da, h.T @ dm[:C], db_h  # (1)


@njit(cache=True, nogil=True)
def _after(dh_next, gates, c, gap, m_c, da, dm, db_h):  # type: ignore[no-untyped-def]
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
            db_h[j] += da_r
            db_h[H + j] += da_z
            db_h[2 * H + j] += dm_c
