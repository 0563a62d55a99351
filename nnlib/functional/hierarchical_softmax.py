"""Hierarchical softmax: an item is a path of left-or-right decisions through a tree.

    log p(v|h) = Σ_l log σ(s_vl O_{n_vl} · h),    s = +1 where the path goes left, −1 where right

σ(a) + σ(−a) = 1 shares out the probability of a node between its children, so that of all leaves
is 1 whatever O and h are; and training touches the log V nodes of a path instead of V items.

For training there are two forms of the same loss.  `hierarchical_softmax` looks up every node of
every path.  `hierarchical_softmax_cut` takes the nodes at the top of the tree, which nearly every
path passes, by a matrix product, and looks up only what is deeper.
"""

from typing import NamedTuple

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import log_logistic, logistic
from nnlib.functional.rows import take_rows
from nnlib.functional.sparse_products import sparse_product, transposed_product
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
    cut: Cut
    O_top: Array  # (T, D)
    x_top: Array  # (B, T) s ⊙ a
    nodes: Array  # (m,) distinct deeper nodes
    vectors: Array  # (m, D) O[nodes]
    index: Array  # (n,) nodes[index] = cut.node
    x: Array  # (n,) s ⊙ a


@fusable
def hierarchical_softmax_cut(h: Array, O: Array, cut: Cut) -> tuple[Array, CutSaved]:
    """`hierarchical_softmax` with the first T nodes as a dense block.

        (1) a_bt = O_t · h_b                                          t < T, on b's path or not
        (2) a_i  = O_{node_i} · h_{row_i}                             the deeper nodes of all rows
        (3) L_b  = −Σ_{t: s_bt ≠ 0} log σ(s_bt a_bt) − Σ_{i: row_i = b} log σ(s_i a_i)
    Shapes
        h (B, D) · O (V − 1, D) · cut: of each row's target, `CutPaths.of` → losses (B,)
    """
    xp = array_module(h)
    O_top = O[: cut.top.shape[1]]
    x_top = cut.top * (h @ O_top.T)  # (1)
    nodes, index = xp.unique(cut.node, return_inverse=True)
    vectors = take_rows(O, nodes)
    x = cut.sign * xp.einsum("nd,nd->n", vectors[index], take_rows(h, cut.row))  # (2)
    losses = xp.bincount(cut.row, -log_logistic(x), len(h)).astype(h.dtype)  # (3)
    losses -= xp.where(cut.top != 0, log_logistic(x_top), 0).sum(axis=1)  # (3)
    return losses, CutSaved(h, cut, O_top, x_top, nodes, vectors, index, x)


@fusable
def hierarchical_softmax_cut_backward(
    dlosses: Array, saved: CutSaved
) -> tuple[Array, Array, Array]:
    """dh (B, D); dO of the top (T, D); dO of the distinct deeper nodes, `saved.nodes`, (m, D)."""
    h, cut, O_top, x_top, _, vectors, index, x = saved
    da = cut.sign * -logistic(-x) * dlosses[cut.row]  # (3)
    da_top = cut.top * -logistic(-x_top) * dlosses[:, None]  # (3)
    dh = sparse_product(da, index, cut.offsets, vectors)  # (2)
    dvectors = transposed_product(da, index, cut.offsets, h, len(vectors))  # (2)
    dh += da_top @ O_top  # (1)
    return dh, da_top.T @ h, dvectors  # (1)


def log_probabilities(h: Array, O: Array, tree: Tree) -> Array:
    """log p(v|h) of all items at once: every node once, then sums down the tree, level by level.

    Shapes
        h (B, D) · O (V − 1, D) → log p (B, V), rows of probabilities that sum to 1
    """
    xp, n = array_module(h), tree.n_inner
    a = O @ h.T
    right = log_logistic(-a)
    left = log_logistic(a)
    log_p = xp.zeros((n + tree.n_leaves, len(h)), a.dtype)
    for nodes in levels(tree.children):
        log_p[tree.children[nodes, 0]] = log_p[nodes] + left[nodes]
        log_p[tree.children[nodes, 1]] = log_p[nodes] + right[nodes]
    return log_p[n:].T


def top_k(h: Array, O: Array, tree: Tree, k: int) -> tuple[Array, Array]:
    """The k likeliest items of each row and their log-probabilities, by branch and bound.

    The probability of a node bounds that of every leaf below it.  So the k-th best leaf that a
    search down the tree has met with, keeping k nodes of each level, tells which subtrees can hold
    nothing better; a second walk enters only the others.  What is saved depends on how sure the
    model is: of flat distributions every node is visited.

    Shapes
        h (B, D) · O (V − 1, D) → items (B, k) int, best first, equal ones by number;
        log p (B, k).  If k > V, k = V.
    """
    xp, k = array_module(h), min(k, tree.n_leaves)
    found = _beam(h, O, tree, k)
    # Sums in another order may differ in their last bits, which must not cost an item its place.
    slack = 100 * float(xp.finfo(h.dtype).eps)
    bound = found - slack * (1 - found)
    row, node = xp.arange(len(h)), xp.zeros(len(h), tree.children.dtype)
    log_p = xp.zeros(len(h), h.dtype)
    rows, leaves, values = [], [], []
    while len(row):
        row, node, log_p = _descend(h, O, tree, row, node, log_p)
        keep = log_p >= bound[row]
        leaf, inner = keep & (node >= tree.n_inner), keep & (node < tree.n_inner)
        rows.append(row[leaf])
        leaves.append(node[leaf] - tree.n_inner)
        values.append(log_p[leaf])
        row, node, log_p = row[inner], node[inner], log_p[inner]
    row, item, log_p = xp.concatenate(rows), xp.concatenate(leaves), xp.concatenate(values)
    order = xp.lexsort(xp.stack([item.astype(xp.float64), -log_p, row]))
    first = xp.searchsorted(row[order], xp.arange(len(h)))
    best = order[first[:, None] + xp.arange(k)]
    return item[best], log_p[best]


def _beam(h: Array, O: Array, tree: Tree, k: int) -> Array:
    """The log-probability of the k-th best leaf that a beam of k nodes finds, (B,)."""
    xp, B, n = array_module(h), len(h), tree.n_inner
    node, log_p = xp.zeros((B, 1), tree.children.dtype), xp.zeros((B, 1), h.dtype)
    while (node < n).any():
        row, at = xp.nonzero(node < n)
        _, child, child_log_p = _descend(h, O, tree, row, node[row, at], log_p[row, at])
        wider = xp.full((B, 2 * node.shape[1]), -xp.inf, h.dtype)
        place = xp.zeros(wider.shape, node.dtype) + n
        wider[:, ::2], place[:, ::2] = log_p, node
        for side in (0, 1):
            wider[row, 2 * at + side] = child_log_p[side::2]
            place[row, 2 * at + side] = child[side::2]
        keep = xp.argpartition(-wider, min(k, wider.shape[1]) - 1, axis=1)[:, :k]
        node = xp.take_along_axis(place, keep, axis=1)
        log_p = xp.take_along_axis(wider, keep, axis=1)
    return log_p.min(axis=1)


def _descend(
    h: Array, O: Array, tree: Tree, row: Array, node: Array, log_p: Array
) -> tuple[Array, Array, Array]:
    """Both children of each (row, node), one after the other, with their log-probabilities."""
    xp = array_module(h)
    a = xp.einsum("nd,nd->n", take_rows(O, node), take_rows(h, row))
    both = xp.stack([log_p + log_logistic(a), log_p + log_logistic(-a)], axis=1)
    return xp.repeat(row, 2), tree.children[node].ravel(), both.ravel()
