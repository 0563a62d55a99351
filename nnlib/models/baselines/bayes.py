"""BayesCeiling: the best that any model can do on generated clicks."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from nnlib.array import Array
from nnlib.data import DataError, Histories, Interactions
from nnlib.data.synthetic import HMMClicks
from nnlib.models.base import Recommender


@dataclass(kw_only=True)
class BayesCeiling(Recommender):
    """The exact p(next item | history) of an `HMMClicks` world: nothing can rank better on average.

    It knows the generator, so `fit` learns only how the log numbers the items.

    Arguments
        world: the generator that drew the log
    Source
        Rabiner 1989, section III.A (the forward recursion), with equations in `HMMClicks`.
    """

    world: HMMClicks = field(default_factory=HMMClicks)

    def __post_init__(self) -> None:
        if isinstance(self.world, Mapping):  # as `settings` writes it
            self.world = HMMClicks(**self.world)

    def fit(self, train: Interactions) -> Self:
        """Take over the log's item codes.

        Raises
            DataError: the log has an item that the generator does not have.
        """
        n_items = self.world.n_items
        for raw in train.item_ids.tolist():
            if not (isinstance(raw, int) and 0 <= raw < n_items):
                raise DataError(
                    f"item {raw!r} is none of the generator's, 0 to {n_items - 1}: "
                    "fit BayesCeiling on what its `world` has drawn"
                )
        self.item_ids_ = train.item_ids
        self.generator_item_ = train.item_ids.astype(np.int64)
        return self

    def scores(self, histories: Histories) -> Array:
        """Probabilities of the next item; those of items that train does not have are left out."""
        self._check_fitted()
        return self.world.predictive(self._translated(histories))[:, self.generator_item_]

    def walk(self, sessions: Histories, block: int = 256) -> Iterator[tuple[Array, Array, Array]]:
        """One pass over each session instead of one over each prefix."""
        self._check_fitted()
        for row, at, p in self.world.walk(self._translated(sessions), block):
            yield row, at, p[:, self.generator_item_]

    def settings(self) -> dict[str, Any]:
        """The world's parameters, as JSON can hold them."""
        return {"world": asdict(self.world)}

    def _translated(self, histories: Histories) -> Histories:
        """The same rows in the generator's item numbers."""
        items = self.generator_item_[histories.items]
        return Histories(items, histories.start, histories.stop, histories.user)
