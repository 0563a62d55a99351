"""Trees: codes can be read back, lengths obey Shannon and Kraft, a cut loses nothing."""

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from nnlib.array import Array
from nnlib.functional.trees import (
    Tree,
    balanced,
    clustered,
    cut_paths,
    huffman,
    kraft_sum,
    levels,
    mean_code_length,
    random_tree,
)

Builder = Callable[[int, np.random.Generator], Tree]
BUILDERS: dict[str, Builder] = {
    "huffman": lambda V, rng: huffman(rng.integers(0, 50, V)),
    "huffman of Zipf": lambda V, rng: huffman(1 / np.arange(1, V + 1)),
    "huffman of powers of two": lambda V, rng: huffman(2.0 ** np.arange(V)),
    "balanced": lambda V, rng: balanced(V),
    "random": random_tree,
    "clustered": lambda V, rng: clustered(rng.normal(size=(V, 3)), rng),
    "clustered, all vectors equal": lambda V, rng: clustered(np.ones((V, 3)), rng),
}
each_builder = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS.keys())


def codes(tree: Tree) -> dict[int, list[tuple[int, int]]]:
    """leaf → [(node, sign), …] by walking down from the root."""
    found, stack = {}, [(0, [])]
    while stack:
        node, path = stack.pop()
        if node >= tree.n_inner:
            found[node - tree.n_inner] = path
        else:
            for child, sign in zip(tree.children[node].tolist(), (1, -1), strict=True):
                stack.append((child, [*path, (node, sign)]))
    return found


def entropy(counts: Array) -> float:
    f = counts[counts > 0] / counts.sum()
    return float(-(f * np.log2(f)).sum())


@each_builder
@given(V=st.integers(2, 60), seed=st.integers(0, 99))
def test_paths_are_those_of_a_walk_from_the_root(build: Builder, V: int, seed: int) -> None:
    tree = build(V, np.random.default_rng(seed))
    walked = codes(tree)
    assert sorted(walked) == list(range(V))
    assert (tree.n_leaves, tree.n_inner) == (V, V - 1)
    for v, steps in walked.items():
        n = tree.depth[v]
        assert list(zip(tree.path[v, :n], tree.sign[v, :n], strict=True)) == steps
        assert not tree.path[v, n:].any()
        assert not tree.sign[v, n:].any()
        assert (np.diff(tree.path[v, :n]) > 0).all()
    assert tree.path.shape[1] == tree.depth.max()
    assert kraft_sum(tree) == 1
    by_level = levels(tree.children)
    assert sorted(np.concatenate(by_level)) == list(range(V - 1))
    assert all((tree.path[:, i][tree.sign[:, i] != 0, None] == nodes).any(axis=1).all()
               for i, nodes in enumerate(by_level))  # fmt: skip


@given(
    counts=st.lists(st.integers(0, 10**6), min_size=2, max_size=200).filter(lambda c: sum(c) > 0)
)
def test_shannon(counts: list[int]) -> None:
    c = np.array(counts)
    length = mean_code_length(huffman(c), c)
    assert max(entropy(c), 1) - 1e-12 <= length < entropy(c) + 1 + 1e-12
    assert length <= mean_code_length(balanced(len(c)), c) + 1e-12


def test_no_code_beats_huffman_on_five_items() -> None:
    """Against all trees over five items: all ways to join two subtrees until one is left."""

    def best(weights: tuple[int, ...]) -> int:
        if len(weights) == 1:
            return 0
        totals = []
        for i in range(len(weights)):
            for j in range(i):
                rest = [w for k, w in enumerate(weights) if k not in (i, j)]
                joined = weights[i] + weights[j]
                totals.append(joined + best((*rest, joined)))
        return min(totals)

    for counts in ((1, 1, 1, 1, 1), (16, 8, 4, 2, 1), (5, 5, 3, 2, 2), (9, 1, 1, 1, 0)):
        c = np.array(counts)
        assert mean_code_length(huffman(c), c) * c.sum() == pytest.approx(best(counts))


def test_frequent_items_have_short_codes_and_their_nodes_small_numbers() -> None:
    counts = np.random.default_rng(0).zipf(1.3, 300)
    tree = huffman(counts)
    order = np.argsort(-counts, kind="stable")
    shorter_first = tree.depth[order]
    distinct = np.diff(counts[order]) < 0
    assert (np.diff(shorter_first)[distinct] >= 0).all()
    used = tree.sign != 0
    visits = np.bincount(tree.path[used], np.repeat(counts, tree.depth))
    assert (np.diff(visits) <= 0).all()


@pytest.mark.parametrize("V", [2, 3, 7, 8, 9, 1000, 1024])
def test_balanced_codes_differ_by_a_bit(V: int) -> None:
    rng = np.random.default_rng(0)
    for tree in (balanced(V), random_tree(V, rng), clustered(rng.normal(size=(V, 2)), rng)):
        assert set(tree.depth) <= {int(np.log2(V)), int(np.ceil(np.log2(V)))}
    shape = lambda t: sorted(t.depth.tolist())
    assert shape(balanced(V)) == shape(random_tree(V, rng))


def test_clusters_stay_together() -> None:
    """Eight clusters of eight: the top three questions find the cluster."""
    rng = np.random.default_rng(1)
    label = rng.permutation(np.repeat(np.arange(8), 8))
    centre = 10 * rng.normal(size=(8, 5))
    tree = clustered(centre[label] + 0.1 * rng.normal(size=(64, 5)), rng)
    groups = {tuple(tree.path[v, :4]): set() for v in range(64)}
    for v in range(64):
        groups[tuple(tree.path[v, :4])].add(label[v])
    assert len(groups) == 8
    assert all(len(labels) == 1 for labels in groups.values())


def test_same_seed_same_tree() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    a, b = (clustered(x, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(a.path, b.path)
    assert (clustered(x, np.random.default_rng(4)).path != a.path).any()


@each_builder
@pytest.mark.parametrize("n_top", [0, 1, 5, 63])
def test_a_cut_holds_the_same_paths(build: Builder, n_top: int) -> None:
    tree = build(40, np.random.default_rng(2))
    target = np.array([3, 0, 39, 3, 17])
    cut = cut_paths(tree, n_top).of(target)
    T = min(n_top, tree.n_inner)
    assert cut.top.shape == (5, T)
    for b, v in enumerate(target):
        n = tree.depth[v]
        signs = np.zeros(tree.n_inner)
        signs[tree.path[v, :n]] = tree.sign[v, :n]
        np.testing.assert_array_equal(cut.top[b], signs[:T])
        part = slice(cut.offsets[b], cut.offsets[b + 1])
        assert (cut.row[part] == b).all()
        np.testing.assert_array_equal(cut.node[part], np.flatnonzero(signs[T:]) + T)
        np.testing.assert_array_equal(cut.sign[part], signs[cut.node[part]])
    assert cut.offsets[-1] == len(cut.node) == len(cut.sign) == len(cut.row)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: huffman(np.array([3])), "over 1 items"),
        (lambda: balanced(0), "over 0 items"),
        (lambda: random_tree(1, np.random.default_rng(0)), "at least 2"),
        (lambda: clustered(np.ones((1, 2)), np.random.default_rng(0)), "at least 2"),
        (lambda: clustered(np.array([[1], [np.nan]]), np.random.default_rng(0)), "not finite"),
        (lambda: huffman(np.array([3, -1, 2])), "count is -1"),
        (lambda: huffman(np.array([3, np.inf])), "count is inf"),
    ],
)
def test_bad_input(make: Callable[[], Tree], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
