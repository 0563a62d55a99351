"""The networks of Word2Vec: two tables, and one block of tokens at a time through them.

    net = NegativeSamplingTables(shape, counts, negatives=5, noise_exponent=0.75, rng=rng)
    noise = net.noise(rng)
    loss, backward = net(block, next(noise))
    backward()

A loss is a sum over predictions, because word2vec takes a step for each of them.  Skip-gram's
predictions are (token, token of its window), CBOW's are tokens that have a context.
"""

from collections.abc import Iterator
from functools import partial
from itertools import repeat

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.data import PopularitySampler
from nnlib.data.token_blocks import TokenBlock
from nnlib.functional.bands import window_sums, window_sums_backward
from nnlib.functional.cbow_block import cbow_block, cbow_block_backward, target_noise_weight
from nnlib.functional.path_block import (
    band_path_block,
    band_path_block_backward,
    band_visits,
    path_block,
    path_block_backward,
    side_by_side,
    top_block,
    top_block_backward,
)
from nnlib.functional.rows import distinct, take_rows
from nnlib.functional.sgns_block import noise_weight, sgns_block, sgns_block_backward
from nnlib.functional.trees import Tree, cut_paths
from nnlib.layer import Layer
from nnlib.losses import cross_entropy, soft_cross_entropy
from nnlib.models.embeddings.block_shape import BlockShape
from nnlib.parameter import Parameter

DRAWN = 2**15  # negatives that are drawn at once
TOP = 31  # nodes of the dense part of a tree: five levels of a balanced one


class Word2VecTables(Layer):
    """Base of the three outputs: E (N, D), drawn from U(−1, 1) / D as gensim does, and O, zeros."""

    def __init__(
        self, shape: BlockShape, n_items: int, n_out: int, n_factors: int, rng: np.random.Generator
    ) -> None:
        self.shape = shape
        # Found by trial: what no log made diverge, at any lr.  Where many rows make one hidden
        # layer, all of them move at once.
        self.longest = 0.8 if shape.cbow else 1.6  # of `CappedSGD`
        E = (2 * rng.random((n_items, n_factors), np.float32) - 1) / n_factors
        self.E, self.O = Parameter(E), Parameter(np.zeros((n_out, n_factors), np.float32))

    def visits(self, f: Array, n: float) -> tuple[Array, Array]:
        """Examples expected to touch each row of E and of O in a block.

        Arguments
            f: (N,) share of each item among the tokens
            n: predictions of a block
        """
        raise NotImplementedError

    def noise(self, rng: np.random.Generator) -> Iterator[Array]:
        """Endless negatives, (n,) for a block; none where there are no negatives."""
        return repeat(np.empty(0, np.intp))

    def hidden(self, block: TokenBlock) -> tuple[Array, Backward]:
        """CBOW's hidden layer h (B, D), and what takes its gradient to E."""
        window = (block.left, block.right, self.shape.share(block))
        h = window_sums(take_rows(self.E.value, block.items), *window)

        def backward(dh: Array) -> None:
            de = window_sums_backward(dh, *window, self.shape.window)
            self.E.accumulate_rows(block.items, de)

        return h, backward


class NegativeSamplingTables(Word2VecTables):
    """Tell the token that is there from others drawn at random; see `sgns_block`, `cbow_block`."""

    def __init__(
        self,
        shape: BlockShape,
        counts: Array,
        n_factors: int,
        negatives: int,
        noise_exponent: float,
        *,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(shape, len(counts), len(counts), n_factors, rng)
        self.negatives = negatives
        self.sampler = PopularitySampler(counts, noise_exponent)

    def visits(self, f: Array, n: float) -> tuple[Array, Array]:
        q, n_draws = self.sampler.probabilities, self.shape.n_groups * self.shape.n_shared
        # A block that draws an item at all gives it the examples of a whole group.
        return n * f, n * (f + self.negatives * np.maximum(q, 1 / n_draws))

    def noise(self, rng: np.random.Generator) -> Iterator[Array]:
        return self.sampler.stream(rng, self.shape.n_groups * self.shape.n_shared, DRAWN)

    def __call__(
        self, block: TokenBlock, noise: Array, *, with_loss: bool = True
    ) -> tuple[Array | None, Backward]:
        E, O, shape = self.E, self.O, self.shape
        groups, K = noise.reshape(shape.n_groups, shape.n_shared), self.negatives
        if shape.cbow:
            inputs, outputs = block.items, np.concatenate([block.centres, noise])
            present = block.n_contexts > 0
            weight = target_noise_weight(block.centres, present, groups, K)
            e, rows = take_rows(E.value, inputs), take_rows(O.value, outputs)
            loss, saved = cbow_block(
                e, rows, block.left, block.right, shape.share(block), weight, with_loss=with_loss
            )
            gradients = partial(cbow_block_backward, saved)
        else:
            inputs, outputs = block.centres, np.concatenate([block.items, noise])
            weight = noise_weight(block.items, block.left, block.right, groups, K)
            e, rows = take_rows(E.value, inputs), take_rows(O.value, outputs)
            loss, pairs = sgns_block(e, rows, block.left, block.right, weight, with_loss=with_loss)
            gradients = partial(sgns_block_backward, pairs)

        def backward() -> None:
            de, drows = gradients()
            E.accumulate_rows(inputs, de)
            O.accumulate_rows(outputs, drows)

        return loss, backward


class TreeTables(Word2VecTables):
    """Hierarchical softmax: O (N − 1, D) are the inner nodes; see `path_block`.

    Skip-gram predicts the token in the middle from each of its contexts, as word2vec.c does, not
    the contexts from the token: over a corpus the pairs are the same, and here every token's path
    is looked up once.
    """

    def __init__(
        self, shape: BlockShape, tree: Tree, n_factors: int, *, rng: np.random.Generator
    ) -> None:
        super().__init__(shape, tree.n_leaves, tree.n_inner, n_factors, rng)
        self.tree, self.paths = tree, cut_paths(tree, TOP)
        self._scratch = np.empty(tree.n_inner, np.int32)

    def visits(self, f: Array, n: float) -> tuple[Array, Array]:
        leaf, step = np.nonzero(self.tree.sign)
        nodes = np.bincount(self.tree.path[leaf, step], f[leaf], self.tree.n_inner)
        return n * f, n * nodes

    def __call__(
        self, block: TokenBlock, noise: Array, *, with_loss: bool = True
    ) -> tuple[Array | None, Backward]:
        E, O, shape = self.E, self.O, self.shape
        cut = self.paths.of(block.centres)
        n_top = cut.top.shape[1]
        nodes, index = distinct(cut.node, self._scratch)
        rows, top = take_rows(O.value, nodes), O.value[:n_top]
        if shape.cbow:
            h, back_hidden = self.hidden(block)
            there = block.n_contexts > 0
            signs = cut.top * there[:, None]
            top_loss, top_saved = top_block(h, top, abs(signs), signs, with_loss=with_loss)
            deep_loss, deep = path_block(
                h, rows, index, cut.sign * there[cut.row], cut.row, cut.offsets, with_loss=with_loss
            )

            def backward_cbow() -> None:
                dh, drows = path_block_backward(deep)
                dh_top, dtop = top_block_backward(top_saved)
                dh += dh_top
                back_hidden(dh)
                O.accumulate_rows(nodes, drows, distinct=True)
                O.accumulate_rows(np.arange(n_top), dtop, distinct=True)

            return (None if deep_loss is None else deep_loss + top_loss), backward_cbow

        items, left, right = block.items, block.left, block.right
        e = take_rows(E.value, items)
        visits, signs = band_visits(left, right, cut.top, shape.window)
        top_loss, top_saved = top_block(e, top, visits, signs, with_loss=with_loss)
        filled = side_by_side(index, cut.sign, cut.row, cut.offsets, shape.n_tiles)
        deep_loss, band_deep = band_path_block(e, rows, left, right, *filled, with_loss=with_loss)

        def backward_skip_gram() -> None:
            de, drows = band_path_block_backward(band_deep)
            de_top, dtop = top_block_backward(top_saved)
            de += de_top
            E.accumulate_rows(items, de)
            O.accumulate_rows(nodes, drows, distinct=True)
            O.accumulate_rows(np.arange(n_top), dtop, distinct=True)

        return (None if deep_loss is None else deep_loss + top_loss), backward_skip_gram


class SoftmaxTables(Word2VecTables):
    """Softmax over all N items: exact, and N D operations for every token; for small N."""

    def __init__(
        self, shape: BlockShape, n_items: int, n_factors: int, *, rng: np.random.Generator
    ) -> None:
        super().__init__(shape, n_items, n_items, n_factors, rng)
        self.longest = 0.8  # the curvature of a softmax is up to ½, of a logistic loss ¼

    def visits(self, f: Array, n: float) -> tuple[Array, Array]:
        return n * f, 2 * n * f  # of O: as target, and as much again by its probability

    def __call__(
        self, block: TokenBlock, noise: Array, *, with_loss: bool = True
    ) -> tuple[Array | None, Backward]:
        E, O, shape = self.E, self.O, self.shape
        if shape.cbow:
            h, back_hidden = self.hidden(block)
            there = block.n_contexts > 0
            h, target = h[there], block.centres[there]
            loss, back_loss = cross_entropy(h @ O.value.T, target)
        else:
            there = slice(None)
            h = take_rows(E.value, block.centres)
            counts = context_counts(block, shape.near(block), len(E.value))
            loss, back_loss = soft_cross_entropy(h @ O.value.T, counts)
        n = len(h)

        def backward() -> None:
            ds = back_loss(n)  # of the sum
            O.accumulate(ds.T @ h)
            dh = ds @ O.value
            if shape.cbow:
                whole = np.zeros((len(block.left), dh.shape[1]), dh.dtype)
                whole[there] = dh
                back_hidden(whole)
            else:
                E.accumulate_rows(block.centres, dh)

        return loss * n, backward


def context_counts(block: TokenBlock, near: Array, n_items: int) -> Array:
    """How often each item is in the window of each token, (B, N) like near."""
    xp = array_module(near)
    n_tiles, tile = near.shape[:2]
    r, t, u = xp.nonzero(near)
    item = block.items[r * tile + u]
    flat = xp.bincount((r * tile + t) * n_items + item, minlength=n_tiles * tile * n_items)
    return flat.reshape(-1, n_items).astype(near.dtype)
