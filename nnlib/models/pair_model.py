"""PairModel: what the 2vec models share that differ only in the pairs they are trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from nnlib.array import Array, keep_freed_memory
from nnlib.data import DataError, Interactions, PopularitySampler
from nnlib.data.vocabulary import keep_probability
from nnlib.models.base import check_log
from nnlib.models.epochs import Epochs
from nnlib.models.item_vectors import ItemVectors, Score, check_scoring, log_shares
from nnlib.models.pair_training import (
    EXACT_ITEMS,
    Pairs,
    PairVectors,
    pair_counts,
    train_exact,
    train_pairs,
)
from nnlib.models.settings import check_finite, check_not_negative, check_positive, check_whole
from nnlib.optim import Adagrad


@dataclass(kw_only=True)
class PairModel(ItemVectors):
    """Base of Item2Vec, Prod2Vec and BaggedProd2Vec, which say by `pairs` what goes together.

    With pairs (w, c) of weight v, and K negatives for each drawn from q_j ∝ supp_j^α,

        (1) L = Σ_{(w,c,v)} v [−log σ(E_w · O_c) − Σ_{k=1}^{K} log σ(−E_w · O_{n_k})]
    Adagrad minimises a sample of it (`SampledOutput`), or, with `exact`, its expectation from the
    table of all pair counts: a gradient step an epoch, for a few thousand items.

    Arguments
        n_factors: D ≥ 1
        negatives: K ≥ 1
        noise_exponent: α; 0 draws uniformly, 1 by popularity, below 0 rare items more
        subsample: t of `keep_probability`, ≥ 0: occurrences of items more frequent than t are
            dropped at random; 0: none
        exact: minimise the expectation; no batches, no `subsample`, at most 5,000 items
        epochs: passes over the pairs, or gradient steps if `exact`, ≥ 1
        batch_size: pairs of a step, ≥ 1
        lr: of Adagrad, > 0
        score, decay: how a history is scored, see `ItemVectors`
        seed: of weights, shuffling and negatives
    """

    n_factors: int = 40
    negatives: int = 5
    noise_exponent: float = 0.75
    subsample: float = 0.0
    exact: bool = False
    epochs: int = 10
    batch_size: int = 1024
    lr: float = 0.2
    score: Score = "prob"
    decay: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_pair_settings(self)

    def pairs(self, train: Interactions) -> Callable[[np.random.Generator], Pairs]:
        """What makes an epoch's pairs, batches of (centre, context) or (centre, context, weight).

        Raises
            DataError: there are none.
        """
        raise NotImplementedError

    def counts(self, train: Interactions) -> Array:
        """The expected weight of every pair in an epoch, (N, N)."""
        return pair_counts(self.pairs(train)(np.random.default_rng(self.seed)), train.n_items)

    def network(self, train: Interactions) -> PairVectors:
        """The tables E and O before training."""
        rng = np.random.default_rng(self.seed)
        return PairVectors(train.n_items, self.n_factors, self.negatives, rng=rng)

    def n_pairs(self, train: Interactions) -> int:
        """About how many pairs an epoch has, for the progress bar."""
        return train.n_events

    def fit(
        self,
        train: Interactions,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from `train`, whose users are customers, sessions or sentences.

        Arguments
            progress: show a bar with the loss, pairs per second and the time left
            checkpoint: file to write after every epoch
            resume: go on from `checkpoint` if it exists, as if there had been no interruption
        Raises
            DataError: there are no pairs, fewer than two items, or too many for `exact`.
            DivergedError: a loss or parameter is no longer finite.
            KeyboardInterrupt: Ctrl-C; the step is finished first, and the model can be used
        """
        check_log(train)
        n_items = train.n_items
        if self.exact and n_items > EXACT_ITEMS:
            raise DataError(
                f"exact=True keeps tables of {n_items:,} x {n_items:,} items: it takes at most "
                f"{EXACT_ITEMS:,} items; use exact=False"
            )
        keep_freed_memory()
        sampler = PopularitySampler(train.support(), self.noise_exponent)
        net = self.network(train)
        counts = self.counts(train) if self.exact else None
        optimizer = Adagrad(net.parameters(), self.lr)
        run = Epochs(
            self,
            net,
            optimizer,
            train,
            events=self.n_pairs(train) if counts is None else int(counts.sum()),
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )
        q = sampler.probabilities
        finish = partial(self._keep_result, net, train, q)
        with run.leaving(self, finish, item_ids_=train.item_ids, losses_=run.losses):
            if counts is None:
                train_pairs(run, net, optimizer, self.pairs(train), sampler, seed=self.seed)
            else:
                train_exact(run, net, optimizer, counts, q)
        return self

    def _keep_result(self, net: PairVectors, train: Interactions, q: Array) -> None:
        self.E_, self.O_ = net.E.value, net.output.O.value
        self.log_q_ = log_shares(q).astype(self.E_.dtype)

    def _keep(self, train: Interactions) -> Array | None:
        """Probability that an occurrence of each item stays, (N,); None: all do."""
        return keep_probability(train.support(), self.subsample) if self.subsample else None


def check_pair_settings(m: PairModel) -> None:
    """Raise a ValueError that names the first setting out of range, or a contradiction."""
    check_whole(
        n_factors=m.n_factors, negatives=m.negatives, epochs=m.epochs, batch_size=m.batch_size
    )
    check_whole(0, seed=m.seed)
    check_finite(noise_exponent=m.noise_exponent)
    check_not_negative(subsample=m.subsample)
    check_positive(lr=m.lr)
    if m.exact and m.subsample:
        raise ValueError("exact=True counts every pair: set subsample=0")
    check_scoring(m.score, m.decay)
