"""Hierarchical softmax on a block of tokens: the top of the tree as a matrix, the rest ragged.

The few nodes near the root are on nearly every path, so scoring all of them for every token is one
dense product; below them a path has a handful of nodes, which are looked up.  `trees.cut_paths`
cuts the paths in two.
"""

from typing import NamedTuple

import numpy as np

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import log_logistic
from nnlib.functional.bands import around, around_backward, band, window_sums_backward
from nnlib.functional.rows import take_rows
from nnlib.functional.sparse_products import (
    sampled_product,
    sparse_product,
    transposed_product,
)
from nnlib.functional.trees import Tree


class TopSaved(NamedTuple):
    """What the backward of the dense part needs."""

    h: Array  # (B, D)
    top: Array  # (n, D)
    g: Array  # (B, n)


class PathSaved(NamedTuple):
    """What the backward of `path_block` needs."""

    h: Array  # (B, D)
    rows: Array  # (u, D)
    index: Array  # (n,)
    offsets: Array  # (B + 1,)
    g: Array  # (n,)


class BandPathSaved(NamedTuple):
    """What the backward needs of `band_path_block`."""

    g: Array  # of what `band_dots` gives
    e: Array  # (B + 2w, D)
    rows: Array  # (u, D)
    left: Array  # (R T,)
    right: Array  # (R T,)
    index: Array  # (R, P)
    owner: Array  # (R, P)


def top_block(
    h: Array, top: Array, visits: Array, signs: Array, *, with_loss: bool = True
) -> tuple[Array | None, TopSaved]:
    """The dense part: every token at every one of n nodes.

        (1) a = h topᵀ
        (2) L = −Σ_bj [l_bj log σ(a_bj) + r_bj log σ(−a_bj)]
            l = (visits + signs) / 2 paths go left there, r = (visits − signs) / 2 go right
    Backward
        ∂L/∂a = visits σ(a) − l = ½ (visits tanh(a/2) − signs)
    Shapes
        h (B, D) · top (n, D) · visits, signs (B, n) → L ()
    """
    xp = array_module(h)
    visits, signs = visits.astype(h.dtype, copy=False), signs.astype(h.dtype, copy=False)
    a = h @ top.T  # (1)
    loss = None
    if with_loss:  # log σ(−a) = log σ(a) − a
        loss = xp.vdot((visits - signs) * 0.5, a) - xp.vdot(visits, log_logistic(a))  # (2)
    a *= 0.5
    g = xp.tanh(a, out=a)
    g *= visits
    g -= signs
    g *= 0.5
    return loss, TopSaved(h, top, g)


def top_block_backward(saved: TopSaved) -> tuple[Array, Array]:
    """(dh, dtop) of `top_block`."""
    h, top, g = saved
    return g @ top, g.T @ h  # (1)


def path_block(
    h: Array,
    rows: Array,
    index: Array,
    sign: Array,
    row: Array,
    offsets: Array,
    *,
    with_loss: bool = True,
) -> tuple[Array | None, PathSaved]:
    """The ragged part for one path a token: CBOW.

        (1) a_i = h_b · rows[index_i]                        i: a node on the path of token b
        (2) L = −Σ_i log σ(sign_i a_i)
    Shapes
        h (B, D) · rows (u, D) · index (n,) int · sign (n,) ±1 · row (n,) and offsets
        (B + 1,) of the list, as of a `trees.Cut` → L ()
    Backward
        ∂L/∂a = ½ (tanh(a/2) − sign), the entries of a sparse matrix that both gradients multiply
    """
    xp = array_module(h)
    sign = sign.astype(h.dtype, copy=False)
    a = sampled_product(h, row, rows, index)
    loss = -log_logistic(sign * a).sum() if with_loss else None  # (2)
    g = (xp.tanh(a * 0.5) - sign) * 0.5
    return loss, PathSaved(h, rows, index, offsets, g)


def path_block_backward(saved: PathSaved) -> tuple[Array, Array]:
    """(dh, drows) of `path_block`."""
    h, rows, index, offsets, g = saved
    dh = sparse_product(g, index, offsets, rows)  # (1)
    return dh, transposed_product(g, index, offsets, h, len(rows))


def band_path_block(
    e: Array,
    rows: Array,
    left: Array,
    right: Array,
    index: Array,
    sign: Array,
    owner: Array,
    *,
    with_loss: bool = True,
) -> tuple[Array | None, BandPathSaved]:
    """The ragged part for skip-gram: the path of each token, asked from each of its contexts.

        (1) a_rpu = rows[index_rp] · e_{rT+u}
        (2) L = −Σ near_{r, owner_rp, u} log σ(sign_rp a_rpu)      near: see `bands.band`
    The nodes of a tile's T tokens stand side by side, filled up to P with nodes that count nothing.

    Backward
        ∂L/∂a = ½ near (tanh(a/2) − sign)
    Shapes
        e (B + 2w, D) · rows (u, D) · left, right (R T,) int · index, sign, owner (R, P) → L ()
    Arguments
        owner: whose path a node is on, as r T + t, or R T where the node counts nothing
    """
    xp = array_module(e)
    a, signs, weight = band_dots(e, rows, left, right, index, sign, owner)  # (1)
    loss = -xp.vdot(weight, log_logistic(signs * a)) if with_loss else None  # (2)
    a *= 0.5
    g = xp.tanh(a, out=a)
    g -= signs
    g *= weight
    g *= 0.5
    return loss, BandPathSaved(g, e, rows, left, right, index, owner)


def band_path_block_backward(saved: BandPathSaved) -> tuple[Array, Array]:
    """(de, drows) of `band_path_block`."""
    return band_sums(*saved)  # (1)


@fusable
def band_dots(
    e: Array, rows: Array, left: Array, right: Array, index: Array, sign: Array, owner: Array
) -> tuple[Array, Array, Array]:
    """(a, sign, weight) of `band_path_block`, for every node of a tile and every token around it.

    Shapes
        a, weight (R, P, U) · sign (R, P, 1), like e; the kernel gives all three for the tokens in
        the window only, (n,)
    """
    xp = array_module(e)
    n_tiles, window = len(index), (len(e) - len(left)) // 2
    near = band(left, right, n_tiles, window)
    width = near.shape[2]
    a = take_rows(rows, index) @ around(e, n_tiles, window).swapaxes(1, 2)
    weight = xp.concatenate([near.reshape(-1, width), xp.zeros((1, width), near.dtype)])
    weight = take_rows(weight, owner).astype(e.dtype, copy=False)
    return a, sign.astype(e.dtype, copy=False)[:, :, None], weight


@fusable
def band_sums(
    g: Array, e: Array, rows: Array, left: Array, right: Array, index: Array, owner: Array
) -> tuple[Array, Array]:
    """(de, drows): what `band_dots` multiplies, the other side each time, weighted by g."""
    xp = array_module(e)
    n_tiles, window = len(index), (len(e) - len(left)) // 2
    de = around_backward(g.swapaxes(1, 2) @ take_rows(rows, index), window)
    dnodes = (g @ around(e, n_tiles, window)).reshape(-1, e.shape[1])
    each, ones = xp.arange(len(dnodes) + 1), xp.ones(len(dnodes), g.dtype)
    return de, transposed_product(ones, index.ravel(), each, dnodes, len(rows))


def band_visits(left: Array, right: Array, top: Array, window: int) -> tuple[Array, Array]:
    """(visits, signs) of `top_block` for skip-gram: sums over the tokens whose context one is.

    Shapes
        left, right (B,) · top (B, n) in {−1, 0, 1}, of the tokens → visits, signs (B + 2w, n)
    """
    xp, n = array_module(top), top.shape[1]
    top = top.astype(np.float32)
    each = xp.ones(len(top), top.dtype)
    both = window_sums_backward(xp.concatenate([abs(top), top], axis=1), left, right, each, window)
    return both[:, :n], both[:, n:]


def side_by_side(
    index: Array, sign: Array, row: Array, offsets: Array, n_tiles: int
) -> tuple[Array, Array, Array]:
    """(index, sign, owner), each (R, P), of `band_path_block` from the list of a `trees.Cut`.

    Shapes
        index, sign, row (n,) · offsets (R T + 1,)
    """
    xp = array_module(index)
    B = len(offsets) - 1
    begin = offsets[:: B // n_tiles]  # of every tile, and the end
    n = xp.diff(begin)
    P = int(n.max())
    place = xp.arange(len(index)) + xp.repeat(xp.arange(n_tiles) * P - begin[:-1], n)
    filled = []
    for value, blank in ((index, 0), (sign, 0), (row, B)):
        wide = xp.full(n_tiles * P, blank, value.dtype)
        wide[place] = value
        filled.append(wide.reshape(n_tiles, P))
    return filled[0], filled[1], filled[2]


def path_block_reference(
    h: Array, O: Array, tree: Tree, target: Array
) -> tuple[float, Array, Array]:
    """The whole path of every target, node by node:  (L, dh, dO).

    (1) L = −Σ_b Σ_j log σ(s_j O_{n_j} · h_b)             n_j, s_j: the path of target b
    """
    loss, dh, dO = 0.0, np.zeros_like(h), np.zeros_like(O)
    for b, v in enumerate(target):
        for j in range(tree.depth[v]):
            n, s = tree.path[v, j], int(tree.sign[v, j])
            p = 1 / (1 + np.exp(-s * (O[n] @ h[b])))
            loss -= np.log(p)  # (1)
            dh[b] -= s * (1 - p) * O[n]
            dO[n] -= s * (1 - p) * h[b]
    return loss, dh, dO
