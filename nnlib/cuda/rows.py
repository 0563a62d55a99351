"""Distinct ids and sums of rows that share an id, on the GPU."""

import numpy as np

from nnlib.array import Array, array_module, without_kernel
from nnlib.cuda.kernel import Kernel, fits
from nnlib.functional import fixed_shapes
from nnlib.functional import rows as reference

DISTINCT = Kernel("rows", "distinct")
ORDER_IDS = Kernel("rows", "order_ids")
SUM_RUNS = Kernel("rows", "sum_runs")

BLOCK = 1024  # threads, the most there can be in one
ONE_BLOCK = 65_536  # ids that one block still gets through faster than many launches do: a guess


def distinct(ids: Array, scratch: Array) -> tuple[Array, Array]:
    """`functional.rows.distinct`."""
    if not _one_block(ids, scratch):
        return without_kernel(reference.distinct)(ids, scratch)
    unique, place, n = _distinct(ids, scratch)
    return unique[: int(n[0])], place


def distinct_padded(ids: Array, scratch: Array) -> tuple[Array, Array]:
    """`functional.fixed_shapes.distinct_padded`; nothing waits."""
    if not _one_block(ids, scratch):
        return without_kernel(fixed_shapes.distinct_padded)(ids, scratch)
    unique, place, _ = _distinct(ids, scratch)
    return unique, place


def coalesce(ids: Array, values: Array) -> tuple[Array, Array]:
    """`functional.rows.coalesce`, which adds in another order where an id occurs thrice or more."""
    if not _few(ids, values):
        return without_kernel(reference.coalesce)(ids, values)
    unique, sums, n = _coalesce(ids, values)
    u = int(n[0])
    return unique[:u], sums[:u]


def coalesce_padded(ids: Array, values: Array) -> tuple[Array, Array]:
    """`functional.fixed_shapes.coalesce_padded`; nothing waits."""
    if not _few(ids, values):
        return without_kernel(fixed_shapes.coalesce_padded)(ids, values)
    unique, sums, _ = _coalesce(ids, values)
    return unique, sums


def _one_block(ids: Array, scratch: Array) -> bool:
    right = ids.dtype == np.int64 and scratch.dtype == np.int32
    return right and len(ids) <= ONE_BLOCK


def _few(ids: Array, values: Array) -> bool:
    return fits(values, ids=ids) and 0 < len(ids) <= BLOCK


def _distinct(ids: Array, scratch: Array) -> tuple[Array, Array, Array]:
    xp = array_module(ids)
    ids = xp.ascontiguousarray(ids)
    unique, place, n = xp.empty_like(ids), xp.empty_like(ids), xp.empty(1, ids.dtype)
    DISTINCT.per_block(1, ids, scratch, unique, place, n, len(ids), threads=BLOCK)
    return unique, place, n


def _coalesce(ids: Array, values: Array) -> tuple[Array, Array, Array]:
    xp, n, D = array_module(ids), len(ids), values.size // len(ids)
    unique, n_unique, sums = xp.empty_like(ids), xp.empty(1, ids.dtype), xp.empty_like(values)
    order, start = xp.empty(n, np.int32), xp.empty(n + 1, np.int32)
    ORDER_IDS.per_block(1, ids, unique, order, start, n_unique, n, threads=BLOCK)
    SUM_RUNS.per_element(n * D, values, order, start, n_unique, sums, n, D)
    return unique, sums, n_unique
