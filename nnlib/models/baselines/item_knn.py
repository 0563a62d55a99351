"""ItemKNN: items that share sessions with the last one."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.models.base import Recommender, check_log
from nnlib.models.baselines.counting import after_last_item, co_occurrences, tie_break


@dataclass(kw_only=True)
class ItemKNN(Recommender):
    """Recommend the items whose sessions are most like those of the last item.

        (1) C_ji   = number of training sessions that contain both j and i,   C_jj = 0
        (2) sim_ji = C_ji / ((supp_j + λ)^α (supp_i + λ)^(1−α))
        (3) s_i    = sim_{last,i} if i is among the `k` items most similar to last, else 0,
                     + t_i                        t_i: see `tie_break`

    The damping λ keeps pairs of rare items, together once by chance, from being perfect matches;
    α < ½ favours rare i, α > ½ popular ones.  Neighbours of item j, the most similar first, are
    items_[offsets_[j]:offsets_[j+1]].  An empty session gets popularity.

    Arguments
        k: neighbours kept of each item, ≥ 1
        damping: λ ≥ 0
        alpha: α in [0, 1]
    Raises
        ValueError: an argument is out of its range.
        DataError: by `fit`, on fewer than two items or no session of two events.
    Source
        The baseline Item-KNN of Hidasi et al. 2016, as in their code.  Differs: a session in which
        j occurs twice counts once, so C is symmetric; items that are no neighbours are ranked by
        popularity, there they tie at 0.
    """

    k: int = 100
    damping: float = 20.0
    alpha: float = 0.5

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k={self.k}: an item needs at least 1 neighbour")
        if not 0 <= self.damping < np.inf:
            raise ValueError(f"damping={self.damping}: it must be a number of at least 0")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha}: it must lie between 0 and 1")

    def fit(self, train: Interactions) -> Self:
        check_log(train)
        N, support = train.n_items, train.support()
        t = tie_break(support)
        supp = np.maximum(support + self.damping, 1e-12)  # an item without an event has C = 0
        of_last, of_other = supp**self.alpha, supp ** (1 - self.alpha)
        blocks = []
        for item, other, count in co_occurrences(train):  # (1)
            sim = count / (of_last[item] * of_other[other])  # (2)
            order = np.lexsort((-t[other], -sim, item))
            item, other, sim = item[order], other[order], sim[order]
            place = np.arange(len(item)) - np.searchsorted(item, item)
            near = place < self.k
            blocks.append((item[near], other[near], sim[near]))
        item, other, sim = map(np.concatenate, zip(*blocks, strict=True))
        self.item_ids_ = train.item_ids
        self.offsets_ = np.searchsorted(item, np.arange(N + 1))
        self.items_ = other.astype(np.int32)
        self.similarities_ = sim
        self.tie_break_ = t
        return self

    def scores(self, histories: Histories) -> Array:
        """(3) for each history, (B, N) float64."""
        self._check_fitted()
        return after_last_item(
            histories, self.offsets_, self.items_, self.similarities_, self.tie_break_
        )  # (3)
