"""Rows of tables: look them up, add to them, sum the repeated ones.

A recommender's tables have as many rows as there are items and a batch touches a few of them, so
gradients travel as (ids, values).  `table[ids] += values` would be wrong: of an id that occurs
twice it keeps one contribution and drops the other without a word.
"""

import numpy as np

from nnlib.array import Array, array_module, fusable


@fusable
def take_rows(table: Array, ids: Array) -> Array:
    """table[ids] for ids (n,) in range: `take` with mode "clip" skips NumPy's bounds check."""
    if isinstance(table, np.ndarray):
        return table.take(ids, axis=0, mode="clip")
    return table[ids]


@fusable
def add_rows(table: Array, ids: Array, values: Array) -> None:
    """table[ids[i]] += values[i] for every i, repeated ids included."""
    if isinstance(table, np.ndarray):
        ids, values = coalesce(ids, values)
        table[ids] += values
    else:
        import cupyx

        cupyx.scatter_add(table, ids, values)


@fusable
def coalesce(ids: Array, values: Array) -> tuple[Array, Array]:
    """Sum the rows of `values` that share an id:  (sorted distinct ids, sums).

    A stable sort brings equal ids together, `reduceat` adds up each run: 2-3 times faster than
    `np.add.at`, and the order of the additions, hence the rounding, is always the same.
    """
    xp = array_module(ids)
    if ids.size == 0:
        return ids, values
    order = xp.argsort(ids, kind="stable")
    sorted_ids = ids[order]
    first = xp.concatenate([xp.ones(1, bool), sorted_ids[1:] != sorted_ids[:-1]])
    starts = xp.flatnonzero(first)
    if len(starts) == len(ids):
        return sorted_ids, values[order]
    return sorted_ids[starts], xp.add.reduceat(values[order], starts, axis=0)


@fusable
def distinct(ids: Array, scratch: Array) -> tuple[Array, Array]:
    """The distinct ids in the order of their last occurrence, and where each id went.

        unique[place] = ids
    Every position writes itself into a scratch table of one slot per item; the last writer of a
    slot survives.  Faster than a sort (12 against 30 µs for 2,000 ids), and ids that occur only
    early in `ids` come out first.

    Shapes
        ids (n,) int · scratch (N,) int32, any content, is overwritten → unique (u,), place (n,)
    """
    xp = array_module(ids)
    position = xp.arange(len(ids), dtype=scratch.dtype)
    scratch[ids] = position
    owner = scratch[ids]
    survives = owner == position
    rank = xp.cumsum(survives, dtype=scratch.dtype) - 1
    return ids[survives], rank[owner]
