"""Cases of the hierarchical softmax."""

from collections.abc import Iterator

import numpy as np

from nnlib.array import Array, Backward
from nnlib.check.cases.case import Case, Make, Sizes, Subject, scrambled
from nnlib.functional import hierarchical_softmax as by_tree
from nnlib.functional import trees
from nnlib.layers import HierarchicalSoftmax


def _tree(rng: np.random.Generator, s: Sizes) -> trees.Tree:
    """A tree with N inner nodes, of uneven depth."""
    return trees.huffman(rng.integers(1, 9, s.N + 1) ** 2)


def _hierarchical_softmax(rng: np.random.Generator, s: Sizes) -> Subject:
    tree, target = _tree(rng, s), rng.integers(s.N + 1, size=s.B)
    path, sign = tree.path[target], tree.sign[target]

    def f(h: Array, O: Array) -> tuple[Array, Backward]:
        losses, saved = by_tree.hierarchical_softmax(h, O, path, sign)

        def backward(dlosses: Array) -> tuple[Array, Array]:
            dh, values = by_tree.hierarchical_softmax_backward(dlosses, saved)
            dO = np.zeros_like(O)
            np.add.at(dO, path, values)
            return dh, dO

        return losses, backward

    return Subject(f, (rng.normal(size=(s.B, s.H)), rng.normal(size=(s.N, s.H))))


def _hierarchical_softmax_cut(
    n_top: int,
) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        paths = trees.cut_paths(_tree(rng, s), n_top)
        cut = paths.of(rng.integers(s.N + 1, size=s.B))

        def f(h: Array, O: Array) -> tuple[Array, Backward]:
            losses, saved = by_tree.hierarchical_softmax_cut(h, O, cut)

            def backward(dlosses: Array) -> tuple[Array, Array]:
                dh, dtop, dvectors = by_tree.hierarchical_softmax_cut_backward(dlosses, saved)
                dO = np.zeros_like(O)
                dO[: len(dtop)], dO[saved.nodes] = dtop, dvectors
                return dh, dO

            return losses, backward

        return Subject(f, (rng.normal(size=(s.B, s.H)), rng.normal(size=(s.N, s.H))))

    return make


def _hierarchical_softmax_layer(rng: np.random.Generator, s: Sizes) -> Subject:
    layer = scrambled(HierarchicalSoftmax(_tree(rng, s), s.H, rng=rng, n_top=2), rng)
    target = rng.integers(s.N + 1, size=s.B)
    return Subject(lambda h: layer(h, target), (rng.normal(size=(s.B, s.H)),), layer)


def cases() -> Iterator[Case]:
    """The pairs, with and without a block of top nodes, and the layer."""
    yield Case("hierarchical_softmax", by_tree.hierarchical_softmax, _hierarchical_softmax)
    for n_top in (0, 2, 63):
        name = f"hierarchical_softmax_cut n_top={n_top}"
        yield Case(name, by_tree.hierarchical_softmax_cut, _hierarchical_softmax_cut(n_top))
    yield Case("HierarchicalSoftmax", HierarchicalSoftmax, _hierarchical_softmax_layer)
