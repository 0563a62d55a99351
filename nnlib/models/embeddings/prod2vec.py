"""Prod2Vec: skip-gram over purchases in the order of time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.data.windows import skip_gram_pairs
from nnlib.functional.k_means import k_means
from nnlib.models.item_vectors import normalized
from nnlib.models.pair_model import PairModel
from nnlib.models.pair_training import Pairs, PairVectors, pair_counts
from nnlib.models.settings import check_whole, check_word

Variant: TypeAlias = Literal["top-k", "cluster"]


@dataclass(kw_only=True)
class Prod2Vec(PairModel):
    """Each purchase is asked for those at most `window` places away, or for the later ones only.

        (1) L = Σ_i Σ_{0 < |j| ≤ c} [−log σ(E_{x_i} · O_{x_{i+j}}) − Σ_k log σ(−E_{x_i} · O_{n_k})]
    with 0 < j ≤ c if `directed`, so that E_i · O_j and E_j · O_i may differ: film after camera.

    The variant "top-k" recommends the best by `score`.  "cluster" shares the list out among groups
    of items, the C clusters that k-means finds in the directions of E:

        (2) θ_ab = (n_ab + n_b / Σ n) / (n_a + 1)       n_ab: purchases in a followed by one in b
        (3) s_j  = θ̄_{c_j} / r_j                        θ̄ = Σ_t w_t θ_{c(x_t)}
    where r_j is the place, by `score`, of j among the items of its own cluster, c_j.  Sorting by
    (3) is D'Hondt's rule: of any n items shown, each cluster has about its share θ̄ of them.

    Arguments
        window: c ≥ 1
        dynamic: reach of each centre uniform in 1 … c, as in word2vec; otherwise c
        directed: contexts are later purchases only
        variant: "top-k" or "cluster"
        n_clusters: C ≥ 1, at most the number of items is used
        the others: see `PairModel`
    Raises
        ValueError: a setting is out of range.
    Source
        Grbovic et al. 2015 · differs: there the items of the clusters with the largest θ are pooled
        and sorted by cosine, which fills the list from few of them.  D'Hondt 1882 for sharing out.
    """

    window: int = 5
    dynamic: bool = False
    directed: bool = False
    variant: Variant = "top-k"
    n_clusters: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(window=self.window, n_clusters=self.n_clusters)
        check_word(Variant, variant=self.variant)

    def pairs(self, train: Interactions) -> Callable[[np.random.Generator], Pairs]:
        sequences, keep = train.chronological(), self._keep(train)
        return lambda rng: skip_gram_pairs(
            sequences,
            self.window,
            rng,
            batch_size=self.batch_size,
            dynamic=self.dynamic,
            directed=self.directed,
            keep=keep,
        )

    def counts(self, train: Interactions) -> Array:
        """A dynamic window is each of 1 … c with probability 1/c."""
        reaches = range(1 if self.dynamic else self.window, self.window + 1)
        rng = np.random.default_rng(self.seed)
        return sum(
            pair_counts(
                skip_gram_pairs(
                    train.histories(), b, rng, batch_size=2**16, dynamic=False,
                    directed=self.directed,
                ),
                train.n_items,
            )
            for b in reaches
        ) / len(reaches)  # fmt: skip

    def n_pairs(self, train: Interactions) -> int:
        n, c = train.histories().lengths, self.window
        at = np.arange(1, c + 1)
        share = (c + 1 - at) / c if self.dynamic else np.ones(c)
        pairs = (np.maximum(n[:, None] - at, 0) * share).sum()
        return int(pairs * (1 if self.directed else 2))

    def _keep_result(self, net: PairVectors, train: Interactions, q: Array) -> None:
        super()._keep_result(net, train, q)
        self.cluster_, self.transition_ = self._clusters(train)

    def _clusters(self, train: Interactions) -> tuple[Array, Array]:
        """Cluster of each item, (N,), and θ, (C, C); one cluster of all for "top-k"."""
        n_clusters = min(self.n_clusters, train.n_items) if self.variant == "cluster" else 1
        rng = np.random.default_rng((self.seed, 2))
        cluster, _ = k_means(normalized(self.E_), n_clusters, rng)
        c = cluster[train.item]
        after = train.histories().points()
        cells = np.bincount(c[after] * n_clusters + c[after + 1], minlength=n_clusters**2)
        n_ab = cells.reshape(n_clusters, n_clusters)
        n_b = np.bincount(c, minlength=n_clusters)
        return cluster, (n_ab + n_b / n_b.sum()) / (n_ab.sum(axis=1, keepdims=True) + 1)  # (2)

    def scores(self, histories: Histories) -> Array:
        s = super().scores(histories)
        if self.variant == "top-k":
            return s
        theta = self.history_vectors(self.transition_[self.cluster_], histories)
        empty = histories.lengths == 0
        theta[empty] = np.bincount(self.cluster_, minlength=theta.shape[1]) / len(self.cluster_)
        return theta[:, self.cluster_] / place_in_cluster(s, self.cluster_)  # (3)


def place_in_cluster(scores: Array, cluster: Array) -> Array:
    """1 for the best item of each cluster, 2 for the second …; of equals the smaller code first.

    Shapes
        scores (B, N) · cluster (N,) int → (B, N)
    """
    size = np.bincount(cluster)
    first = np.repeat(np.cumsum(size) - size, size)  # where each one's cluster begins
    place = np.empty(scores.shape, np.int64)
    for s, row in zip(scores, place, strict=True):
        order = np.lexsort((-s, cluster))  # the clusters one after the other, each best first
        row[order] = np.arange(len(s)) - first + 1
    return place
