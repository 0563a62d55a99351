"""Markov: what followed the last item."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.models.base import Recommender, check_log
from nnlib.models.baselines.counting import after_last_item, count_pairs, tie_break


@dataclass(kw_only=True)
class Markov(Recommender):
    """Recommend what came directly after the last item: a first-order Markov chain.

        (1) n_ji = number of times that i is the event after j in a training session
        (2) s_i  = n_{last,i} + t_i               t_i: see `tie_break`

    An empty session gets t: popularity.  Followers of item j are items_[offsets_[j]:offsets_[j+1]].

    Raises
        DataError: by `fit`, on fewer than two items or no session of two events.
    Source
        The maximum-likelihood estimate; "MC" in Ludewig & Jannach 2018.  Differs: items that never
        followed are ranked by popularity.
    """

    def fit(self, train: Interactions) -> Self:
        check_log(train)
        N, items = train.n_items, train.item
        at = train.histories().points()
        item, follower, count = count_pairs(items[at], items[at + 1], N)  # (1)
        self.item_ids_ = train.item_ids
        self.offsets_ = np.searchsorted(item, np.arange(N + 1))
        self.items_ = follower.astype(np.int32)
        self.counts_ = count.astype(np.int32)
        self.tie_break_ = tie_break(train.support())
        return self

    def scores(self, histories: Histories) -> Array:
        """(2) for each history, (B, N) float64."""
        self._check_fitted()
        return after_last_item(
            histories, self.offsets_, self.items_, self.counts_, self.tie_break_
        )  # (2)
