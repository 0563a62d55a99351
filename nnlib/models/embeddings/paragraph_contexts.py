"""The contexts of paragraph vectors: which items stand beside a document's vector."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, document_windows

WINDOWS = 2**13  # that an inference looks at together, unless one document has more


class Contexts(NamedTuple):
    """The first C of the 2w places around a target: w before it, then w after it; −1 past an end.

    Arguments
        window: w ≥ 1
        n_places: C: 2w, w for the places before the target only, 0 for none
        dynamic: the window of each target is drawn from 1 … w
    """

    window: int
    n_places: int
    dynamic: bool

    def windows(
        self,
        documents: Histories,
        rng: np.random.Generator,
        batch_size: int,
        keep: Array | None = None,
    ) -> Iterator[tuple[Array, Array, Array]]:
        """(document, context, target) of an epoch, contexts with all their C places."""
        for row, context, target in document_windows(
            documents, self.window, rng, batch_size=batch_size, dynamic=self.dynamic, keep=keep
        ):
            w = context.shape[1] // 2  # less than the window if no row is longer
            around = np.full((len(row), 2 * self.window), -1, context.dtype)
            around[:, self.window - w : self.window + w] = context
            yield row, around[:, : self.n_places], target

    def last_items(self, histories: Histories) -> Array:
        """The context of the item that comes next, (B, C): nothing stands after it yet."""
        context = np.full((len(histories), 2 * self.window), -1)
        at = histories.stop[:, None] - np.arange(self.window, 0, -1)
        inside = at >= histories.start[:, None]
        context[:, : self.window][inside] = histories.items[at[inside]]
        return context[:, : self.n_places]


def blocks(lengths: Array) -> Iterator[Array]:
    """The rows that are not empty in turn, about `WINDOWS` items together."""
    block = (np.cumsum(lengths) - lengths) // WINDOWS
    rows = np.flatnonzero(lengths)
    cuts = np.flatnonzero(np.diff(block[rows])) + 1
    return (part for part in np.split(rows, cuts) if len(part))
