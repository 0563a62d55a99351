"""Skip-gram with negative sampling on a block of tokens: the fast form, and the plain one.

One by one, B tokens with a window of 5 are 6B pairs with 5 negatives each: 42B vectors looked up
and as many changed.  Here a block looks up 2B vectors and a few negatives that neighbouring tokens
share, and everything between is products of small matrices.
"""

from typing import NamedTuple

import numpy as np

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import log_logistic
from nnlib.functional.bands import around, around_backward


class SGNSBlockSaved(NamedTuple):
    """What the backward needs of a block."""

    e: Array  # (B, D)
    rows: Array  # (B + 2w + G S, D)
    g: Array  # (R, T, U) ∂L/∂s
    g_noise: Array  # (G, M, S) ∂L/∂s⁻


def sgns_block(
    e: Array, rows: Array, near: Array, weight: Array, *, with_loss: bool = True
) -> tuple[Array | None, SGNSBlockSaved]:
    """Loss of the pairs of B tokens with their contexts and of B tokens with shared negatives.

        (1) s_rtu = e_{rT+t} · o_{rT+u}
        (2) s⁻_gms = e_{gM+m} · noise_gs
        (3) L = −Σ near log σ(s) − Σ weight log σ(−s⁻)
    A sum over pairs, not a mean: word2vec takes a step of η for every pair.

    Backward
        ∂L/∂s = near (σ(s) − 1) and ∂L/∂s⁻ = weight σ(s⁻), with σ(x) = ½ + ½ tanh(x/2)
    Shapes
        e (B, D) · rows (B + 2w + G S, D): o, then noise · near (R, T, U) · weight (G, M, S) → L ()
        with B = R T = G M, U = T + 2w: M tokens share S negatives
    Arguments
        near: 1 where a pair is one, see `bands.band`; not differentiated
        weight: of the negatives, see `noise_weight`; not differentiated
        with_loss: False leaves out (3), the logarithms of which only a progress bar looks at
    Source
        Mikolov et al. 2013b, eq. 4 · differs: tokens share negatives, and weigh them as many times
        as they would have drawn; Ji et al. 2016 share them too.
    """
    xp = array_module(e)
    tiles, noise = _tiles_and_noise(e, rows, near.shape, weight.shape)
    s = e.reshape(len(tiles), -1, e.shape[1]) @ tiles.swapaxes(1, 2)  # (1)
    s_noise = e.reshape(len(noise), -1, e.shape[1]) @ noise.swapaxes(1, 2)  # (2)
    near, weight = near.astype(e.dtype, copy=False), weight.astype(e.dtype, copy=False)
    loss = None
    if with_loss:
        loss = -xp.vdot(near, log_logistic(s)) - xp.vdot(weight, log_logistic(-s_noise))  # (3)
    for x, label, share in ((s, 1, near), (s_noise, -1, weight)):
        x *= 0.5
        xp.tanh(x, out=x)
        x -= label
        x *= share
    return loss, SGNSBlockSaved(e, rows, s, s_noise)  # g and g_noise lack a factor of ½


def sgns_block_backward(saved: SGNSBlockSaved) -> tuple[Array, Array]:
    """(de, drows) of `sgns_block`."""
    e, rows, g, g_noise = saved
    xp, D = array_module(e), e.shape[1]
    tiles, noise = _tiles_and_noise(e, rows, g.shape, g_noise.shape)
    window = (g.shape[2] - g.shape[1]) // 2
    n = len(e) + 2 * window
    half_e = e * 0.5
    drows = xp.empty_like(rows)
    dnoise = drows[n:].reshape(noise.shape)
    xp.matmul(g_noise.swapaxes(1, 2), half_e.reshape(len(noise), -1, D), out=dnoise)  # (2)
    dtiles = g.swapaxes(1, 2) @ half_e.reshape(len(tiles), -1, D)  # (1)
    around_backward(dtiles, window, out=drows[:n])
    de = (g @ tiles).reshape(-1, D)  # (1)
    de += (g_noise @ noise).reshape(-1, D)  # (2)
    de *= 0.5
    return de, drows


def _tiles_and_noise(
    e: Array, rows: Array, near: tuple[int, ...], weight: tuple[int, ...]
) -> tuple[Array, Array]:
    """The rows around each tile (R, U, D) and the negatives of each group (G, S, D)."""
    (n_tiles, tile, width), (n_groups, _, n_noise) = near, weight
    n = len(e) + width - tile
    noise = rows[n:].reshape(n_groups, n_noise, e.shape[1])
    return around(rows[:n], n_tiles, (width - tile) // 2), noise


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
