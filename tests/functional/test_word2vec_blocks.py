"""The fast blocks of word2vec against pair by pair and token by token."""

import numpy as np
import pytest

from nnlib.functional.bands import band, band_product
from nnlib.functional.cbow_block import (
    cbow_block,
    cbow_block_backward,
    cbow_block_reference,
    target_noise_weight,
)
from nnlib.functional.path_block import (
    band_path_block,
    band_path_block_backward,
    band_visits,
    path_block,
    path_block_backward,
    path_block_reference,
    side_by_side,
    top_block,
    top_block_backward,
)
from nnlib.functional.rows import distinct
from nnlib.functional.sgns_block import (
    noise_weight,
    sgns_block,
    sgns_block_backward,
    sgns_block_reference,
)
from nnlib.functional.trees import cut_paths, huffman

V, D, W, R, TILE, G, S, K = 9, 4, 3, 4, 4, 2, 5, 7
B = R * TILE


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    items = rng.integers(V, size=B + 2 * W)  # few items: they repeat everywhere
    left, right = rng.integers(0, W + 1, (2, B), dtype=np.int8)
    left[5] = right[5] = 0  # a token without context
    E, O = rng.normal(size=(2, V, D))
    return E, O, items, left, right, rng.integers(V, size=(G, S))


def scattered(table, ids, values):
    total = np.zeros_like(table)
    np.add.at(total, ids, values)
    return total


def skip_gram(E, O, items, left, right, noise):
    ids = np.concatenate([items, noise.ravel()])
    weight = noise_weight(items, left, right, noise, K)
    loss, saved = sgns_block(E[items[W:-W]], O[ids], left, right, weight)
    de, drows = sgns_block_backward(saved)
    return loss, scattered(E, items[W:-W], de), scattered(O, ids, drows)


def test_skip_gram_with_negative_sampling(data):
    got, expected = skip_gram(*data), sgns_block_reference(*data, K)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)  # weights are float32


def test_negatives_that_equal_the_context_are_skipped(data):
    _, _, items, left, right, noise = data
    weight = noise_weight(items, left, right, noise, K).reshape(B, S)
    for b in range(B):
        context = [*items[W + b - left[b] : W + b], *items[W + b + 1 : W + b + right[b] + 1]]
        for s in range(S):
            different = sum(c != noise[b * G // B, s] for c in context)
            np.testing.assert_allclose(weight[b, s], K / S * different, atol=1e-5)


def cbow(E, O, items, left, right, noise, mean):
    target, present = items[W:-W], (left + right) > 0
    ids = np.concatenate([target, noise.ravel()])
    share = 1.0 / np.maximum(left + right, 1) if mean else np.ones(B)
    weight = target_noise_weight(target, present, noise, K)
    loss, saved = cbow_block(E[items], O[ids], left, right, share, weight)
    de, drows = cbow_block_backward(saved)
    return loss, scattered(E, items, de), scattered(O, ids, drows)


@pytest.mark.parametrize("mean", [True, False])
def test_cbow_with_negative_sampling(data, mean):
    got, expected = cbow(*data, mean), cbow_block_reference(*data, K, mean=mean)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_the_mean_of_the_context_has_its_own_gradient(data):
    """word2vec.c, fastText and gensim give each context row what the gradient of a sum would be."""
    E, O, items, left, right, noise = data
    _, dE, _ = cbow(*data, mean=True)
    direction = np.random.default_rng(0).normal(size=E.shape)
    f = lambda h: cbow(E + h * direction, O, items, left, right, noise, mean=True)[0]
    difference = (f(1e-5) - f(-1e-5)) / 2e-5
    np.testing.assert_allclose(np.vdot(dE, direction), difference, rtol=1e-6)

    target, present = items[W:-W], (left + right) > 0
    share = 1.0 / np.maximum(left + right, 1)
    ids = np.concatenate([target, noise.ravel()])
    weight = target_noise_weight(target, present, noise, K)
    _, saved = cbow_block(E[items], O[ids], left, right, share, weight)
    without, _ = cbow_block_backward(saved._replace(share=np.ones(B)))  # 1/|C| left out
    wrong = np.vdot(scattered(E, items, without), direction)
    assert abs(wrong - difference) > 0.1 * abs(difference)


@pytest.mark.parametrize("n_top", [0, 3, 63])
def test_cbow_with_a_tree(data, n_top):
    E, _, items, left, right, _ = data
    tree = huffman(np.arange(1, V + 1))
    O = np.random.default_rng(1).normal(size=(V - 1, D))
    target = items[W:-W]
    h = band_product(band(left, right, R, W).astype(float), E[items])
    cut = cut_paths(tree, n_top).of(target)
    top, T = cut.top.astype(float), cut.top.shape[1]
    nodes, index = distinct(cut.node, np.empty(V, np.int64))
    loss, saved = top_block(h, O[:T], abs(top), top)
    deep_loss, deep = path_block(h, O[nodes], index, cut.sign, cut.row, cut.offsets)
    (dh, dtop), (dh_deep, drows) = top_block_backward(saved), path_block_backward(deep)
    dO = scattered(O, nodes, drows)
    dO[:T] += dtop
    expected = path_block_reference(h, O, tree, target)
    for a, b in zip((loss + deep_loss, dh + dh_deep, dO), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("n_top", [0, 3, 63])
def test_skip_gram_with_a_tree(data, n_top):
    E, _, items, left, right, _ = data
    tree = huffman(np.arange(1, V + 1))
    O = np.random.default_rng(1).normal(size=(V - 1, D))
    near = band(left, right, R, W).astype(float)
    cut = cut_paths(tree, n_top).of(items[W:-W])
    T = cut.top.shape[1]
    nodes, index = distinct(cut.node, np.empty(V, np.int64))
    loss, saved = top_block(E[items], O[:T], *band_visits(left, right, cut.top, W))
    filled = side_by_side(index, cut.sign, cut.row, cut.offsets, R)
    deep_loss, deep = band_path_block(E[items], O[nodes], left, right, *filled)
    (de, dtop), (de_deep, drows) = top_block_backward(saved), band_path_block_backward(deep)
    dO = scattered(O, nodes, drows)
    dO[:T] += dtop

    r, t, u = np.nonzero(near)  # a pair: the token in the middle, asked from one around it
    middle, other = r * TILE + t + W, r * TILE + u
    total, dh, dO_pairs = path_block_reference(E[items[other]], O, tree, items[middle])
    np.testing.assert_allclose(loss + deep_loss, total)
    np.testing.assert_allclose(de + de_deep, scattered(E[items], other, dh), atol=1e-12)
    np.testing.assert_allclose(dO, dO_pairs, atol=1e-12)


def test_without_the_loss_gradients_are_the_same(data):
    E, O, items, left, right, noise = data
    ids = np.concatenate([items, noise.ravel()])
    weight = noise_weight(items, left, right, noise, K)
    args = (E[items[W:-W]], O[ids], left, right, weight)
    loss, saved = sgns_block(*args, with_loss=False)
    assert loss is None
    again = sgns_block_backward(sgns_block(*args)[1])
    for a, b in zip(sgns_block_backward(saved), again, strict=True):
        np.testing.assert_array_equal(a, b)
