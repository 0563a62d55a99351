"""Word2Vec: vectors of words or items that predict what is near them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from nnlib.array import Array, keep_freed_memory
from nnlib.data import Histories, Interactions
from nnlib.data.corpus import Corpus, InteractionsCorpus
from nnlib.data.token_blocks import TokenBlock, token_blocks
from nnlib.data.vocabulary import keep_probability
from nnlib.functional.hierarchical_softmax import log_probabilities
from nnlib.functional.trees import Tree, balanced, from_children, huffman, random_tree
from nnlib.models.base import check_log
from nnlib.models.embeddings.block_shape import BlockShape
from nnlib.models.embeddings.capped_sgd import CappedSGD
from nnlib.models.embeddings.word2vec_network import (
    NegativeSamplingTables,
    SoftmaxTables,
    TreeTables,
    Word2VecTables,
)
from nnlib.models.epochs import Epochs
from nnlib.models.item_vectors import ItemVectors, Score, check_scoring
from nnlib.models.settings import (
    check_finite,
    check_not_negative,
    check_positive,
    check_whole,
    check_word,
)
from nnlib.optim import linear

Architecture: TypeAlias = Literal["skip-gram", "cbow"]
Output: TypeAlias = Literal["negative-sampling", "hierarchical-softmax", "softmax"]
TreeShape: TypeAlias = Literal["huffman", "balanced", "random"]

FLOOR = 1e-4  # where the learning rate ends
LOSS_EVERY = 8  # blocks between two whose loss is looked at


@dataclass(kw_only=True)
class Word2Vec(ItemVectors):
    """Skip-gram and CBOW, each with negative sampling, hierarchical or full softmax.

    Of a token w and the tokens C at most b places away, b drawn from 1 … window for each token:

        (1) skip-gram   L = −Σ_{c ∈ C} log p(c | E_w)
        (2) CBOW        L = −log p(w | h),   h = 1/|C| Σ_{c ∈ C} E_c, or without 1/|C|
    where log p(v | h) is, by `output`,

        (3) negative-sampling      log σ(O_v · h) + Σ_{k=1}^{K} log σ(−O_{n_k} · h),   n_k ~ q
        (4) hierarchical-softmax   Σ_j log σ(s_j O_{n_j} · h)     down the tree to v
        (5) softmax                O_v · h − log Σ_j exp(O_j · h)
    with q_v ∝ counts_v^noise_exponent.  A step takes a block of tokens: matrix products instead of
    look-ups, see `functional.sgns_block`, `cbow_block` and `path_block`.  η falls along a line to
    10⁻⁴ from the first token of the first epoch to the last of the last.

    After (4), row n of O_ is inner node n of the tree, and its last row is no node and zero.

    Arguments
        architecture: "skip-gram" or "cbow"
        output: "negative-sampling", "hierarchical-softmax" or "softmax" (for small vocabularies)
        n_factors: D ≥ 1
        window: ≥ 1
        dynamic: draw b; otherwise b = window
        negatives: K ≥ 1
        noise_exponent: 0 draws uniformly, 1 by popularity, below 0 rare items more
        subsample: t of `keep_probability`, ≥ 0: occurrences of items more frequent than t are
            dropped at random; 0: none
        min_count: items of a log with fewer events are left out, ≥ 1; a corpus has its own
        epochs: passes over the tokens, ≥ 1
        lr: η at the start, > 0; None: 0.025 for skip-gram, 0.05 for CBOW
        batch_size: tokens of a block, ≥ 1, rounded up to a multiple of 32 or more; None: a 256th
            of all, from 128 to 2,048
        tree: "huffman", "balanced" or "random"
        cbow_mean: h of (2) is the mean of C; False: the sum
        score, decay: how a history is scored, see `ItemVectors`; "pmi" and "prob" of the softmaxes
            are exact: log p(j | h) less log p(j), or log p(j | h)
        seed: of weights, order, windows and negatives
    Source
        Mikolov et al. 2013a, 2013b and word2vec.c.  Differs: steps are taken for a block at a time
        and capped for frequent items (`CappedSGD`); negatives are shared; the gradient of CBOW's
        mean has its 1/|C|, which word2vec.c leaves out: to move as fast, E has η times the mean of
        |C|, as İrsoy et al. 2021 raise η; E starts twice as wide, as gensim's does.  The deck's
        CBOW is the sum.
    """

    architecture: Architecture = "skip-gram"
    output: Output = "negative-sampling"
    n_factors: int = 100
    window: int = 5
    dynamic: bool = True
    negatives: int = 5
    noise_exponent: float = 0.75
    subsample: float = 0.0
    min_count: int = 1
    epochs: int = 5
    lr: float | None = None
    batch_size: int | None = None
    tree: TreeShape = "huffman"
    cbow_mean: bool = True
    score: Score = "prob"
    decay: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_settings(self)

    def fit(
        self,
        train: Interactions | Corpus,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from the histories of a log or the sentences of a corpus.

        `losses_` are means over every eighth block.

        Arguments
            progress: show a bar with the loss, tokens per second and the time left
            checkpoint: file to write after every epoch
            resume: go on from `checkpoint` if it exists, as if there had been no interruption;
                `epochs` must be as it was, for η depends on it
        Raises
            DataError: fewer than two items, or no row of two tokens.
            DivergedError: a loss or parameter is no longer finite.
            KeyboardInterrupt: Ctrl-C; the block is finished first, and the model can be used
        """
        corpus = self._corpus(train)
        keep_freed_memory()
        counts = corpus.vocabulary.counts
        keep = keep_probability(counts, self.subsample) if self.subsample else None
        size = self.batch_size or min(max(corpus.n_tokens // 256, 128), 2048)
        shape = BlockShape(self.window, size, self.architecture == "cbow", self.cbow_mean)
        kept = counts if keep is None else counts * keep
        n_blocks = max(1, math.ceil(kept.sum() / shape.n_tokens))  # of an epoch, about
        lr = (0.05 if shape.cbow else 0.025) if self.lr is None else self.lr
        eta = linear(lr, min(FLOOR, lr), self.epochs * n_blocks)
        first = next(self._blocks(corpus, shape, keep, 0))  # what a block is like
        n_targets = int((first.n_contexts > 0).sum())
        n_contexts = int(first.n_contexts.sum()) / n_targets  # of a token
        shape = shape.for_draws(self.negatives * n_contexts)
        net = self._network(shape, counts)
        n = shape.n_tokens * (1 if shape.cbow else n_contexts)
        visits = net.visits(kept / kept.sum(), n)
        rates = (n_contexts if shape.cbow and self.cbow_mean else 1.0, 1.0)
        optimizer = CappedSGD([net.E, net.O], visits, lr, rates, net.longest)
        data: Any = corpus  # of which only the fingerprint is asked for

        run = Epochs(
            self,
            net,
            optimizer,
            data,
            events=int(kept.sum()),
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )
        finish, ids = partial(self._keep_result, net, counts), corpus.vocabulary.ids
        with run.leaving(self, finish, item_ids_=ids, losses_=run.losses):
            for epoch in run:
                noise = net.noise(np.random.default_rng((self.seed, epoch, 1)))
                for i, block in enumerate(self._blocks(corpus, shape, keep, epoch)):
                    look = i % LOSS_EVERY == 0
                    loss, backward = net(block, next(noise), with_loss=look)
                    backward()
                    optimizer.lr = eta(optimizer.t)
                    optimizer.step()
                    if look:
                        n_predictions = shape.predictions(block)
                        run.record(loss / max(n_predictions, 1), n_predictions)
        return self

    def scores(self, histories: Histories) -> Array:
        if self.score == "cosine" or self.output == "negative-sampling":
            return super().scores(histories)
        self._check_fitted()
        h = self.history_vectors(self.E_, histories)
        if self.output == "softmax":
            s = h @ self.O_.T
            s -= np.logaddexp.reduce(s, axis=1, keepdims=True)  # (5)
        else:
            s = log_probabilities(h, self.O_[:-1], self.tree_of_items)  # (4)
        return s - self.log_q_ if self.score == "pmi" else s

    @property
    def tree_of_items(self) -> Tree:
        """The tree of a fitted hierarchical softmax."""
        return from_children(self.children_)

    def _corpus(self, train: Interactions | Corpus) -> Corpus:
        if not isinstance(train, Interactions):
            if self.min_count > 1:
                raise ValueError(
                    f"min_count={self.min_count} is for logs: give the corpus its own, leave this 1"
                )
            return train
        log = train.drop_rare(self.min_count) if self.min_count > 1 else train
        check_log(log)
        return InteractionsCorpus(log)

    def _blocks(
        self, corpus: Corpus, shape: BlockShape, keep: Array | None, epoch: int
    ) -> Iterator[TokenBlock]:
        rng = np.random.default_rng((self.seed, epoch, 0))
        return token_blocks(
            corpus.blocks(rng),
            self.window,
            rng,
            size=shape.n_tokens,
            dynamic=self.dynamic,
            keep=keep,
        )

    def _network(self, shape: BlockShape, counts: Array) -> Word2VecTables:
        rng, D = np.random.default_rng(self.seed), self.n_factors
        if self.output == "negative-sampling":
            return NegativeSamplingTables(
                shape, counts, D, self.negatives, self.noise_exponent, rng=rng
            )
        if self.output == "softmax":
            return SoftmaxTables(shape, len(counts), D, rng=rng)
        trees = {
            "huffman": lambda: huffman(counts),
            "balanced": lambda: balanced(len(counts)),
            "random": lambda: random_tree(len(counts), rng),
        }
        return TreeTables(shape, trees[self.tree](), D, rng=rng)

    def _keep_result(self, net: Word2VecTables, counts: Array) -> None:
        self.E_, self.O_ = net.E.value, net.O.value
        p = counts.astype(np.float64)
        if isinstance(net, NegativeSamplingTables):
            p = net.sampler.probabilities
        elif isinstance(net, TreeTables):
            self.children_ = net.tree.children
            self.O_ = np.concatenate([self.O_, np.zeros_like(self.O_[:1])])
        p = np.maximum(p, p[p > 0].min())  # an item without events counts as the rarest
        self.log_q_ = np.log(p / p.sum()).astype(self.E_.dtype)


def _check_settings(m: Word2Vec) -> None:
    """Raise a ValueError that names the first setting out of range."""
    check_word(Architecture, architecture=m.architecture)
    check_word(Output, output=m.output)
    check_word(TreeShape, tree=m.tree)
    check_whole(
        n_factors=m.n_factors,
        window=m.window,
        negatives=m.negatives,
        min_count=m.min_count,
        epochs=m.epochs,
    )
    check_whole(0, seed=m.seed)
    if m.batch_size is not None:
        check_whole(batch_size=m.batch_size)
    if m.lr is not None:
        check_positive(lr=m.lr)
    check_finite(noise_exponent=m.noise_exponent)
    check_not_negative(subsample=m.subsample)
    check_scoring(m.score, m.decay)
