"""Skip-gram with negative sampling on a block of tokens: the fast form, and the plain one.

One by one, B tokens with a window of 5 are 6B pairs with 5 negatives each: 42B vectors looked up
and as many changed.  Here a block looks up 2B vectors and a few negatives that neighbouring tokens
share, and everything between is products of small matrices, or for the windows a kernel that walks
over them.
"""

from typing import NamedTuple

import numpy as np

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import log_logistic
from nnlib.functional.bands import window_dots, window_dots_backward


class SGNSBlockSaved(NamedTuple):
    """What the backward needs of a block."""

    e: Array  # (B, D)
    rows: Array  # (B + 2w + G S, D)
    left: Array  # (B,)
    right: Array  # (B,)
    g: Array  # ∂L/∂s of what `window_dots` gives
    g_noise: Array  # (G, M, S) ∂L/∂s⁻


def sgns_block(
    e: Array, rows: Array, left: Array, right: Array, weight: Array, *, with_loss: bool = True
) -> tuple[Array | None, SGNSBlockSaved]:
    """Loss of the pairs of B tokens with their contexts and of B tokens with shared negatives.

        (1) s_bc = e_b · o_c                        c: in the window of b
        (2) s⁻_gms = e_{gM+m} · noise_gs
        (3) L = −Σ log σ(s) − Σ weight log σ(−s⁻)
    A sum over pairs, not a mean: word2vec takes a step of η for every pair.

    Backward
        ∂L/∂s = σ(s) − 1 and ∂L/∂s⁻ = weight σ(s⁻), with σ(x) = ½ + ½ tanh(x/2)
    Shapes
        e (B, D) · rows (B + 2w + G S, D): o, then noise · left, right (B,) int ·
        weight (G, M, S) → L ();   B = G M: M tokens share S negatives
    Arguments
        left, right: how many tokens before and after each are in its window, 0 … w
        weight: of the negatives, see `noise_weight`; not differentiated
        with_loss: False leaves out (3), the logarithms of which only a progress bar looks at
    Source
        Mikolov et al. 2013b, eq. 4 · differs: tokens share negatives, and weigh them as many times
        as they would have drawn; Ji et al. 2016 share them too.
    """
    xp = array_module(e)
    o, noise = _outputs_and_noise(rows, weight.shape)
    s, near = window_dots(e, o, left, right)  # (1)
    s_noise = e.reshape(len(noise), -1, e.shape[1]) @ noise.swapaxes(1, 2)  # (2)
    weight = weight.astype(e.dtype, copy=False)
    loss = None
    if with_loss:
        loss = -xp.vdot(near, log_logistic(s)) - xp.vdot(weight, log_logistic(-s_noise))  # (3)
    for x, label, share in ((s, 1, near), (s_noise, -1, weight)):
        x *= 0.5
        xp.tanh(x, out=x)
        x -= label
        x *= 0.5
        x *= share
    return loss, SGNSBlockSaved(e, rows, left, right, s, s_noise)


def sgns_block_backward(saved: SGNSBlockSaved) -> tuple[Array, Array]:
    """(de, drows) of `sgns_block`."""
    e, rows, left, right, g, g_noise = saved
    xp = array_module(e)
    de, drows = xp.empty_like(e), xp.empty_like(rows)
    (o, noise), (do, dnoise) = (_outputs_and_noise(x, g_noise.shape) for x in (rows, drows))
    groups = (len(noise), -1, e.shape[1])
    xp.matmul(g_noise, noise, out=de.reshape(groups))  # (2)
    xp.matmul(g_noise.swapaxes(1, 2), e.reshape(groups), out=dnoise)  # (2)
    window_dots_backward(g, e, o, left, right, de, do)  # (1)
    return de, drows


def _outputs_and_noise(rows: Array, weight: tuple[int, ...]) -> tuple[Array, Array]:
    """o (B + 2w, D) and the negatives of each group (G, S, D)."""
    n_groups, _, S = weight
    n = len(rows) - n_groups * S
    return rows[:n], rows[n:].reshape(n_groups, S, rows.shape[1])


@fusable
def noise_weight(items: Array, left: Array, right: Array, noise: Array, negatives: float) -> Array:
    """How much each token weighs each of its shared negatives.

        (1) weight_bs = K/S |{c in the window of b: c ≠ noise_s}|
    A token draws K negatives for each of its contexts; S shared ones stand for them in expectation.
    A negative that equals the context is skipped, as word2vec.c does.

    Shapes
        items (B + 2w,) · left, right (B,) · noise (G, S) int → weight (G, M, S) float32, B = G M
    Arguments
        negatives: K
    """
    xp = array_module(items)
    n_groups, S = noise.shape
    B = len(left)
    M, window = B // n_groups, (len(items) - B) // 2
    share = np.float32(negatives / S)
    weight = xp.repeat((left.astype(np.float32) + right) * share, S)
    width = M + 2 * window
    shared = xp.lib.stride_tricks.sliding_window_view(items.astype(np.int32), width)[::M]
    equal = xp.flatnonzero(shared[:, None, :] == noise.astype(np.int32)[:, :, None])  # few
    which, at = xp.divmod(equal, width)
    group, s = xp.divmod(which, S)
    centre = at[:, None] - xp.arange(2 * window + 1)  # the tokens that may have it as a context
    inside = (centre >= 0) & (centre < M)
    b = xp.where(inside, group[:, None] * M + centre, 0)
    offset = xp.arange(-window, window + 1)  # of the context from there
    hit = inside & (offset >= -left[b]) & (offset <= right[b]) & (offset != 0)
    xp.subtract.at(weight, (b * S + s[:, None])[hit], share)
    return weight.reshape(n_groups, M, S)


def sgns_block_reference(
    E: Array,
    O: Array,
    items: Array,
    left: Array,
    right: Array,
    noise: Array,
    negatives: float,
) -> tuple[float, Array, Array]:
    """The same from whole tables, pair by pair:  (L, dE, dO).

        (1) L = −Σ_pairs [log σ(E_w · O_c) + K/S Σ_{s: noise_s ≠ c} log σ(−E_w · O_{noise_s})]
    over all tokens w and the contexts c in their windows; `noise` (G, S), a row for B/G tokens.
    """
    loss, dE, dO = 0.0, np.zeros_like(E), np.zeros_like(O)
    n_tokens, (n_groups, S) = len(left), noise.shape
    window = (len(items) - n_tokens) // 2
    for b in range(n_tokens):
        w, here = items[window + b], window + b
        for at in range(here - left[b], here + right[b] + 1):
            if at == here:
                continue
            c = items[at]
            examples = [(c, 1, 1.0)]
            for z in noise[b * n_groups // n_tokens]:
                examples += [(z, 0, negatives / S)] * bool(z != c)
            for item, label, weight in examples:
                p = 1 / (1 + np.exp(-E[w] @ O[item]))
                loss -= weight * np.log(p if label else 1 - p)
                g = weight * (p - label)
                dE[w] += g * O[item]
                dO[item] += g * E[w]
    return loss, dE, dO
