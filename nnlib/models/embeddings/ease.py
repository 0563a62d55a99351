"""EASE: the best item × item matrix, in closed form."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from nnlib.array import Array
from nnlib.data import DataError, Histories, Interactions
from nnlib.models.base import Recommender, check_log
from nnlib.models.baselines.counting import co_occurrences, count_pairs, tie_break
from nnlib.models.settings import check_positive

MOST_ITEMS = 20_000  # whose N × N matrix takes 3.2 GB


@dataclass(kw_only=True)
class EASE(Recommender):
    """Predict every user's row of the user × item matrix X from that row, without the item itself.

        (1) B = argmin ½‖X − X B‖² + ½λ‖B‖²  with B_jj = 0
        (2) P = (XᵀX + λ I)⁻¹,   B_ij = −P_ij / P_jj  for i ≠ j
        (3) s_j = Σ_{i ∈ N(u)} B_ij + t_j              t_j: see `tie_break`
    Without B_jj = 0 every item would predict itself; (2) is the constrained minimum, by Lagrange
    multipliers.  No embeddings, one number to choose, and a strong opponent: weights between all
    pairs, negative ones too.  It costs N² memory and N³ time.  An empty history gets popularity.

    Arguments
        l2: λ > 0; large where users are many
    Raises
        ValueError: `l2` is out of its range.
        DataError: by `fit`, on more than 20,000 items, fewer than two, or no user with two events.
    Source
        Steck 2019, "Embarrassingly shallow autoencoders for sparse data", algorithm 1.
    """

    l2: float = 200.0

    def __post_init__(self) -> None:
        check_positive(l2=self.l2)

    def fit(self, train: Interactions) -> Self:
        check_log(train)
        N = train.n_items
        if N > MOST_ITEMS:
            raise DataError(
                f"{N} items: EASE inverts a matrix of items × items and takes at most "
                f"{MOST_ITEMS}: leave rare items out with drop_rare"
            )
        _, item, _ = count_pairs(train.user, train.item, N)
        gram = np.zeros((N, N))
        for i, j, count in co_occurrences(train):
            gram[i, j] = count
        gram[np.diag_indices(N)] = np.bincount(item, minlength=N) + self.l2
        P = np.linalg.inv(gram)
        B = P / -np.diag(P)  # (2)
        np.fill_diagonal(B, 0.0)
        self.item_ids_ = train.item_ids
        self.B_ = B
        self.tie_break_ = tie_break(train.support())
        return self

    def scores(self, histories: Histories) -> Array:
        """(3) for each history, (B, N) float64."""
        self._check_fitted()
        N = len(self.item_ids_)
        row, item, _ = count_pairs(*histories.flat(), N)
        s = np.tile(self.tie_break_, (len(histories), 1))
        begun = np.flatnonzero(np.bincount(row, minlength=len(histories)))
        ends = np.searchsorted(row, begun, side="right").tolist()
        start = 0
        for b, stop in zip(begun.tolist(), ends, strict=True):  # a whole block of rows is too large
            s[b] += self.B_[item[start:stop]].sum(axis=0)  # (3)
            start = stop
        return s
