"""An LSTM over a whole sequence: the pair behind `nnlib.layers.LSTM`.

What does not depend on the state is taken out of the loop over time: one product x W for all steps
before it; after it, from the kept gradients of the pre-activations, one product for dx and one for
each weight.  The columns o | f | i | g keep what is computed together side by side: o, f, i are
logistic, and f, i, g get their gradient through the cell.
"""

from typing import NamedTuple

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import logistic
from nnlib.functional.sequences import is_cut


class LSTMSaved(NamedTuple):
    """What the backward needs."""

    x: Array  # (T, B, I)
    W: Array  # (I, 4H)
    U: Array  # (H, 4H)
    h: Array  # (T + 1, B, H) states, h0 first
    c: Array  # (T + 1, B, H) cells, c0 first
    gates: Array  # (T, B, 4H) o | f | i | g
    tanh_c: Array  # (T, B, H)
    m: Array | None  # (T, B, 1) 1 where the step counts, 0 where not


@fusable
def lstm_sequence(
    x: Array, h0: Array, c0: Array, W: Array, U: Array, b: Array, mask: Array | None = None
) -> tuple[tuple[Array, Array], LSTMSaved]:
    """All states and cells of an LSTM.

        (1) a = x W + b                             all steps at once, columns o | f | i | g
        (2) o_t | f_t | i_t = σ(a_ofi + h_{t−1} U_ofi),   g_t = tanh(a_g + h_{t−1} U_g)
        (3) where the mask is False:  o_t, i_t = 0,  f_t = 1
        (4) c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
        (5) h_t = o_t ⊙ tanh(c_t),  + h_{t−1} where the mask is False
    Shapes
        x (T, B, I) · h0, c0 (B, H) · W (I, 4H) · U (H, 4H) · b (4H,) · mask (T, B) bool
        → h, c (T, B, H)
    Source
        As `nnlib.layers.LSTMCell`, whose repetition this equals.
    """
    xp = array_module(x)
    T, (B, H) = len(x), h0.shape
    gates = (x.reshape(-1, x.shape[-1]) @ W).reshape(T, B, 4 * H)
    gates += b  # (1)
    h, c = xp.empty((2, T + 1, B, H), gates.dtype)
    h[0], c[0] = h0, c0
    tanh_c = xp.empty((T, B, H), gates.dtype)
    m = None if mask is None else mask[:, :, None].astype(gates.dtype)
    for t in range(T):
        gates[t] += h[t] @ U
        ofi, g = gates[t, :, : 3 * H], gates[t, :, 3 * H :]
        logistic(ofi, out=ofi)  # (2)
        xp.tanh(g, out=g)  # (2)
        o, f, i = ofi[:, :H], ofi[:, H : 2 * H], ofi[:, 2 * H :]
        if m is not None:
            ofi *= m[t]  # (3)
            f += 1 - m[t]  # (3)
        xp.multiply(f, c[t], out=c[t + 1])
        c[t + 1] += i * g  # (4)
        xp.tanh(c[t + 1], out=tanh_c[t])
        xp.multiply(o, tanh_c[t], out=h[t + 1])  # (5)
        if m is not None:
            h[t + 1] += (1 - m[t]) * h[t]  # (5)
    return (h[1:], c[1:]), LSTMSaved(x, W, U, h, c, gates, tanh_c, m)


@fusable
def lstm_sequence_backward(
    dh: Array, dc: Array | None, saved: LSTMSaved, truncate: int | None = None
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """(dx, dh0, dc0, dW, dU, db) of `lstm_sequence`; dc None: no one reads the cells.

    truncate=k: every k-th state and cell is a constant.  (3) needs no line of its own: where it
    acts, the slopes of o, f, i are 0.
    """
    x, W, U, h, c, gates, tanh_c, m = saved
    xp = array_module(dh)
    T, B, H = dh.shape
    o, f, i, g = (gates[:, :, k * H : (k + 1) * H] for k in range(4))
    ofi, c_slope = gates[:, :, : 3 * H], o * (1 - tanh_c * tanh_c)  # (5)
    da = xp.empty((T, B, 4, H), dh.dtype)  # at first the slopes of o towards h, f, i, g towards c
    da[:, :, :3] = (ofi * (1 - ofi)).reshape(T, B, 3, H)  # (2)
    da[:, :, 3] = (1 - g * g) * i  # (4) (2)
    da[:, :, 2] *= g  # (4)
    da[:, :, 1] *= c[:-1]  # (4)
    da[:, :, 0] *= tanh_c  # (5)
    dh_later, dc_later, Ut = xp.zeros_like(dh[0]), xp.zeros_like(dh[0]), U.T.copy()
    for t in range(T)[::-1]:
        dh_t = dh[t] + dh_later
        dc_t = dc_later + dh_t * c_slope[t]  # (5)
        if dc is not None:
            dc_t += dc[t]
        da[t, :, 0] *= dh_t  # (5) (2)
        da[t, :, 1:] *= dc_t[:, None]  # (4) (2)
        dh_later = da[t].reshape(B, 4 * H) @ Ut  # (2)
        dc_later = dc_t * f[t]  # (4)
        if m is not None:
            dh_later += dh_t * (1 - m[t])  # (5)
        if is_cut(t, truncate):
            dh_later, dc_later = xp.zeros_like(dh_later), xp.zeros_like(dc_later)
    da_rows = da.reshape(-1, 4 * H)
    dU = h[:-1].reshape(-1, H).T @ da_rows  # (2)
    dW = x.reshape(-1, x.shape[-1]).T @ da_rows  # (1)
    dx = (da_rows @ W.T).reshape(x.shape)  # (1)
    return dx, dh_later, dc_later, dW, dU, da_rows.sum(axis=0)  # (1)
