"""CBOW with negative sampling on a block of tokens: the fast form, and the plain one."""

from typing import NamedTuple

import numpy as np

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import log_logistic
from nnlib.functional.bands import band_product, band_product_backward


class CBOWBlockSaved(NamedTuple):
    """What the backward needs of a block; both g lack a factor of ½."""

    h: Array  # (B, D)
    share: Array  # (R, T, U)
    rows: Array  # (B + G S, D)
    g: Array  # (B,) ∂L/∂s
    g_noise: Array  # (G, M, S) ∂L/∂s⁻


def cbow_block(
    e: Array, rows: Array, share: Array, present: Array, weight: Array, *, with_loss: bool = True
) -> tuple[Array | None, CBOWBlockSaved]:
    """Loss of B tokens, each predicted from its context, and of shared negatives.

        (1) h_{rT+t} = Σ_u share_rtu e_{rT+u}
        (2) s_b = h_b · o_b,   s⁻_gms = h_{gM+m} · noise_gs
        (3) L = −Σ present log σ(s) − Σ weight log σ(−s⁻)
    share is 1/|C| for each of the |C| context tokens (mean) or 1 (sum), and comes back in the
    gradient of (1).  word2vec.c, fastText and gensim leave it out there: their mean has the
    gradient of a sum, which no loss has.

    Backward
        ∂L/∂s = present (σ(s) − 1) and ∂L/∂s⁻ = weight σ(s⁻), with σ(x) = ½ + ½ tanh(x/2)
    Shapes
        e (B + 2w, D) · rows (B + G S, D): o, then noise · share (R, T, U) · present (B,) ·
        weight (G, M, S) → L ();   B = R T = G M, U = T + 2w: M tokens share S negatives
    Arguments
        share, present, weight: not differentiated; present is 1 where a token has a context
        with_loss: False leaves out (3)
    Source
        Mikolov et al. 2013a with the output of 2013b; İrsoy et al. 2021 for the gradient.
        Differs: negatives are shared, see `sgns_block`.
    """
    xp, D = array_module(e), e.shape[1]
    share, present, weight = (x.astype(e.dtype, copy=False) for x in (share, present, weight))
    h = band_product(share, e)  # (1)
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
        x *= scale
    return loss, CBOWBlockSaved(h, share, rows, s, s_noise)


def cbow_block_backward(saved: CBOWBlockSaved) -> tuple[Array, Array]:
    """(de, drows) of `cbow_block`."""
    h, share, rows, g, g_noise = saved
    xp, (B, D) = array_module(h), h.shape
    noise = rows[B:].reshape(len(g_noise), -1, D)
    g_noise = g_noise * 0.5
    drows = xp.empty_like(rows)
    dnoise = drows[B:].reshape(noise.shape)
    xp.matmul(g_noise.swapaxes(1, 2), h.reshape(len(noise), -1, D), out=dnoise)  # (2)
    dh = (g_noise @ noise).reshape(B, D)
    row_products_backward(g * 0.5, h, rows[:B], dh, drows[:B])
    return band_product_backward(share, dh), drows  # (1)


@fusable
def row_products_backward(ds: Array, h: Array, o: Array, dh: Array, do: Array) -> None:
    """Of s_b = h_b · o_b:  dh_b += ds_b o_b,  do_b = ds_b h_b.

    Shapes
        ds (B,) · h, o, dh, do (B, D)
    """
    array_module(h).multiply(ds[:, None], h, out=do)
    dh += ds[:, None] * o


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
