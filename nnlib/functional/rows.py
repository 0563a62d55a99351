"""Rows of tables: look them up, add to them, sum the repeated ones.

A recommender's tables have as many rows as there are items and a batch touches a few of them, so
gradients travel as (ids, values).  `table[ids] += values` would be wrong: of an id that occurs
twice it keeps one contribution and drops the other without a word.
"""

import numpy as np
import numpy.typing as npt

from nnlib.array import Array, array_module, fusable

FEW = 256  # ids up to which `coalesce` multiplies by a one-hot matrix


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

        sums = O values,   O_ui = 1 if unique_u = ids_i, otherwise 0
    which is what the gradient of an embedding is by definition.  For a batch's worth of ids that
    product is the fastest way (0 · ∞ is NaN in it: a value that is not finite spreads to the other
    rows); for more, a stable sort brings equal ids together and `reduceat` adds up each run.
    """
    xp = array_module(ids)
    order = xp.argsort(ids, kind="stable")
    ordered = ids[order]
    first = xp.ones(len(ids), bool)
    xp.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    unique = ordered[first]
    if len(unique) == len(ids):
        return unique, values[order]
    if len(ids) <= FEW and values.ndim == 2:
        return unique, (unique[:, None] == ids).astype(values.dtype) @ values
    return unique, xp.add.reduceat(values[order], xp.flatnonzero(first), axis=0)


@fusable
def distinct(ids: Array, scratch: Array) -> tuple[Array, Array]:
    """The distinct ids in the order of their last occurrence, and where each id went.

        unique[place] = ids
    Every position writes itself into a scratch table of one slot per item; the last writer of a
    slot survives.  Faster than a sort, and ids that occur only early in `ids` come out first.

    Shapes
        ids (n,) int · scratch (N,) int, any content, is overwritten → unique (u,), place (n,)
    """
    xp = array_module(ids)
    position = xp.arange(len(ids))
    if xp is np:
        scratch[ids] = position  # one after the other, so the last one stays
    else:
        import cupyx

        unsigned = f"u{scratch.itemsize}"  # CUDA's atomic maximum, as CuPy has it, takes no int64
        scratch[ids] = 0
        cupyx.scatter_max(scratch.view(unsigned), ids, position.astype(unsigned))
    owner = scratch.take(ids)
    survivor = xp.flatnonzero(owner == position)
    rank = position  # of the survivors; the other entries are never read
    rank[survivor] = xp.arange(len(survivor))
    return ids.take(survivor), rank.take(owner)


def count_places(place: Array, n: int, dtype: npt.DTypeLike, weight: Array | None = None) -> Array:
    """How often each of 0…n−1 occurs among `place`, or the sum of the weights there, (n,).

    `bincount`, which on the GPU waits twice, to learn the smallest and the largest place.

    Shapes
        place (m,) int · weight (m,), summed in its own type
    """
    xp = array_module(place)
    if xp is np:
        return np.bincount(place, weight, minlength=n).astype(dtype)
    import cupyx

    values = xp.ones(len(place), dtype) if weight is None else weight
    total = xp.zeros(n, values.dtype)
    cupyx.scatter_add(total, place, values)
    return total.astype(dtype, copy=False)
