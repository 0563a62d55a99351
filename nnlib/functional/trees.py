"""Binary trees over items: the codes that hierarchical softmax predicts bit by bit.

A tree over V leaves has V − 1 inner nodes.  On the way from the root to a leaf each inner node
asks one question, left or right; the answers are the leaf's code.

    huffman(counts)         frequent items near the root: mean length below entropy + 1 bits
    balanced(V)             every code ⌊log₂ V⌋ or ⌈log₂ V⌉ long, neighbours in number together
    random_tree(V, rng)     the same shape, leaves shuffled
    clustered(vectors, rng) the same shape, leaves with similar vectors together
"""

import heapq
from typing import NamedTuple

import numpy as np

from nnlib.array import Array, array_module

SWEEPS = 10  # of 2-means at a level, at most; it settles in about half as many


class Tree(NamedTuple):
    """A binary tree with V leaves, as children for walking down and as paths for training.

    Inner nodes have the numbers 0 … V − 2, leaf v has V − 1 + v.  The root is 0 and a parent's
    number is below its children's, so numbers rise along every path: the nodes below some number
    are a subtree at the top, which a trainer may treat as a dense block.  In a Huffman tree they
    are the most frequently visited ones.

    Shapes
        children (V − 1, 2): left and right child of an inner node
        path (V, L): inner nodes from the root to the leaf's parent, then zeros
        sign (V, L) int8: +1 where the path goes left, −1 where right, 0 behind its end
        depth (V,): length of each path; L is the largest
    """

    children: Array
    path: Array
    sign: Array
    depth: Array

    @property
    def n_leaves(self) -> int:
        """V."""
        return len(self.depth)

    @property
    def n_inner(self) -> int:
        """V − 1."""
        return len(self.children)


def huffman(counts: Array) -> Tree:
    """The tree with the shortest mean code: join the two rarest subtrees until one is left.

        (1) entropy ≤ Σ_v f_v depth_v < entropy + 1                  in bits, f = counts / Σ counts
    Arguments
        counts: (V,), ≥ 0; equal ones are joined in the order of their numbers, leaves first
    Raises
        ValueError: fewer than two items, or a count that is negative or not finite.
    Source
        Huffman 1952; for words Mikolov et al. 2013.
    """
    counts = np.asarray(counts)
    _check_leaves(len(counts))
    if not (np.isfinite(counts) & (counts >= 0)).all():
        wrong = counts[~(np.isfinite(counts) & (counts >= 0))][0]
        raise ValueError(f"a count is {wrong}: counts must be finite and at least 0")
    V = len(counts)
    heap = list(zip(counts.tolist(), range(V), strict=True))
    heapq.heapify(heap)
    joined = np.empty((V - 1, 2), np.int64)  # leaves 0 … V − 1, then subtrees as they are made
    for i in range(V - 1):
        (rarer, right), (other, left) = heapq.heappop(heap), heapq.heappop(heap)
        joined[i] = left, right
        heapq.heappush(heap, (rarer + other, V + i))
    # The last one made is the root: numbered backwards, parents precede their children.
    return from_children(np.where(joined < V, V - 1 + joined, 2 * V - 2 - joined)[::-1])


def balanced(n_leaves: int) -> Tree:
    """Halves of halves of 0 … V − 1: a code of log₂ V bits, rounded up or down, for every item."""
    _check_leaves(n_leaves)
    return _halves(np.arange(n_leaves))


def random_tree(n_leaves: int, rng: np.random.Generator) -> Tree:
    """`balanced` with its leaves shuffled, so that neighbours in it have nothing in common."""
    _check_leaves(n_leaves)
    return _halves(rng.permutation(n_leaves))


def clustered(vectors: Array, rng: np.random.Generator) -> Tree:
    """`balanced` with similar leaves together: 2-means with halves of equal size, again and again.

        (1) w = c_right − c_left                    centroids; at first the gap of two random leaves
        (2) the half of the leaves with the larger w · x goes right, the others left; again (1)
    An inner node asks a question of all leaves below it.  If they are alike the answer depends on
    the input in a simple way, and one vector can learn it.  With equal sizes (2) is the best
    assignment to two given centroids, and the tree has the shape of `balanced`: trees differ only
    in who sits beside whom.

    Shapes
        vectors (V, D)
    Raises
        ValueError: fewer than two rows, or a number that is not finite.
    Source
        Mnih & Hinton 2009, who fit mixtures of two Gaussians and prefer balanced splits too;
        Morin & Bengio 2005, with WordNet instead of clusters.
    """
    x = np.asarray(vectors)
    _check_leaves(len(x))
    if not np.isfinite(x).all():
        raise ValueError("vectors: there is a number that is not finite")
    order = np.arange(len(x))
    start, size = np.zeros(1, np.int64), np.array([len(x)])
    while size.max() > 1:
        many = size > 1
        _, at = _ranges(start[many], size[many])
        order[at] = order[at][_two_means(x[order[at]], size[many], rng)]
        start, size = _split(start, size)
    return _halves(order)


def from_children(children: Array) -> Tree:
    """The tree with these children, numbered as `Tree` says."""
    V, n = len(children) + 1, len(children)
    parent, side = np.zeros(n + V, np.int64), np.zeros(n + V, np.int8)
    parent[children] = np.arange(n)[:, None]
    side[children] = np.array([1, -1], np.int8)
    depth = np.zeros(n + V, np.int64)
    for nodes in levels(children):
        depth[children[nodes]] = depth[nodes][:, None] + 1
    length = depth[n:]
    path = np.zeros((V, length.max()), np.int32)
    sign = np.zeros(path.shape, np.int8)
    leaf, node = np.arange(V), np.arange(n, n + V)
    while len(leaf):  # all leaves climb at once; who has arrived drops out
        step = depth[node] - 1
        path[leaf, step], sign[leaf, step] = parent[node], side[node]
        below = step > 0
        leaf, node = leaf[below], parent[node[below]]
    return Tree(children, path, sign, length)


class Cut(NamedTuple):
    """Paths of a batch in two parts: the nodes below T as columns, the others as a list.

    Shapes
        top (B, T) int8: +1 or −1 where row b's path goes left or right at node t, 0 elsewhere
        offsets (B + 1,): row b's deeper nodes are offsets_b … offsets_{b+1} − 1 of the list
        row, node (n,) and sign (n,) int8: the list, row by row from the top down
    """

    top: Array
    offsets: Array
    row: Array
    node: Array
    sign: Array


class CutPaths(NamedTuple):
    """All paths of a tree cut at node T, see `Cut`; leaf v's deeper nodes begin at start_v.

    Shapes
        top (V, T) int8 · start (V + 1,) · node (n,), sign (n,) int8
    """

    top: Array
    start: Array
    node: Array
    sign: Array

    def of(self, target: Array) -> Cut:
        """The paths of these leaves (B,)."""
        xp = array_module(target)
        first = self.start[target]
        size = self.start[target + 1] - first
        row, at = _ranges(first, size)
        offsets = xp.zeros(len(target) + 1, size.dtype)
        xp.cumsum(size, out=offsets[1:])
        top = self.top.take(target, axis=0)
        return Cut(top, offsets, row, self.node.take(at), self.sign.take(at))


def cut_paths(tree: Tree, n_top: int) -> CutPaths:
    """The paths cut at node T = `n_top`: 31 is five levels of a balanced tree, 0 none of any."""
    T = min(n_top, tree.n_inner)
    used = tree.sign != 0
    leaf, step = np.nonzero(used & (tree.path < T))
    top = np.zeros((tree.n_leaves, T), np.int8)
    top[leaf, tree.path[leaf, step]] = tree.sign[leaf, step]
    deeper = used & (tree.path >= T)
    start = np.concatenate([[0], np.cumsum(deeper.sum(axis=1))])
    return CutPaths(top, start, tree.path[deeper], tree.sign[deeper])


def levels(children: Array) -> list[Array]:
    """The inner nodes of each depth, root first."""
    xp = array_module(children)
    nodes, found = xp.zeros(1, children.dtype), []
    while len(nodes):
        found.append(nodes)
        below = children[nodes].ravel()
        nodes = below[below < len(children)]
    return found


def mean_code_length(tree: Tree, counts: Array) -> float:
    """Σ_v f_v depth_v in bits, f = counts / Σ counts: questions asked per training example."""
    return float(tree.depth @ counts / counts.sum())


def kraft_sum(tree: Tree) -> float:
    """Σ_v 2^(−depth_v), which is 1 for every binary tree that wastes no code."""
    return float((0.5**tree.depth).sum())


def _halves(order: Array) -> Tree:
    """Left half and right half of `order`, again and again; numbered level by level."""
    n = len(order) - 1
    children, used = np.empty((n, 2), np.int64), 0
    start, size = np.zeros(1, np.int64), np.array([n + 1])
    while used < n:
        inner = size > 1
        start, size = _split(start[inner], size[inner])
        number = np.where(size > 1, used + len(start) // 2 + np.cumsum(size > 1) - 1, 0)
        number[size == 1] = n + order[start[size == 1]]
        children[used : used + len(start) // 2] = number.reshape(-1, 2)
        used += len(start) // 2
    return from_children(children)


def _split(start: Array, size: Array) -> tuple[Array, Array]:
    """Both halves of each range, the left one the larger; a range of one stays as it is."""
    left = (size + 1) // 2
    halves = np.stack([left, size - left], axis=1).ravel()
    starts = np.stack([start, start + left], axis=1).ravel()
    return starts[halves > 0], halves[halves > 0]


def _ranges(start: Array, size: Array) -> tuple[Array, Array]:
    """Which range, and what: start₀, start₀ + 1, …, start₀ + size₀ − 1, start₁, …"""
    xp = array_module(start)
    end = xp.cumsum(size)
    which = xp.repeat(xp.arange(len(size)), size)
    return which, xp.arange(len(which)) + (start - end + size)[which]


def _two_means(x: Array, size: Array, rng: np.random.Generator) -> Array:
    """An order of the rows of x, which come in groups of the given sizes, all above 1.

    It stays within groups and puts the left half of each group first.
    """
    start, left = np.cumsum(size) - size, (size + 1) // 2
    group = np.repeat(np.arange(len(size)), size)
    one = rng.integers(size)
    other = (one + rng.integers(1, size)) % size
    w = x[start + one] - x[start + other]  # (1)
    order = np.arange(len(x))
    halves = np.stack([start, start + left], axis=1).ravel()
    for _ in range(SWEEPS):
        along = np.einsum("nd,nd->n", x, w[group])
        new = np.lexsort((along, group))  # (2)
        sums = np.add.reduceat(x[new], halves, axis=0)
        w = sums[1::2] / (size - left)[:, None] - sums[::2] / left[:, None]  # (1)
        settled, order = bool((new == order).all()), new
        if settled:
            break
    return order


def _check_leaves(n: int) -> None:
    if n < 2:
        raise ValueError(f"a tree over {n} items: it needs at least 2")
