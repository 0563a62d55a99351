"""Every prefix of every session as a training example of its own."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nnlib.array import Array
from nnlib.data.histories import Histories

POOL = 256  # batches that are drawn, shortened and sorted by length at a time


class PrefixBatch(NamedTuple):
    """B prefixes of one length T: no padding, hence no mask."""

    item: Array  # (T, B)
    target: Array  # (B,) what comes after each prefix
    at: Array  # (B,) position of the last item before the target in `sessions.items`


def prefix_batches(
    sessions: Histories,
    batch_size: int,
    rng: np.random.Generator,
    *,
    max_length: int = 19,
    drop_items: float = 0.0,
    keep_last: bool = True,
) -> Iterator[PrefixBatch]:
    """An epoch: each point of `sessions` once, in random order, in buckets of equal length.

        (1) x_1…x_t → x_{t+1},  t = 1…n − 1             of a session of n items: n − 1 examples
        (2) each x_j, j ≤ t, is deleted with probability p; the target is not
    The prefixes are shuffled and taken `POOL` batches at a time; those of a pool are shortened by
    (2) and sorted by the length that is left, and its batches come in random order.  So each batch
    is a sample of the prefixes of one length, and only the last of each length is smaller.

    Arguments
        max_length: only so many items before the target are read, ≥ 1
        drop_items: p in [0, 1)
        keep_last: x_t is never deleted.  Without, the target may come two or more events after the
            last item that is read; a prefix that lost all its items keeps one of them at random
    Source
        Tan, Xu & Liu 2016, section 3.1 (19 items; p is theirs to tune).
    """
    points = sessions.points()
    start = np.repeat(sessions.start, np.maximum(sessions.lengths - 1, 0))
    order = rng.permutation(len(points))
    for i in range(0, len(order), POOL * batch_size):
        chosen = order[i : i + POOL * batch_size]
        at = points[chosen]
        first = np.maximum(start[chosen], at + 1 - max_length)
        item, first, length = _thinned(
            Histories(sessions.items, first, at + 1), rng, drop_items, keep_last
        )
        for rows in _of_equal_length(length, batch_size, rng):
            position = first[rows] + np.arange(length[rows[0]])[:, None]
            yield PrefixBatch(item[position], sessions.items[at[rows] + 1], at[rows])


def _thinned(
    prefixes: Histories, rng: np.random.Generator, p: float, keep_last: bool
) -> tuple[Array, Array, Array]:
    """(items, first position, length) of prefixes that lost each item with probability p."""
    if p == 0:
        return prefixes.items, prefixes.start, prefixes.lengths
    row, item = prefixes.flat()
    kept = rng.random(len(row)) >= p
    end = np.cumsum(prefixes.lengths)
    if keep_last:
        kept[end - 1] = True
    empty = np.flatnonzero(np.bincount(row[kept], minlength=len(prefixes)) == 0)
    length = prefixes.lengths[empty]
    kept[end[empty] - 1 - rng.integers(0, length)] = True
    length = np.bincount(row[kept], minlength=len(prefixes))
    return item[kept], np.cumsum(length) - length, length


def _of_equal_length(length: Array, batch_size: int, rng: np.random.Generator) -> list[Array]:
    """The rows 0…n−1 in batches of one length, the batches in random order."""
    order = np.argsort(length, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(length[order])) + 1)
    batches = [run[i : i + batch_size] for run in runs for i in range(0, len(run), batch_size)]
    return [batches[k] for k in rng.permutation(len(batches))]
