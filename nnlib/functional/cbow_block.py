"""CBOW with negative sampling on a block of tokens: the fast form, and the plain one."""

from typing import NamedTuple

import numpy as np

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import log_logistic
from nnlib.functional.bands import window_sums, window_sums_backward


class CBOWBlockSaved(NamedTuple):
    """What the backward needs of a block."""

    h: Array  # (B, D)
    window: int
    left: Array  # (B,)
    right: Array  # (B,)
    share: Array  # (B,)
    rows: Array  # (B + G S, D)
    g: Array  # (B,) ∂L/∂s
    g_noise: Array  # (G, M, S) ∂L/∂s⁻


def cbow_block(
    e: Array,
    rows: Array,
    left: Array,
    right: Array,
    share: Array,
    weight: Array,
    *,
    with_loss: bool = True,
) -> tuple[Array | None, CBOWBlockSaved]:
    """Loss of B tokens, each predicted from its context, and of shared negatives.

        (1) h_b = share_b Σ e_c                     c: in the window of b
        (2) s_b = h_b · o_b,   s⁻_gms = h_{gM+m} · noise_gs
        (3) L = −Σ present log σ(s) − Σ weight log σ(−s⁻)
    present is 1 where there is such a c, otherwise 0.  share is 1/|C| of |C| context tokens (mean)
    or 1 (sum), and comes back in the gradient of (1).  word2vec.c, fastText and gensim leave it out
    there: their mean has the gradient of a sum, which no loss has.

    Backward
        ∂L/∂s = present (σ(s) − 1) and ∂L/∂s⁻ = weight σ(s⁻), with σ(x) = ½ + ½ tanh(x/2)
    Shapes
        e (B + 2w, D) · rows (B + G S, D): o, then noise · left, right (B,) int · share (B,) ·
        weight (G, M, S) → L ();   B = G M: M tokens share S negatives
    Arguments
        left, right: how many tokens before and after each are its context, 0 … w
        share, weight: not differentiated; see `target_noise_weight`
        with_loss: False leaves out (3)
    Source
        Mikolov et al. 2013a with the output of 2013b; İrsoy et al. 2021 for the gradient.
        Differs: negatives are shared, see `sgns_block`.
    """
    xp, D = array_module(e), e.shape[1]
    share, weight = (x.astype(e.dtype, copy=False) for x in (share, weight))
    present = ((left > 0) | (right > 0)).astype(e.dtype)
    h = window_sums(e, left, right, share)  # (1)
    noise = rows[len(h) :].reshape(len(weight), -1, D)
    s = xp.einsum("bd,bd->b", h, rows[: len(h)])  # (2)
    s_noise = h.reshape(len(noise), -1, D) @ noise.swapaxes(1, 2)
    loss = None
    if with_loss:
        loss = -xp.vdot(present, log_logistic(s)) - xp.vdot(weight, log_logistic(-s_noise))  # (3)
    for x, label, scale in ((s, 1, present), (s_noise, -1, weight)):
        x *= 0.5
        xp.tanh(x, out=x)
        x -= label
        x *= 0.5
        x *= scale
    return loss, CBOWBlockSaved(h, (len(e) - len(h)) // 2, left, right, share, rows, s, s_noise)


def cbow_block_backward(saved: CBOWBlockSaved) -> tuple[Array, Array]:
    """(de, drows) of `cbow_block`."""
    h, window, left, right, share, rows, g, g_noise = saved
    xp, (B, D) = array_module(h), h.shape
    noise = rows[B:].reshape(len(g_noise), -1, D)
    drows = xp.empty_like(rows)
    dnoise = drows[B:].reshape(noise.shape)
    xp.matmul(g_noise.swapaxes(1, 2), h.reshape(len(noise), -1, D), out=dnoise)  # (2)
    dh = (g_noise @ noise).reshape(B, D)
    row_products_backward(g, h, rows[:B], dh, drows[:B])
    return window_sums_backward(dh, left, right, share, window), drows  # (1)


@fusable
def row_products_backward(ds: Array, h: Array, o: Array, dh: Array, do: Array) -> None:
    """Of s_b = h_b · o_b:  dh_b += ds_b o_b,  do_b = ds_b h_b.

    Shapes
        ds (B,) · h, o, dh, do (B, D)
    """
    array_module(h).multiply(ds[:, None], h, out=do)
    dh += ds[:, None] * o


@fusable
def target_noise_weight(target: Array, present: Array, noise: Array, negatives: float) -> Array:
    """How much each token weighs each of its shared negatives: K/S, or 0 for its own item.

    Shapes
        target, present (B,) · noise (G, S) int → weight (G, M, S) float32
    """
    n_groups, S = noise.shape
    other = target.reshape(n_groups, -1, 1) != noise[:, None, :]
    share = present.reshape(n_groups, -1, 1).astype(np.float32) * np.float32(negatives / S)
    return other * share


def cbow_block_reference(
    E: Array,
    O: Array,
    items: Array,
    left: Array,
    right: Array,
    noise: Array,
    negatives: float,
    *,
    mean: bool,
) -> tuple[float, Array, Array]:
    """The same from whole tables, token by token:  (L, dE, dO).

    (1) h = Σ_{c ∈ C} E_c, divided by |C| if `mean`
    (2) L = −Σ_w [log σ(h · O_w) + K/S Σ_{s: noise_s ≠ w} log σ(−h · O_{noise_s})]
    """
    loss, dE, dO = 0.0, np.zeros_like(E), np.zeros_like(O)
    n_tokens, (n_groups, S) = len(left), noise.shape
    window = (len(items) - n_tokens) // 2
    for b in range(n_tokens):
        here = window + b
        context = [*items[here - left[b] : here], *items[here + 1 : here + right[b] + 1]]
        if not context:
            continue
        share = 1 / len(context) if mean else 1.0
        h = share * E[context].sum(axis=0)  # (1)
        dh = np.zeros_like(h)
        examples = [(items[here], 1, 1.0)]
        for z in noise[b * n_groups // n_tokens]:
            examples += [(z, 0, negatives / S)] * bool(z != items[here])
        for item, label, weight in examples:
            p = 1 / (1 + np.exp(-h @ O[item]))
            loss -= weight * np.log(p if label else 1 - p)  # (2)
            dh += weight * (p - label) * O[item]
            dO[item] += weight * (p - label) * h
        for c in context:  # a repeated item takes part as often
            dE[c] += share * dh
    return loss, dE, dO
