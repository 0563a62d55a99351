"""Hierarchical softmax is a distribution; its forms agree; its search finds what a sort does."""

from collections.abc import Callable

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.functional.activations import logistic
from nnlib.functional.hierarchical_softmax import (
    _descend,
    hierarchical_softmax,
    hierarchical_softmax_backward,
    hierarchical_softmax_cut,
    hierarchical_softmax_cut_backward,
    log_probabilities,
    top_k,
)
from nnlib.functional.trees import Tree, balanced, clustered, cut_paths, huffman, random_tree

V, D, B = 37, 5, 4
Builder = Callable[[np.random.Generator], Tree]
TREES: dict[str, Builder] = {
    "huffman": lambda rng: huffman(rng.zipf(1.5, V)),
    "a chain": lambda rng: huffman(2.0 ** np.arange(V)),
    "balanced": lambda rng: balanced(V),
    "random": lambda rng: random_tree(V, rng),
    "clustered": lambda rng: clustered(rng.normal(size=(V, 3)), rng),
    "two leaves": lambda rng: balanced(2),
}
each_tree = pytest.mark.parametrize("build", TREES.values(), ids=TREES.keys())


def world(build: Builder, seed: int = 0, spread: float = 1.0) -> tuple[Tree, Array, Array]:
    rng = np.random.default_rng(seed)
    tree = build(rng)
    return tree, rng.normal(size=(B, D)), spread * rng.normal(size=(tree.n_inner, D))


def walked(h: Array, O: Array, tree: Tree, node: int = 0, p: float = 1.0) -> dict[int, float]:
    """p(v|h) of all leaves below a node, by recursion as the definition has it."""
    if node >= tree.n_inner:
        return {node - tree.n_inner: p}
    left, right = tree.children[node].tolist()
    goes_left = 1 / (1 + np.exp(-O[node] @ h))
    return {
        **walked(h, O, tree, left, p * goes_left),
        **walked(h, O, tree, right, p * (1 - goes_left)),
    }


@each_tree
def test_probabilities_sum_to_1(build: Builder) -> None:
    tree, h, O = world(build)
    n = tree.n_leaves
    log_p = log_probabilities(h, O, tree)
    assert log_p.shape == (B, n)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, rtol=1e-13)
    for b in range(B):
        by_hand = walked(h[b], O, tree)
        np.testing.assert_allclose(np.exp(log_p[b]), [by_hand[v] for v in range(n)], rtol=1e-12)
        losses, _ = hierarchical_softmax(np.tile(h[b], (n, 1)), O, tree.path, tree.sign)
        np.testing.assert_allclose(-losses, log_p[b], rtol=1e-12, atol=1e-14)


@each_tree
def test_with_0_and_1_for_signs_there_is_no_distribution(build: Builder) -> None:
    """The deck's indicator: every step to the right has probability σ(0) = ½."""
    tree, h, O = world(build)
    on_path = np.arange(tree.path.shape[1]) < tree.depth[:, None]
    indicator = (tree.sign == 1).astype(int)
    a = np.einsum("vld,bd->bvl", O[tree.path], h)
    wrong = np.where(on_path, logistic(indicator * a), 1).prod(axis=2).sum(axis=1)
    right = np.where(on_path, logistic(tree.sign * a), 1).prod(axis=2).sum(axis=1)
    np.testing.assert_allclose(right, 1, rtol=1e-12)
    assert (np.abs(wrong - 1) > 0.01).all()


@each_tree
@pytest.mark.parametrize("n_top", [0, 3, 63])
@pytest.mark.parametrize("spread", [1.0, 100.0])
def test_both_forms_agree(build: Builder, n_top: int, spread: float) -> None:
    tree, h, O = world(build, 1, spread)
    rng = np.random.default_rng(2)
    target = rng.integers(tree.n_leaves, size=B)
    dlosses = rng.normal(size=B)
    losses, saved = hierarchical_softmax(h, O, tree.path[target], tree.sign[target])
    dh, values = hierarchical_softmax_backward(dlosses, saved)
    dO = np.zeros_like(O)
    np.add.at(dO, tree.path[target], values)

    cut_losses, cut_saved = hierarchical_softmax_cut(h, O, cut_paths(tree, n_top).of(target))
    cut_dh, dtop, dvectors = hierarchical_softmax_cut_backward(dlosses, cut_saved)
    assert len(np.unique(cut_saved.nodes)) == len(cut_saved.nodes)
    cut_dO = np.zeros_like(O)
    cut_dO[: len(dtop)], cut_dO[cut_saved.nodes] = dtop, dvectors
    np.testing.assert_allclose(cut_losses, losses, rtol=1e-12)
    np.testing.assert_allclose(cut_dh, dh, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(cut_dO, dO, rtol=1e-11, atol=1e-13)


def test_a_step_against_the_gradient_raises_the_probability() -> None:
    """g_j = σ(a_j) − [left]: one row, each node by hand."""
    tree, h, O = world(TREES["huffman"], 3)
    v = 11
    n = tree.depth[v]
    _, saved = hierarchical_softmax(h[:1], O, tree.path[[v]], tree.sign[[v]])
    dh, values = hierarchical_softmax_backward(np.ones(1), saved)
    nodes = tree.path[v, :n]
    g = logistic(O[nodes] @ h[0]) - (tree.sign[v, :n] == 1)
    np.testing.assert_allclose(dh[0], g @ O[nodes], rtol=1e-12)
    np.testing.assert_allclose(values[0, :n], np.outer(g, h[0]), rtol=1e-12)
    assert not values[0, n:].any()


@pytest.mark.parametrize("n_top", [None, 3])
def test_single_precision_far_out(n_top: int | None) -> None:
    """Where σ underflows the loss is still |a| and the gradient 1."""
    tree, h, O = balanced(4), np.full((1, 1), 1e4, np.float32), np.ones((3, 1), np.float32)
    v = np.flatnonzero((tree.sign == -1).all(axis=1))  # right, right
    if n_top is None:
        losses, saved = hierarchical_softmax(h, O, tree.path[v], tree.sign[v])
        dh, _ = hierarchical_softmax_backward(np.ones(1, np.float32), saved)
    else:
        losses, cut_saved = hierarchical_softmax_cut(h, O, cut_paths(tree, n_top).of(v))
        dh = hierarchical_softmax_cut_backward(np.ones(1, np.float32), cut_saved)[0]
    np.testing.assert_array_equal(losses, [2e4])
    np.testing.assert_array_equal(dh, [[2.0]])
    assert losses.dtype == dh.dtype == np.float32


@each_tree
@pytest.mark.parametrize("k", [1, 3, 10, 100])
@pytest.mark.parametrize("spread", [0.0, 0.1, 3.0])
def test_branch_and_bound_finds_what_a_full_sort_finds(
    build: Builder, k: int, spread: float
) -> None:
    tree, h, O = world(build, 4, spread)
    log_p = log_probabilities(h, O, tree)
    if spread == 0:
        log_p = log_p.round(12)  # ties are in the order of the items
    items, values = top_k(h, O, tree, k)
    expected = np.argsort(-log_p, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(items, expected)
    np.testing.assert_allclose(values, np.take_along_axis(log_p, expected, axis=1), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_branch_and_bound_in_larger_trees(dtype: type) -> None:
    rng = np.random.default_rng(5)
    for tree in (huffman(rng.zipf(1.2, 3000)), balanced(3000)):
        h, O = rng.normal(size=(8, 6)).astype(dtype), rng.normal(size=(2999, 6)).astype(dtype)
        items, values = top_k(h, O, tree, 20)
        log_p = log_probabilities(h, O, tree)
        best = -np.sort(-log_p, axis=1)[:, :20]
        assert values.dtype == dtype
        np.testing.assert_allclose(values, best, rtol=1e-5)
        np.testing.assert_allclose(np.take_along_axis(log_p, items, axis=1), best, rtol=1e-5)


def test_branch_and_bound_does_not_look_where_nothing_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree, rng = balanced(1024), np.random.default_rng(6)
    h, O = np.ones((3, 4)), rng.normal(size=(1023, 4))
    O[0] = 5.0  # left with probability 1 − 2·10⁻⁹
    visited: list[int] = []

    def watched(h: Array, O: Array, tree: Tree, row: Array, node: Array, log_p: Array) -> object:
        visited.extend(node.tolist())
        return _descend(h, O, tree, row, node, log_p)

    monkeypatch.setattr("nnlib.functional.hierarchical_softmax._descend", watched)
    items, _ = top_k(h, O, tree, 5)
    unlikely = {int(tree.children[0, 1])}
    for node in range(tree.n_inner):  # parents precede their children
        if node in unlikely:
            unlikely.update(tree.children[node].tolist())
    inner = {node for node in unlikely if node < tree.n_inner}
    assert len(inner) == 511
    assert len(inner.intersection(visited)) <= 5  # while the beam is not yet full
    assert set(range(5)) <= set(visited)
    np.testing.assert_array_equal(
        items, np.argsort(-log_probabilities(h, O, tree), axis=1, kind="stable")[:, :5]
    )
