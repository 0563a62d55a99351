"""The elementwise part of an LSTM over time: one loop a step instead of a pass per operation.

Products stay NumPy's.
"""

import numpy as np
from numba import njit

from nnlib.array import Array, without_kernel
from nnlib.compiled.elementary import logistic, tanh, vectorised
from nnlib.functional import lstm_sequence as reference
from nnlib.functional.lstm_sequence import LSTMSaved
from nnlib.functional.sequences import is_cut


def lstm_sequence(
    x: Array, h0: Array, c0: Array, W: Array, U: Array, b: Array, mask: Array | None = None
) -> tuple[tuple[Array, Array], LSTMSaved]:
    """`functional.lstm_sequence.lstm_sequence`; under a mask the reference does the work."""
    if mask is not None or x.dtype != np.float32:
        whole: tuple[tuple[Array, Array], LSTMSaved]
        whole = without_kernel(reference.lstm_sequence)(x, h0, c0, W, U, b, mask)
        return whole
    T, (B, H) = len(x), h0.shape
    gates = (x.reshape(-1, x.shape[-1]) @ W).reshape(T, B, 4 * H)
    h, c = np.empty((2, T + 1, B, H), gates.dtype)
    h[0], c[0] = h0, c0
    tanh_c, hU = np.empty((T, B, H), gates.dtype), np.empty((B, 4 * H), gates.dtype)
    for t in range(T):
        np.matmul(h[t], U, out=hU)
        _step(gates[t], hU, b, c[t], c[t + 1], tanh_c[t], h[t + 1])
    return (h[1:], c[1:]), LSTMSaved(x, W, U, h, c, gates, tanh_c, None)


@vectorised
def _step(gates, hU, bias, c, c_next, tanh_c, h_next):  # type: ignore[no-untyped-def]
    """Makes the gates o, f, i, g of what is in their place, x W; loops as in `gru_sequence`."""
    B, H = c.shape
    for b in range(B):
        for j in range(3 * H):
            gates[b, j] = logistic(gates[b, j] + bias[j] + hU[b, j])  # (1) (2)
        for j in range(3 * H, 4 * H):
            gates[b, j] = tanh(gates[b, j] + bias[j] + hU[b, j])  # (1) (2)
        for j in range(H):
            kept = gates[b, H + j] * c[b, j]
            c_next[b, j] = kept + gates[b, 2 * H + j] * gates[b, 3 * H + j]  # (4)
        for j in range(H):
            tanh_c[b, j] = tanh(c_next[b, j])
            h_next[b, j] = gates[b, j] * tanh_c[b, j]  # (5)


def lstm_sequence_backward(
    dh: Array, dc: Array | None, saved: LSTMSaved, truncate: int | None = None
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """`functional.lstm_sequence.lstm_sequence_backward`; under a mask the reference does it."""
    x, W, U, h, c, gates, tanh_c, m = saved
    if m is not None:
        whole: tuple[Array, Array, Array, Array, Array, Array]
        whole = without_kernel(reference.lstm_sequence_backward)(dh, dc, saved, truncate)
        return whole
    T, B, H = dh.shape
    dh = np.ascontiguousarray(dh)
    nothing, Ut = np.zeros_like(dh[0]), U.T.copy()
    dc = None if dc is None else np.ascontiguousarray(dc)
    da = np.empty((T, B, 4 * H), dh.dtype)
    dh_later, dc_later = np.zeros_like(dh[0]), np.zeros_like(dh[0])
    for t in range(T)[::-1]:
        dc_t = nothing if dc is None else dc[t]
        _step_backward(dh[t], dc_t, dh_later, dc_later, gates[t], c[t], tanh_c[t], da[t])
        np.matmul(da[t], Ut, out=dh_later)  # (2)
        if is_cut(t, truncate):
            dh_later[:], dc_later[:] = 0, 0
    da_rows = da.reshape(-1, 4 * H)
    dU = h[:-1].reshape(-1, H).T @ da_rows  # (2)
    dW = x.reshape(-1, x.shape[-1]).T @ da_rows  # (1)
    dx = (da_rows @ W.T).reshape(x.shape)  # (1)
    return dx, dh_later, dc_later, dW, dU, da_rows.sum(axis=0)  # (1)


@njit(cache=True, nogil=True)
def _step_backward(dh, dc, dh_later, dc_later, gates, c, tanh_c, da):  # type: ignore[no-untyped-def]
    """da of one step; what is left for the cell before it replaces dc_later."""
    B, H = c.shape
    one = c.dtype.type(1)
    for b in range(B):
        for j in range(H):
            o, f, i, g = (
                gates[b, j],
                gates[b, H + j],
                gates[b, 2 * H + j],
                gates[b, 3 * H + j],
            )
            dh_t = dh[b, j] + dh_later[b, j]
            dc_t = dc_later[b, j] + dh_t * (o * (one - tanh_c[b, j] * tanh_c[b, j]))  # (5)
            dc_t += dc[b, j]
            da[b, j] = o * (one - o) * tanh_c[b, j] * dh_t  # (5) (2)
            da[b, H + j] = f * (one - f) * c[b, j] * dc_t  # (4) (2)
            da[b, 2 * H + j] = i * (one - i) * g * dc_t  # (4) (2)
            da[b, 3 * H + j] = (one - g * g) * i * dc_t  # (4) (2)
            dc_later[b, j] = dc_t * f  # (4)
