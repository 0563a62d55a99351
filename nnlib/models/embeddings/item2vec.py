"""Item2Vec: vectors of items from the sets that they occur in."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnlib.array import Array
from nnlib.data import DataError, Histories, Interactions
from nnlib.data.windows import set_pairs, skip_gram_pairs
from nnlib.models.pair_model import PairModel
from nnlib.models.pair_training import Pairs
from nnlib.models.settings import check_whole


@dataclass(kw_only=True)
class Item2Vec(PairModel):
    """Every item of a user's set is asked for all others of the set; order says nothing.

    For a set of n items, with K negatives n_k for each pair,

        (1) L = Σ_i 1/(n − 1) Σ_{j ≠ i} [−log σ(E_i · O_j) − Σ_k log σ(−E_i · O_{n_k})]
    The factor makes a user count like n items.  Without it (`weighted=False`) it is n (n − 1)
    pairs, and the few heaviest users decide what is near what.  With a `window`, sets are
    shuffled anew in each epoch and only neighbours at most that far apart are paired, which costs
    less for large sets and does without the factor, for each item then has as many pairs.

    Repeated items of a user count once.

    Arguments
        weighted: the factor 1/(n − 1) of (1); no effect with a window
        window: None: the whole set; otherwise ≥ 1, and not with `exact`
        the others: see `PairModel`
    Raises
        ValueError: a setting is out of range or contradicts another.
    Source
        Barkan & Koenigstein 2016, whose factor is 1/n · differs: Adagrad on batches with shared
        negatives.
    """

    weighted: bool = True
    window: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window is None:
            return
        check_whole(window=self.window)
        if self.exact:
            raise ValueError(f"exact=True counts pairs of whole sets: window={self.window} is none")

    def pairs(self, train: Interactions) -> Callable[[np.random.Generator], Pairs]:
        sets = item_sets(train)
        keep, B, window = self._keep(train), self.batch_size, self.window
        if window is not None:
            return lambda rng: skip_gram_pairs(
                shuffled(sets, rng), window, rng, batch_size=B, dynamic=False, keep=keep
            )
        if self.weighted:
            return lambda rng: set_pairs(sets, rng, batch_size=B, keep=keep)
        return lambda rng: ((i, j) for i, j, _ in set_pairs(sets, rng, batch_size=B, keep=keep))

    def n_pairs(self, train: Interactions) -> int:
        n = item_sets(train).lengths
        reach = n - 1 if self.window is None else np.minimum(n - 1, 2 * self.window)
        return int((n * reach).sum())


def item_sets(train: Interactions) -> Histories:
    """The distinct items of every user, in order of their codes.

    Raises
        DataError: no user has two of them.
    """
    user, item = np.divmod(np.unique(train.user * train.n_items + train.item), train.n_items)
    offsets = np.searchsorted(user, np.arange(train.n_users + 1))
    if np.diff(offsets).max() < 2:
        raise DataError(
            "no user has two different items, so nothing goes together; "
            "check which column is the user or basket"
        )
    return Histories.from_offsets(item, offsets)


def shuffled(sets: Histories, rng: np.random.Generator) -> Histories:
    """The same rows, each in random order; they must follow one another in `items`."""
    row, at = sets.positions()
    order: Array = np.lexsort((rng.random(len(at)), row))
    return Histories(sets.items[at[order]], sets.start, sets.stop, sets.user)
