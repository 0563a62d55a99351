"""BaggedProd2Vec: what is bought after what, basket by basket."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from nnlib.array import Array, Backward
from nnlib.data import DataError, Histories, Interactions
from nnlib.data.baskets import baskets
from nnlib.data.windows import basket_pairs
from nnlib.functional.rows import add_rows, take_rows
from nnlib.models.pair_model import PairModel
from nnlib.models.pair_training import Pairs, PairVectors
from nnlib.models.settings import check_whole, check_word

Basket: TypeAlias = Literal["product", "sum"]


@dataclass(kw_only=True)
class BaggedProd2Vec(PairModel):
    """Baskets predict the baskets before and after them; items of one basket are not paired.

    A basket e_m is the set of a user's events of equal time.  With e_{m+j} up to n baskets away,

        (1) product   L = Σ_m Σ_{0<|j|≤n} Σ_{k ∈ e_m} Σ_{l ∈ e_{m+j}} loss(E_k, O_l)
        (2) sum       L = Σ_m Σ_{0<|j|≤n}             Σ_{l ∈ e_{m+j}} loss(Σ_{k ∈ e_m} E_k, O_l)
    where loss(h, O_l) = −log σ(h · O_l) − Σ_k log σ(−h · O_{n_k}), and only j > 0 if `directed`.
    In (1) each item speaks for itself; in (2) the items of a basket explain the next one together.
    E_i · O_j is large for complements, which are bought before or after one another; items with
    such neighbours in common, substitutes, have a large cosine.

    Asked for a history, (2) takes the sum over it that it was trained on, Σ_t decay^(n−t) E_{x_t},
    and (1) the mean, as `ItemVectors` says: give it the last basket.

    Arguments
        reach: n ≥ 1, in baskets
        directed: only later baskets are predicted
        basket: "product" or "sum"
        the others: see `PairModel`; `subsample` must be 0, `exact` is for "product" only
    Raises
        ValueError: a setting is out of range or contradicts another.
    Source
        Grbovic et al. 2015, bagged-prod2vec, is (1) · differs: the deck's "basket: sum of product
        embeddings" is (2), another loss.
    """

    reach: int = 1
    directed: bool = False
    basket: Basket = "product"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(reach=self.reach)
        check_word(Basket, basket=self.basket)
        if self.subsample:
            raise ValueError(f"subsample={self.subsample}: baskets are taken whole, set it to 0")
        if self.exact and self.basket == "sum":
            raise ValueError("exact=True counts pairs of items, which basket='sum' has not")

    def pairs(self, train: Interactions) -> Callable[[np.random.Generator], Pairs]:
        if self.basket == "sum":
            return lambda rng: _basket_targets(train, self, rng)
        return lambda rng: basket_pairs(
            train, self.reach, rng, batch_size=self.batch_size, directed=self.directed
        )

    def n_pairs(self, train: Interactions) -> int:
        every = baskets(train)
        size, user = every.lengths, every.user
        assert user is not None  # baskets have one
        centres = size if self.basket == "product" else np.ones_like(size)
        total = 0
        for j in range(1, self.reach + 1):
            same = user[j:] == user[:-j]
            total += int((centres[:-j] * size[j:])[same].sum())
            if not self.directed:
                total += int((centres[j:] * size[:-j])[same].sum())
        return total

    def network(self, train: Interactions) -> PairVectors:
        if not self.n_pairs(train):
            raise DataError(
                "no user has two baskets, which are events of different times: there is no "
                "neighbouring basket to learn from; check which column is the time"
            )
        if self.basket == "product":
            return super().network(train)
        rng = np.random.default_rng(self.seed)
        return BasketSums(baskets(train), train.n_items, self.n_factors, self.negatives, rng=rng)

    def history_vectors(self, table: Array, histories: Histories) -> Array:
        mean = super().history_vectors(table, histories)
        if self.basket == "product":
            return mean
        row, at = histories.positions()
        w = self.decay ** (histories.stop[row] - 1 - at).astype(np.float64)
        total = np.bincount(row, w, len(histories))
        return mean * total[:, None].astype(mean.dtype)


class BasketSums(PairVectors):
    """`PairVectors` whose centres are baskets: h_m = Σ_{k ∈ e_m} E_k.

        (1) h_b = Σ_{k ∈ basket b} E_k
        (2) L = SampledOutput(h, context, negatives, weight)
    Backward
        `backward(dloss=1)` adds to the gradients of the rows of E and O and returns nothing.
    Shapes
        centre (B,) int, rows of `baskets` · context (B,) int · negatives (S,) int → L ()
    Arguments
        baskets: items of each, not empty
        the others: as of `PairVectors`
    """

    def __init__(
        self,
        baskets: Histories,
        n_items: int,
        n_factors: int,
        negatives: float = 5,
        *,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(n_items, n_factors, negatives, rng=rng)
        self.baskets = baskets

    def __call__(
        self, centre: Array, context: Array, negatives: Array, weight: Array | None = None
    ) -> tuple[Array, Backward]:
        E = self.E
        row, item = self.baskets.take(centre).flat()
        h = np.zeros((len(centre), E.value.shape[1]), E.value.dtype)
        add_rows(h, row, take_rows(E.value, item))  # (1)
        loss, back_output = self.output(h, context, negatives, weight)  # (2)

        def backward(dloss: Array | float = 1.0) -> None:
            E.accumulate_rows(item, back_output(dloss)[row])  # (2) (1)

        return loss, backward


def _basket_targets(log: Interactions, model: BaggedProd2Vec, rng: np.random.Generator) -> Pairs:
    """(basket, item of a neighbouring basket): of all pairs of events those with a first one."""
    events = replace(log, item=np.arange(log.n_events))
    first = np.zeros(log.n_events, bool)
    first[baskets(log).start] = True
    basket = np.cumsum(first) - 1
    for a, b in basket_pairs(
        events, model.reach, rng, batch_size=model.batch_size, directed=model.directed
    ):
        chosen = first[a]
        if chosen.any():
            yield basket[a[chosen]], log.item[b[chosen]]
