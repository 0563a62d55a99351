"""Kernels for rows of tables."""

import numpy as np
from numba import njit

from nnlib.array import Array, without_kernel
from nnlib.compiled.vectors import alike
from nnlib.functional import rows as reference


def add_rows(table: Array, ids: Array, values: Array) -> None:
    """`functional.rows.add_rows`, one row after the other; nothing has to be summed before."""
    if not alike(table, values):
        without_kernel(reference.add_rows)(table, ids, values)
        return
    wide = table.reshape(len(table), -1)
    _add_rows(wide, ids, values.reshape(len(ids), wide.shape[1]))


@njit(cache=True, nogil=True)
def _add_rows(table, ids, values):  # type: ignore[no-untyped-def]
    for i in range(len(ids)):
        table[ids[i]] += values[i]


def distinct(ids: Array, scratch: Array) -> tuple[Array, Array]:
    """`functional.rows.distinct`."""
    unique, place, n = _distinct(ids, scratch)
    return unique[:n], place


@njit(cache=True, nogil=True)
def _distinct(ids, scratch):  # type: ignore[no-untyped-def]
    unique, place = np.empty_like(ids), np.empty(len(ids), np.intp)
    for i in range(len(ids)):
        scratch[ids[i]] = i
    n = 0
    for i in range(len(ids)):
        if scratch[ids[i]] == i:  # the last occurrence
            unique[n] = ids[i]
            place[i] = n
            n += 1
    for i in range(len(ids)):
        place[i] = place[scratch[ids[i]]]
    return unique, place, n


def coalesce(ids: Array, values: Array) -> tuple[Array, Array]:
    """`functional.rows.coalesce`, which adds in another order where an id occurs thrice or more."""
    order = ids.argsort(kind="stable")
    unique, sums, n = _coalesce(ids, order, values.reshape(len(ids), -1))
    return unique[:n], sums[:n].reshape(n, *values.shape[1:])


@njit(cache=True, nogil=True)
def _coalesce(ids, order, values):  # type: ignore[no-untyped-def]
    unique, sums = np.empty_like(ids), np.empty_like(values)
    n = 0
    for i in order:
        if n == 0 or ids[i] != unique[n - 1]:
            unique[n] = ids[i]
            sums[n] = values[i]
            n += 1
        else:
            sums[n - 1] += values[i]
    return unique, sums, n
