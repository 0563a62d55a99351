"""CoOccurrence: items that people have together with those of the history."""

from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.models.base import Recommender, check_log
from nnlib.models.baselines.counting import PAIRS, co_occurrences, count_pairs, tie_break
from nnlib.models.settings import check_whole, check_word

Normalize: TypeAlias = Literal["none", "cosine"]


@dataclass(kw_only=True)
class CoOccurrence(Recommender):
    """Count how many users have two items both, and add up over the history.

        (1) C_ij = number of users that have i and j,  C_ii = 0;   n_i: users that have i
        (2) S_ij = C_ij                                  normalize="none": follows popularity
            S_ij = C_ij / √(n_i n_j)                     normalize="cosine"
        (3) s_j  = Σ_{i ∈ N(u) ∩ kNN(j)} S_ij + t_j      N(u): distinct items of the history,
                                                         kNN(j): the k items i of largest S_ij,
                                                         t_j: see `tie_break`
    The cosine is that of the items' columns in the user × item matrix: item-based collaborative
    filtering, on small dense data hard to beat.  An empty history gets popularity.  Unlike
    `ItemKNN` it looks at the whole history, and keeps the neighbours of the item that it scores.

    Arguments
        normalize: "none" or "cosine"
        neighbours: k ≥ 1, or None for all; of equals the smaller code is nearer
    Raises
        ValueError: an argument is out of its range.
        DataError: by `fit`, on fewer than two items or no user with two events.
    Source
        Sarwar, Karypis, Konstan & Riedl 2001; Deshpande & Karypis 2004 for the sum over the history
    """

    normalize: Normalize = "cosine"
    neighbours: int | None = None

    def __post_init__(self) -> None:
        check_word(Normalize, normalize=self.normalize)
        if self.neighbours is not None:
            check_whole(neighbours=self.neighbours)

    def fit(self, train: Interactions) -> Self:
        check_log(train)
        N = train.n_items
        _, item, _ = count_pairs(train.user, train.item, N)
        n = np.bincount(item, minlength=N)
        blocks = list(co_occurrences(train))  # (1)
        item, other, count = map(np.concatenate, zip(*blocks, strict=True))
        S = (
            count / np.sqrt(n[item] * n[other]) if self.normalize == "cosine" else count * 1.0
        )  # (2)
        if self.neighbours is not None:  # C is symmetric: (item, other) are (j, i) here
            order = np.lexsort((other, -S, item))
            near = order[np.arange(len(item)) - np.searchsorted(item, item) < self.neighbours]
            near = near[np.lexsort((item[near], other[near]))]
            item, other, S = other[near], item[near], S[near]
        self.item_ids_ = train.item_ids
        self.offsets_ = np.searchsorted(item, np.arange(N + 1))
        self.items_ = other.astype(np.int32)
        self.values_ = S
        self.tie_break_ = tie_break(train.support())
        return self

    def scores(self, histories: Histories) -> Array:
        """(3) for each history, (B, N) float64."""
        self._check_fitted()
        B, N = len(histories), len(self.item_ids_)
        row, item, _ = count_pairs(*histories.flat(), N)
        start, stop = self.offsets_[item], self.offsets_[item + 1]
        size = np.concatenate([[0], np.cumsum(stop - start)])
        s = np.tile(self.tie_break_, B)
        a = 0
        while a < len(row):  # as many items of histories at a time as have PAIRS partners
            b = max(a + 1, int(np.searchsorted(size, size[a] + PAIRS, side="right")) - 1)
            line, at = Histories(self.items_, start[a:b], stop[a:b]).positions()
            first, last = row[a], row[b - 1] + 1
            key = (row[a:b][line] - first) * N + self.items_[at]
            s[first * N : last * N] += np.bincount(key, self.values_[at], (last - first) * N)  # (3)
            a = b
        return s.reshape(B, N)
