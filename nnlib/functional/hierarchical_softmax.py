"""Hierarchical softmax: an item is a path of left-or-right decisions through a tree.

    log p(v|h) = Σ_l log σ(s_vl O_{n_vl} · h),    s = +1 where the path goes left, −1 where right

σ(a) + σ(−a) = 1 shares out the probability of a node between its children, so that of all leaves
is 1 whatever O and h are; and training touches the log V nodes of a path instead of V items.

For training there are two forms of the same loss.  `hierarchical_softmax` looks up every node of
every path.  `hierarchical_softmax_cut` takes the nodes at the top of the tree, which nearly every
path passes, by a matrix product, and looks up only what is deeper.
"""

from typing import NamedTuple

import numpy as np

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import log_logistic, logistic
from nnlib.functional.rows import add_rows, coalesce, take_rows
from nnlib.functional.trees import Cut, Tree, levels


class PathsSaved(NamedTuple):
    """What the backward needs of `hierarchical_softmax`."""

    h: Array  # (B, D)
    vectors: Array  # (B, L, D) of the nodes on the paths
    sign: Array  # (B, L)
    x: Array  # (B, L) s ⊙ a


@fusable
def hierarchical_softmax(h: Array, O: Array, path: Array, sign: Array) -> tuple[Array, PathsSaved]:
    """Loss of each row's path through the tree, in nats.

        (1) a_bl = O_{n_bl} · h_b
        (2) L_b  = −Σ_{l: s_bl ≠ 0} log σ(s_bl a_bl)
    Shapes
        h (B, D) · O (V − 1, D) · path, sign (B, L), of each row's target → losses (B,)
    Source
        Morin & Bengio 2005; Mikolov et al. 2013b, eq. 3 · differs: the deck's indicator is 1 or 0,
        but s has to be ±1: with 0 a step to the right would have probability σ(0) = ½, whatever O.
    """
    xp = array_module(h)
    vectors = take_rows(O, path)
    a = xp.matmul(vectors, h[:, :, None])[:, :, 0]  # (1)
    x = sign * a
    losses = -xp.where(sign != 0, log_logistic(x), 0).sum(axis=1)  # (2)
    return losses, PathsSaved(h, vectors, sign, x)


@fusable
def hierarchical_softmax_backward(dlosses: Array, saved: PathsSaved) -> tuple[Array, Array]:
    """dh (B, D), and what each row adds to the gradient of its nodes O[path], (B, L, D)."""
    h, vectors, sign, x = saved
    da = dlosses[:, None] * sign * -logistic(-x)  # (2)
    dh = array_module(h).matmul(da[:, None, :], vectors)[:, 0]  # (1)
    return dh, da[:, :, None] * h[:, None, :]  # (1)


class CutSaved(NamedTuple):
    """What the backward needs of `hierarchical_softmax_cut`."""

    h: Array  # (B, D)
    O_top: Array  # (T, D)
    vectors: Array  # (n, D) of the deeper nodes
    cut: Cut
    x_top: Array  # (B, T) s ⊙ a
    x: Array  # (n,)


@fusable
def hierarchical_softmax_cut(h: Array, O: Array, cut: Cut) -> tuple[Array, CutSaved]:
    """`hierarchical_softmax` with the first T nodes as a dense block.

        (1) a_bt = O_t · h_b                                          t < T, on b's path or not
        (2) a_i  = O_{node_i} · h_{row_i}                             deeper nodes, one after another
        (3) L_b  = −Σ_{t: s_bt ≠ 0} log σ(s_bt a_bt) − Σ_{i: row_i = b} log σ(s_i a_i)
    Shapes
        h (B, D) · O (V − 1, D) · cut: of each row's target, `CutPaths.of` → losses (B,)
    """
    xp = array_module(h)
    O_top = O[: cut.top.shape[1]]
    x_top = cut.top * (h @ O_top.T)  # (1)
    losses = -xp.where(cut.top != 0, log_logistic(x_top), 0).sum(axis=1)  # (3)
    vectors = take_rows(O, cut.node)
    x = cut.sign * xp.einsum("nd,nd->n", vectors, take_rows(h, cut.row))  # (2)
    losses -= xp.bincount(cut.row, log_logistic(x), len(h)).astype(h.dtype)  # (3)
    return losses, CutSaved(h, O_top, vectors, cut, x_top, x)


@fusable
def hierarchical_softmax_cut_backward(
    dlosses: Array, saved: CutSaved
) -> tuple[Array, Array, Array, Array]:
    """dh (B, D); dO of the top (T, D); distinct deeper nodes (m,) and dO of those (m, D)."""
    h, O_top, vectors, cut, x_top, x = saved
    da = cut.sign * -logistic(-x) * dlosses[cut.row]  # (3)
    da_top = cut.top * -logistic(-x_top) * dlosses[:, None]  # (3)
    dh = da_top @ O_top  # (1)
    ids, values = coalesce(cut.node, take_rows(h, cut.row) * da[:, None])  # (2)
    add_rows(dh, cut.row, vectors * da[:, None])  # (2)
    return dh, da_top.T @ h, ids, values  # (1)
