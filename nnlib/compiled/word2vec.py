"""Kernels for the blocks of word2vec: sparse products, negatives, paths.

Dot products add up in vector registers, so these agree with their references to rounding and not
bit for bit.
"""

import numpy as np
from numba import njit

from nnlib.array import Array, without_kernel
from nnlib.compiled.vectors import LOOSE, add, alike, dot
from nnlib.functional import sparse_products


def add_scaled_rows(table: Array, ids: Array, values: Array, scale: Array, scratch: Array) -> None:
    """`functional.sparse_products.add_scaled_rows`."""
    if alike(table, values, scale):
        _add_scaled_rows(table, ids, values, scale)
    else:
        without_kernel(sparse_products.add_scaled_rows)(table, ids, values, scale, scratch)


def sampled_product(x: Array, row: Array, y: Array, index: Array) -> Array:
    """`functional.sparse_products.sampled_product`."""
    if not alike(x, y):
        return without_kernel(sparse_products.sampled_product)(x, row, y, index)
    a = np.empty(len(row), x.dtype)
    _sampled_product(x, row, y, index, a)
    return a


def sparse_product(g: Array, index: Array, offsets: Array, x: Array) -> Array:
    """`functional.sparse_products.sparse_product`."""
    if not alike(g, x):
        return without_kernel(sparse_products.sparse_product)(g, index, offsets, x)
    y = np.zeros((len(offsets) - 1, x.shape[1]), x.dtype)
    _sparse_product(g, index, offsets, x, y)
    return y


def transposed_product(g: Array, index: Array, offsets: Array, x: Array, n_rows: int) -> Array:
    """`functional.sparse_products.transposed_product`."""
    if not alike(g, x):
        return without_kernel(sparse_products.transposed_product)(g, index, offsets, x, n_rows)
    y = np.zeros((n_rows, x.shape[1]), x.dtype)
    _transposed_product(g, index, offsets, x, y)
    return y


def noise_weight(items: Array, left: Array, right: Array, noise: Array, negatives: float) -> Array:
    """`functional.sgns_block.noise_weight`."""
    n_groups, S = noise.shape
    weight = np.empty((n_groups, len(left) // n_groups, S), np.float32)
    _noise_weight(items, left, right, noise, np.float32(negatives / S), weight)
    return weight


def target_noise_weight(target: Array, present: Array, noise: Array, negatives: float) -> Array:
    """`functional.cbow_block.target_noise_weight`."""
    n_groups, S = noise.shape
    weight = np.empty((n_groups, len(target) // n_groups, S), np.float32)
    _target_noise_weight(target, present, noise, np.float32(negatives / S), weight)
    return weight


def row_products_backward(ds: Array, h: Array, o: Array, dh: Array, do: Array) -> None:
    """`functional.cbow_block.row_products_backward`."""
    _row_products_backward(ds, h, o, dh, do)


def band_dots(
    e: Array, rows: Array, left: Array, right: Array, index: Array, sign: Array, owner: Array
) -> tuple[Array, Array, Array]:
    """`functional.path_block.band_dots`, of the tokens in the window only: all three are (n,)."""
    n_contexts = np.append(left.astype(np.intp) + right, 0)
    a, signs = np.empty((2, n_contexts[owner].sum()), e.dtype)
    _band_dots(e, rows, left, right, index, sign, owner, a, signs)
    return a, signs, np.ones_like(a)


def band_sums(
    g: Array, e: Array, rows: Array, left: Array, right: Array, index: Array, owner: Array
) -> tuple[Array, Array]:
    """`functional.path_block.band_sums`, for what the kernel `band_dots` gives."""
    de, drows = np.zeros_like(e), np.zeros_like(rows)
    _band_sums(g, e, rows, left, right, index, owner, de, drows)
    return de, drows


KERNELS = {
    f.__name__: f
    for f in (
        add_scaled_rows,
        sampled_product,
        sparse_product,
        transposed_product,
        noise_weight,
        target_noise_weight,
        row_products_backward,
        band_dots,
        band_sums,
    )
}


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _add_scaled_rows(table, ids, values, scale):  # type: ignore[no-untyped-def]
    for i in range(len(ids)):
        add(table[ids[i]], scale[i], values[i])


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _sampled_product(x, row, y, index, a):  # type: ignore[no-untyped-def]
    for i in range(len(row)):
        a[i] = dot(x[row[i]], y[index[i]])


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _sparse_product(g, index, offsets, x, y):  # type: ignore[no-untyped-def]
    for b in range(len(y)):
        for i in range(offsets[b], offsets[b + 1]):
            add(y[b], g[i], x[index[i]])


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _transposed_product(g, index, offsets, x, y):  # type: ignore[no-untyped-def]
    for b in range(len(x)):
        for i in range(offsets[b], offsets[b + 1]):
            add(y[index[i]], g[i], x[b])


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _row_products_backward(ds, h, o, dh, do):  # type: ignore[no-untyped-def]
    for b in range(len(h)):
        for d in range(h.shape[1]):
            do[b, d] = ds[b] * h[b, d]
            dh[b, d] += ds[b] * o[b, d]


@njit(cache=True, nogil=True)
def _noise_weight(items, left, right, noise, share, weight):  # type: ignore[no-untyped-def]
    n_groups, M, S = weight.shape
    window = (len(items) - len(left)) // 2
    for g in range(n_groups):
        for m in range(M):
            b = g * M + m
            full = share * (left[b] + right[b])
            for s in range(S):
                weight[g, m, s] = full
        for at in range(M + 2 * window):
            item = items[g * M + at]
            for s in range(S):
                if noise[g, s] == item:
                    for m in range(max(0, at - 2 * window), min(M, at + 1)):
                        offset, b = at - window - m, g * M + m
                        if offset != 0 and -left[b] <= offset <= right[b]:
                            weight[g, m, s] -= share


@njit(cache=True, nogil=True)
def _target_noise_weight(target, present, noise, share, weight):  # type: ignore[no-untyped-def]
    n_groups, M, S = weight.shape
    for g in range(n_groups):
        for m in range(M):
            b = g * M + m
            for s in range(S):
                there = present[b] and noise[g, s] != target[b]
                weight[g, m, s] = share if there else 0


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _band_dots(e, rows, left, right, index, sign, owner, a, signs):  # type: ignore[no-untyped-def]
    window = (len(e) - len(left)) // 2
    n = 0
    for r in range(index.shape[0]):
        for p in range(index.shape[1]):
            b = owner[r, p]
            if b == len(left):
                continue
            row, here = rows[index[r, p]], b + window
            for c in range(here - left[b], here + right[b] + 1):
                if c != here:
                    a[n] = dot(row, e[c])
                    signs[n] = sign[r, p]
                    n += 1


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _band_sums(g, e, rows, left, right, index, owner, de, drows):  # type: ignore[no-untyped-def]
    window = (len(e) - len(left)) // 2
    n = 0
    for r in range(index.shape[0]):
        for p in range(index.shape[1]):
            b = owner[r, p]
            if b == len(left):
                continue
            row, drow, here = rows[index[r, p]], drows[index[r, p]], b + window
            for c in range(here - left[b], here + right[b] + 1):
                if c != here:
                    add(de[c], g[n], row)
                    add(drow, g[n], e[c])
                    n += 1
