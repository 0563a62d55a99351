"""Kernels that visit the tokens in each token's window, and no others.

A window of a short row holds two or three tokens; the matrix products of the references go through
all 2w places around a token and more.  Dot products add up in vector registers, so these agree with
their references to rounding and not bit for bit.
"""

import numpy as np
from numba import njit

from nnlib.array import Array, without_kernel
from nnlib.compiled.vectors import LOOSE, add, alike, dot
from nnlib.functional import bands


def window_dots(e: Array, o: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """`functional.bands.window_dots`, of the pairs only: both are (n,)."""
    s = np.empty(int(left.sum(dtype=np.intp) + right.sum(dtype=np.intp)), e.dtype)
    _window_dots(e, o, left, right, s)
    return s, np.ones_like(s)


def window_dots_backward(
    g: Array, e: Array, o: Array, left: Array, right: Array, de: Array, do: Array
) -> None:
    """`functional.bands.window_dots_backward`, for what the kernel `window_dots` gives."""
    _window_dots_backward(g, e, o, left, right, de, do)


def window_sums(x: Array, left: Array, right: Array, scale: Array) -> Array:
    """`functional.bands.window_sums`."""
    if not alike(x, scale):
        return without_kernel(bands.window_sums)(x, left, right, scale)
    h = np.empty((len(left), x.shape[1]), x.dtype)
    _window_sums(x, left, right, scale, h)
    return h


def window_sums_backward(dh: Array, left: Array, right: Array, scale: Array, window: int) -> Array:
    """`functional.bands.window_sums_backward`."""
    if not alike(dh, scale):
        return without_kernel(bands.window_sums_backward)(dh, left, right, scale, window)
    dx = np.empty((len(dh) + 2 * window, dh.shape[1]), dh.dtype)
    _window_sums_backward(dh, left, right, scale, window, dx)
    return dx


KERNELS = {
    f.__name__: f for f in (window_dots, window_dots_backward, window_sums, window_sums_backward)
}


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _window_dots(e, o, left, right, s):  # type: ignore[no-untyped-def]
    window = (len(o) - len(e)) // 2
    n = 0
    for b in range(len(e)):
        here = b + window
        for c in range(here - left[b], here + right[b] + 1):
            if c != here:
                s[n] = dot(e[b], o[c])
                n += 1


# A sum starts at 0 just before its row is touched, when the row must come into the cache anyway:
# row b of a sum over contexts; of a sum over tokens row b + 2w, the last that token b can reach.


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _window_dots_backward(g, e, o, left, right, de, do):  # type: ignore[no-untyped-def]
    window = (len(o) - len(e)) // 2
    do[: 2 * window] = 0
    n = 0
    for b in range(len(e)):
        here = b + window
        do[here + window] = 0
        for c in range(here - left[b], here + right[b] + 1):
            if c != here:
                add(de[b], g[n], o[c])
                add(do[c], g[n], e[b])
                n += 1


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _window_sums(x, left, right, scale, h):  # type: ignore[no-untyped-def]
    window = (len(x) - len(h)) // 2
    for b in range(len(h)):
        here = b + window
        h[b] = 0
        for c in range(here - left[b], here + right[b] + 1):
            if c != here:
                add(h[b], scale[b], x[c])


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _window_sums_backward(dh, left, right, scale, window, dx):  # type: ignore[no-untyped-def]
    dx[: 2 * window] = 0
    for b in range(len(dh)):
        here = b + window
        dx[here + window] = 0
        for c in range(here - left[b], here + right[b] + 1):
            if c != here:
                add(dx[c], scale[b], dh[b])
