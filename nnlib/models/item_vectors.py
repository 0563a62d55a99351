"""ItemVectors: what all models share that learn an input and an output vector of every item."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories
from nnlib.functional.rows import add_rows
from nnlib.models.base import Recommender
from nnlib.models.settings import check_word

Score: TypeAlias = Literal["cosine", "pmi", "prob"]


class ItemVectors(Recommender):
    """Base of the 2vec models: `fit` sets E_, O_, log_q_ and losses_; recommending is written here.

    A history x_1…x_n, oldest first, is scored by one of

        (1) cosine   s_j = Σ_t w_t cos(E_{x_t}, E_j)
        (2) pmi      s_j = Σ_t w_t E_{x_t} · O_j
        (3) prob     s_j = Σ_t w_t E_{x_t} · O_j + log q_j
    with w_t ∝ decay^(n−t) and Σ_t w_t = 1.  Trained with negatives drawn from q, E_i · O_j
    estimates log p(j|i) − log q_j up to a constant: (2) ranks by how much more often j comes with i
    than by chance, which favours rare items, (3) by p(j|i).  (1) finds what is alike, not what goes
    together.  An empty history has the score log q_j in (3) and 0 elsewhere.

    Shapes
        E_, O_ (N, D) · log_q_ (N,)
    Arguments, which a model declares with defaults of its own
        score: "cosine", "pmi" or "prob"
        decay: weight of an item relative to the one after it, in (0, 1]
    Source
        Levy & Goldberg 2014 for what the products estimate.
    """

    score: Score
    decay: float

    E_: Array
    O_: Array
    log_q_: Array
    losses_: list[float]  # of the epochs

    def scores(self, histories: Histories) -> Array:
        self._check_fitted()
        if self.score == "cosine":
            unit = normalized(self.E_)
            return self.history_vectors(unit, histories) @ unit.T  # (1)
        s = self.history_vectors(self.E_, histories) @ self.O_.T  # (2)
        return s + self.log_q_ if self.score == "prob" else s  # (3)

    def history_vectors(self, table: Array, histories: Histories) -> Array:
        """Σ_t w_t table[x_t] of every history, (B, D); zeros for an empty one."""
        row, at, w = history_weights(histories, self.decay)
        total = np.zeros((len(histories), table.shape[1]), table.dtype)
        vectors = table[histories.items[at]] * w[:, None].astype(table.dtype)
        add_rows(total, row, vectors)
        return total

    def similarity(self, item: int) -> Array:
        """Cosine of the input vectors, (N,)."""
        unit = normalized(self.E_)
        return unit @ unit[item]

    def analogy(
        self, positive: Sequence[Hashable], negative: Sequence[Hashable] = (), n: int = 10
    ) -> list[tuple[Any, float]]:
        """The `n` items nearest to Σ positive − Σ negative, those given left out.

            (1) s_j = cos(E_j, Σ_{p} Ê_p − Σ_{m} Ê_m),   Ê of length 1
        "king − man + woman" is `analogy(["king", "woman"], ["man"])`.  Without leaving out what was
        asked with, the answer is nearly always one of those words.

        Raises
            ValueError: an item is not in the training data, or none is given.
        Source
            Mikolov, Yih & Zweig 2013, which Levy & Goldberg 2014 call 3CosAdd.
        """
        plus = self._encode(positive, unknown="raise")
        minus = self._encode(negative, unknown="raise")
        if not len(plus) + len(minus):
            raise ValueError("an analogy needs at least one item")
        unit = normalized(self.E_)
        query = unit[plus].sum(axis=0) - unit[minus].sum(axis=0)
        s = unit @ normalized(query[None])[0]  # (1)
        return self._best(s, n, np.concatenate([plus, minus]))

    def arrays(self) -> dict[str, Array]:
        return {**super().arrays(), "losses": np.array(self.losses_)}

    def restore(self, arrays: dict[str, Array]) -> None:
        self.losses_ = arrays.pop("losses").tolist()
        super().restore(arrays)
        n = len(self.item_ids_)
        if not len(self.E_) == len(self.O_) == len(self.log_q_) == n:
            raise ValueError(f"the tables do not have a row for each of the {n} items")


def history_weights(histories: Histories, decay: float) -> tuple[Array, Array, Array]:
    """(row, position in `items`, w) of every item of every row, w_t ∝ decay^(n−t), Σ_t w_t = 1."""
    row, at = histories.positions()
    age = histories.stop[row] - 1 - at
    w = decay ** age.astype(np.float64)
    w /= np.bincount(row, w, len(histories))[row]
    return row, at, w


def check_scoring(score: str, decay: float) -> None:
    """Raise a ValueError if `score` is no word for it or `decay` is out of range."""
    check_word(Score, score=score)
    if not 0 < decay <= 1:
        raise ValueError(f"decay={decay!r}: it must be above 0 and at most 1")


def log_shares(q: Array) -> Array:
    """log q, (N,); an item without events, whose q is 0, counts as the rarest of the others."""
    logs: Array = np.log(np.maximum(q, q[q > 0].min()))
    return logs


def normalized(table: Array) -> Array:
    """The rows of `table` divided by their lengths; a row of zeros stays."""
    length: Array = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.maximum(length, 1e-12)
