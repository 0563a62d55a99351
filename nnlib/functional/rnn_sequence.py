"""A plain recurrent network over a whole sequence: the pair behind `nnlib.layers.RNN`.

What does not depend on the state is taken out of the loop over time: one product x W for all steps
before it; after it, from the kept gradients of the pre-activations, one product for dx and one for
each weight.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from nnlib.array import Array, Backward, array_module, fusable
from nnlib.functional.activations import tanh
from nnlib.functional.sequences import is_cut

Activation: TypeAlias = Callable[[Array], tuple[Array, Backward]]


class RNNSaved(NamedTuple):
    """What the backward needs."""

    x: Array  # (T, B, I)
    W: Array  # (I, H)
    U: Array  # (H, H)
    h: Array  # (T + 1, B, H) states, h0 first
    backs: list[Backward]  # of the activation, step by step
    m: Array | None  # (T, B, 1) 1 where the step counts, 0 where not


@fusable
def rnn_sequence(
    x: Array,
    h0: Array,
    W: Array,
    U: Array,
    b: Array,
    activation: Activation = tanh,
    mask: Array | None = None,
) -> tuple[Array, RNNSaved]:
    """All states of a plain recurrent network.

        (1) a   = x W + b                        all steps at once
        (2) n_t = f(a_t + h_{t−1} U)
        (3) h_t = n_t, or h_{t−1} where the mask is False
    Shapes
        x (T, B, I) · h0 (B, H) · W (I, H) · U (H, H) · b (H,) · mask (T, B) bool → h (T, B, H)
    Source
        As `nnlib.layers.RNNCell`, whose repetition this equals.
    """
    xp = array_module(x)
    a = (x.reshape(-1, x.shape[-1]) @ W).reshape(*x.shape[:2], -1)
    a += b  # (1)
    h = xp.empty((len(x) + 1, *h0.shape), a.dtype)
    h[0] = h0
    m = None if mask is None else mask[:, :, None].astype(a.dtype)
    backs = []
    for t in range(len(x)):
        h[t + 1], back = activation(a[t] + h[t] @ U)  # (2)
        backs.append(back)
        if mask is not None:
            xp.copyto(h[t + 1], h[t], where=~mask[t, :, None])  # (3)
    return h[1:], RNNSaved(x, W, U, h, backs, m)


@fusable
def rnn_sequence_backward(
    dh: Array, saved: RNNSaved, truncate: int | None = None
) -> tuple[Array, Array, Array, Array, Array]:
    """(dx, dh0, dW, dU, db) of `rnn_sequence`; truncate=k: every k-th state is a constant."""
    x, W, U, h, backs, m = saved
    xp, H = array_module(dh), dh.shape[-1]
    da, Ut = xp.empty_like(dh), U.T.copy()
    dh_later = xp.zeros_like(dh[0])
    for t in range(len(dh))[::-1]:
        dh_t = dh[t] + dh_later
        da[t] = backs[t](dh_t if m is None else dh_t * m[t])  # (3) (2)
        dh_later = da[t] @ Ut  # (2)
        if m is not None:
            dh_later += dh_t * (1 - m[t])  # (3)
        if is_cut(t, truncate):
            dh_later = xp.zeros_like(dh_later)
    da_rows = da.reshape(-1, H)
    dU = h[:-1].reshape(-1, H).T @ da_rows  # (2)
    dW = x.reshape(-1, x.shape[-1]).T @ da_rows  # (1)
    dx = (da_rows @ W.T).reshape(x.shape)  # (1)
    return dx, dh_later, dW, dU, da_rows.sum(axis=0)  # (1)
