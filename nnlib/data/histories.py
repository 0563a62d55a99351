"""Histories: many ragged rows of items, oldest first; what a recommender is asked about."""

from dataclasses import dataclass

import numpy as np

from nnlib.array import Array


@dataclass(frozen=True)
class Histories:
    """B rows of item codes; row b is `items[start[b]:stop[b]]`, oldest first.

    Rows are slices of one array and may overlap: the prefixes of a session share its items, so all
    prefixes of a log cost no more memory than two integers each.

    Shapes
        items (E,) int · start, stop (B,) int · user (B,) int or None
    """

    items: Array
    start: Array
    stop: Array
    user: Array | None = None  # code of each row's user in the training data, −1 if unknown

    @classmethod
    def from_offsets(cls, items: Array, offsets: Array) -> "Histories":
        """Rows that follow one another: row b is items[offsets[b]:offsets[b + 1]]."""
        return cls(items, offsets[:-1], offsets[1:])

    def __len__(self) -> int:
        return len(self.start)

    @property
    def lengths(self) -> Array:
        """Number of items in each row, (B,)."""
        return self.stop - self.start

    def row(self, b: int) -> Array:
        """The items of row b."""
        return self.items[self.start[b] : self.stop[b]]

    def take(self, rows: Array) -> "Histories":
        """The chosen rows."""
        user = None if self.user is None else self.user[rows]
        return Histories(self.items, self.start[rows], self.stop[rows], user)

    def positions(self) -> tuple[Array, Array]:
        """(row, position in `items`) of every item of every row, in order; both (Σ lengths,)."""
        lengths = self.lengths
        row = np.repeat(np.arange(len(self)), lengths)
        before = np.cumsum(lengths) - lengths
        return row, np.arange(len(row)) + np.repeat(self.start - before, lengths)

    def flat(self) -> tuple[Array, Array]:
        """(row, item) of every item of every row, in order; both (Σ lengths,)."""
        row, at = self.positions()
        return row, self.items[at]

    def points(self) -> Array:
        """Positions in `items` after which there is a next item in the same row, ascending by row.

        These are the prediction points: a row of n items has n − 1 of them.
        """
        lengths = np.maximum(self.lengths - 1, 0)
        ends = np.cumsum(lengths)
        within = np.arange(lengths.sum()) - np.repeat(ends - lengths, lengths)
        return within + np.repeat(self.start, lengths)

    def prefixes(self, row: Array, at: Array) -> "Histories":
        """The part of each `row` up to and including position `at`."""
        user = None if self.user is None else self.user[row]
        return Histories(self.items, self.start[row], at + 1, user)
