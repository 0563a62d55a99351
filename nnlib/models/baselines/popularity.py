"""Popularity: the same list for everyone."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.models.base import Recommender, check_log
from nnlib.models.baselines.counting import tie_break


@dataclass(kw_only=True)
class Popularity(Recommender):
    """Recommend what is clicked most (POP), whatever the session.

        (1) s_i = supp_i + t_i                    supp_i: events of item i in the training data,
                                                  t_i: see `tie_break`
    Raises
        DataError: by `fit`, on fewer than two items or no session of two events.
    Source
        The baseline POP of Hidasi et al. 2016.  Differs: all items have a score, in their code the
        100 most popular.
    """

    def fit(self, train: Interactions) -> Self:
        check_log(train)
        self.item_ids_ = train.item_ids
        support = train.support()
        self.popularity_ = support + tie_break(support)  # (1)
        return self

    def scores(self, histories: Histories) -> Array:
        """(1), once for each history: (B, N) float64."""
        self._check_fitted()
        return np.tile(self.popularity_, (len(histories), 1))
