"""HierarchicalSoftmax as a layer, and what it costs in perplexity against the full softmax."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.functional.hierarchical_softmax import hierarchical_softmax
from nnlib.functional.trees import Tree, clustered, huffman, random_tree
from nnlib.init import normal
from nnlib.layers import Dense, Embedding, HierarchicalSoftmax
from nnlib.losses import cross_entropy
from nnlib.optim import SGD, Adam


def layer(n_top: int = 31) -> HierarchicalSoftmax:
    tree = huffman(np.arange(1, 51) ** 2)
    rng = np.random.default_rng(0)
    return HierarchicalSoftmax(tree, 6, rng=rng, init=normal(0.5), n_top=n_top).astype(np.float64)


def test_it_is_the_mean_of_the_losses_of_the_paths() -> None:
    output, rng = layer(), np.random.default_rng(1)
    h, target = rng.normal(size=(7, 6)), rng.integers(50, size=7)
    tree = output.tree
    losses, _ = hierarchical_softmax(h, output.O.value, tree.path[target], tree.sign[target])
    loss, _ = output(h, target)
    assert loss == pytest.approx(losses.mean(), rel=1e-13)
    log_p = output.log_probabilities(h)
    assert loss == pytest.approx(-log_p[np.arange(7), target].mean(), rel=1e-13)
    items, values = output.top_k(h, 4)
    np.testing.assert_array_equal(items, np.argsort(-log_p, axis=1)[:, :4])
    np.testing.assert_allclose(values, -np.sort(-log_p, axis=1)[:, :4], rtol=1e-12)


def test_only_rows_on_paths_have_a_gradient_and_each_once() -> None:
    for n_top in (0, 3, 31):
        output, rng = layer(n_top), np.random.default_rng(2)
        target = np.array([1, 4, 1])
        _, backward = output(rng.normal(size=(3, 6)), target)
        backward()
        (rows,) = output.O.rows
        assert rows.distinct
        np.testing.assert_array_equal(rows.looked_up, output.O.value[rows.ids])
        tree = output.tree
        on_path = set(tree.path[target][tree.sign[target] != 0].tolist())
        touched = set(np.flatnonzero(output.O.dense_grad().any(axis=1)).tolist())
        assert touched == on_path


def test_it_starts_even() -> None:
    """O = 0: an item of depth l has probability 2⁻ˡ."""
    output = HierarchicalSoftmax(huffman(np.arange(1, 9)), 3, rng=np.random.default_rng(0))
    assert output.O.value.dtype == np.float32
    log_p = output.log_probabilities(np.ones((2, 3), np.float32))
    np.testing.assert_allclose(log_p, np.tile(-output.tree.depth * np.log(2), (2, 1)), rtol=1e-6)


def test_a_step_of_descent_learns_the_pair() -> None:
    output = layer()
    h, target = np.ones((2, 6)), np.array([3, 40])
    before, backward = output(h, target)
    backward()
    SGD(output.parameters(), 0.01).step()
    assert output(h, target)[0] < before


def test_settings() -> None:
    tree, rng = huffman(np.ones(4)), np.random.default_rng(0)
    with pytest.raises(ValueError, match="n_factors=0"):
        HierarchicalSoftmax(tree, 0, rng=rng)
    with pytest.raises(ValueError, match="n_top=-1"):
        HierarchicalSoftmax(tree, 3, rng=rng, n_top=-1)


V, CLUSTERS, PAIRS = 256, 16, 40_000


class World(NamedTuple):
    """A Markov chain over items that looks at the cluster of the last one only."""

    p: Array  # (V, V) of the next item given this one
    share: Array  # (V,) of the items in the long run
    this: Array  # (PAIRS,)
    next: Array  # (PAIRS,)

    @classmethod
    def of(cls, seed: int) -> "World":
        rng = np.random.default_rng(seed)
        jump = 0.7 * np.eye(CLUSTERS)[rng.permutation(CLUSTERS)]
        jump += 0.3 * rng.dirichlet(np.full(CLUSTERS, 0.3), CLUSTERS)
        cluster = rng.permutation(np.arange(V) % CLUSTERS)
        items = np.where(cluster == np.arange(CLUSTERS)[:, None], rng.zipf(1.7, V) ** 0.5, 0)
        p = jump[cluster] @ (items / items.sum(axis=1, keepdims=True))
        share = np.linalg.matrix_power(p, 100)[0]
        this = rng.choice(V, PAIRS, p=share)
        after = (rng.random((PAIRS, 1)) > p.cumsum(axis=1)[this]).sum(axis=1)
        return cls(p, share, this, np.minimum(after, V - 1))

    def counts(self) -> Array:
        """(V, V): how often the column followed the row."""
        pair = np.bincount(self.this * V + self.next, minlength=V * V)
        return pair.reshape(V, V)

    def perplexity(self, log_p: Array) -> float:
        """Of a model of p, under p itself."""
        return float(np.exp(-(self.share[:, None] * self.p * log_p).sum()))


def perplexity(
    world: World, n_factors: int, tree: Tree | None, seed: int = 0, epochs: int = 6
) -> float:
    """Trained on the pairs: skip-gram with the softmax over a tree, or with the full one."""
    rng = np.random.default_rng(seed)
    E = Embedding(V, n_factors, rng=rng)
    if tree is None:
        full = Dense(n_factors, V, rng=rng, bias=False)
        optimizer = Adam([*E.parameters(), *full.parameters()], 0.02)
    else:
        output = HierarchicalSoftmax(tree, n_factors, rng=rng)
        optimizer = Adam([*E.parameters(), *output.parameters()], 0.02)
    for epoch in range(epochs):
        optimizer.lr = 0.02 * (1 - epoch / epochs)
        for batch in np.split(rng.permutation(PAIRS), PAIRS // 250):
            h, back_rows = E(world.this[batch])
            if tree is None:
                scores, back_full = full(h)
                _, backward = cross_entropy(scores, world.next[batch])
                back_rows(back_full(backward()))
            else:
                _, backward = output(h, world.next[batch])
                back_rows(backward())
            optimizer.step()
    if tree is None:
        scores = full(E.E.value)[0].astype(np.float64)
        return world.perplexity(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    return world.perplexity(output.log_probabilities(E.E.value))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_perplexity_near_that_of_the_full_softmax(seed: int) -> None:
    """With 16 factors even a Huffman tree, which knows no clusters, is good enough."""
    world = World.of(seed)
    full = perplexity(world, 16, None)
    by_tree = perplexity(world, 16, huffman(world.counts().sum(axis=0)))
    best = world.perplexity(np.log(np.maximum(world.p, 1e-300)))
    assert best < full < 1.25 * best
    assert by_tree < 1.10 * full


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_tree_of_clusters_beats_a_random_one(seed: int) -> None:
    """With 8 factors for 16 clusters the questions must be easy: similar items side by side."""
    world, rng = World.of(10 + seed), np.random.default_rng(seed)
    counts = world.counts()
    followers = np.sqrt(counts / np.maximum(counts.sum(axis=0), 1)).T  # of each item: what precedes
    trees: dict[str, Callable[[], Tree]] = {
        "clusters": lambda: clustered(followers, rng),
        "random": lambda: random_tree(V, rng),
    }
    full = perplexity(world, 8, None)
    found = {name: perplexity(world, 8, make()) for name, make in trees.items()}
    assert found["clusters"] < 1.10 * full
    assert found["random"] > 1.05 * found["clusters"]
