"""VSKNN: SessionKNN that looks harder at the latest clicks."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.models.baselines.counting import count_pairs
from nnlib.models.baselines.session_knn import Candidates, SessionKNN


@dataclass(kw_only=True)
class VSKNN(SessionKNN):
    """Session neighbours with weights that decay towards the start of the session (V-S-KNN).

        (1) candidates(s) = the `recent` most recent training sessions that share an item with s
        (2) w_j           = p_j / T               p_j: place of the last event on j in s, 1 … T
        (3) sim(s, n)     = Σ_{j ∈ s ∩ n} w_j     the product of the vector w and n's indicator
        (4) N(s)          = the `k` candidates most similar to s; of equals, the more recent
        (5) λ(s, n)       = 1 / (T + 1 − max_{j ∈ s ∩ n} p_j)   if `match`, else 1: 1 for a
                            neighbour with the last item, 1/2 if it has only the one before, …
        (6) s_i           = Σ_{n ∈ N(s), i ∈ n} λ(s, n) sim(s, n) (1 + `idf` · log(M / m_i))
                            + t_i                 m_i of the M training sessions contain i

    Linear decay (2) is what the paper defines.  (5) and the logarithm in (6) are refinements of the
    authors' later work, off by default; `VSKNN(match=True, idf=1.0)` is the stronger baseline.

    Arguments
        k: neighbours, ≥ 1
        recent: candidates, ≥ 1
        match: weigh neighbours by how late in the session their last shared item is
        idf: weight of rarity, ≥ 0; 0 leaves it out
    Raises
        ValueError: an argument is out of its range.
        DataError: by `fit`, on fewer than two items or no session of two events.
    Source
        Ludewig & Jannach 2018 (V-SkNN); (5) and (6): the code of Ludewig, Mauro, Latifi & Jannach
        2021 (`weighting_score` "div", `idf_weighting`), and VS-kNN in Kersbergen, Sprangers &
        Schelter 2022.  Differs: m_i counts sessions, in that code events; ties as in `SessionKNN`.
    """

    match: bool = False
    idf: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.idf < np.inf:
            raise ValueError(f"idf={self.idf}: it must be a number of at least 0")

    def fit(self, train: Interactions) -> Self:
        super().fit(train)
        N = train.n_items
        _, item, _ = count_pairs(train.user, train.item, N)
        m = np.bincount(item, minlength=N)
        self.rarity_ = np.log(train.n_users / np.maximum(m, 1))
        return self

    def _similarities(self, histories: Histories, found: Candidates) -> Array:
        return found.place_sum / histories.lengths[found.row]  # (2) (3)

    def _weight(self, histories: Histories, found: Candidates, similarity: Array) -> Array:
        if not self.match:
            return similarity
        return similarity / (histories.lengths[found.row] + 1 - found.place_max)  # (5)

    def _item_weights(self, item: Array, weight: Array) -> Array:
        return weight * (1 + self.idf * self.rarity_[item])  # (6)
