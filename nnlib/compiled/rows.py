"""Kernels for rows of tables."""

import numpy as np
from numba import njit

from nnlib.array import Array


def distinct(ids: Array, scratch: Array) -> tuple[Array, Array]:
    """`functional.rows.distinct`."""
    unique, place, n = _distinct(ids, scratch)
    return unique[:n], place


@njit(cache=True, nogil=True)
def _distinct(ids, scratch):  # type: ignore[no-untyped-def]
    unique, place = np.empty_like(ids), np.empty(len(ids), scratch.dtype)
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
