"""SessionPopularity: what this session has clicked most."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.models.base import Recommender, check_log
from nnlib.models.baselines.counting import tie_break


@dataclass(kw_only=True)
class SessionPopularity(Recommender):
    """Recommend what the session itself has clicked most (S-POP).

        (1) s_i = c_i + supp_i / (1 + supp_i) + t_i
                                                  c_i: events of i in the session so far,
                                                  supp_i: in the training data,
                                                  t_i: see `tie_break`
    The second term is below 1: popularity orders the items that the session has clicked equally
    often, above all those it has not clicked at all.

    Raises
        DataError: by `fit`, on fewer than two items or no session of two events.
    Source
        The baseline S-POP of Hidasi et al. 2016.  Differs: all items have a score, in their code
        those of the session and the 100 most popular.
    """

    def fit(self, train: Interactions) -> Self:
        check_log(train)
        self.item_ids_ = train.item_ids
        support = train.support()
        self.popularity_ = support / (1 + support) + tie_break(support)
        return self

    def scores(self, histories: Histories) -> Array:
        """(1) for each history, (B, N) float64."""
        self._check_fitted()
        s = np.tile(self.popularity_, (len(histories), 1))
        np.add.at(s, histories.flat(), 1)  # (1); an item that comes twice counts twice
        return s
