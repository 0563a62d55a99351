"""Bands: products between each token of a stream and the tokens around it, as matrix products.

A stream of B tokens is cut into R tiles of T.  What lies at most w places from a token of a tile
lies within the tile or w to its left or right, so a tile needs one product of its T rows with the
U = T + 2w rows around it, of which a band is used.  For windows of a few tokens that is an order of
magnitude faster than looking up every pair with NumPy.  A compiled kernel visits the pairs there
are and nothing else, which is faster still, most of all where rows are short.
"""

import math
from functools import cache
from typing import cast

import numpy as np

from nnlib.array import Array, array_module, fusable


def tile_size(window: int) -> int:
    """T for a window: small tiles waste less of a product, larger ones less of its edges."""
    return max(16, 1 << (window - 1).bit_length())


def around(x: Array, n_tiles: int, window: int) -> Array:
    """The U rows of x in and around each tile: a view of overlapping pieces, not to be written.

        (1) y_ru = x_{rT + u}
    Shapes
        x (R T + 2w, D), in the order of memory → y (R, U, D)
    """
    tile = (len(x) - 2 * window) // n_tiles
    return _pieces(x, tile + 2 * window, tile, n_tiles)


def around_backward(dy: Array, window: int, out: Array | None = None) -> Array:
    """dx of `around`: pieces added up where they overlap.

    Shapes
        dy (R, U, D) → dx (R T + 2w, D), in `out` if given
    """
    xp = array_module(dy)
    n_tiles, width, n_factors = dy.shape
    tile = width - 2 * window
    n_tokens = n_tiles * tile
    dx = xp.empty((n_tokens + 2 * window, n_factors), dy.dtype) if out is None else out
    dx[:n_tokens].reshape(n_tiles, tile, n_factors)[...] = dy[:, :tile]
    dx[n_tokens:] = 0
    for start in range(tile, width, tile):  # the part of each piece that reaches into a later tile
        part = dy[:, start : start + tile]
        there = _pieces(dx[start:], part.shape[1], tile, n_tiles)
        there += part
    return dx


def _pieces(x: Array, width: int, step: int, n: int) -> Array:
    """x[0 : width], x[step : step + width] and so on, as a view (n, width, D)."""
    windows = array_module(x).lib.stride_tricks.sliding_window_view
    writeable = {"writeable": True} if isinstance(x, np.ndarray) else {}  # CuPy's views always are
    return cast(Array, windows(x, width, axis=0, **writeable)[::step][:n].swapaxes(1, 2))


def band(left: Array, right: Array, n_tiles: int, window: int) -> Array:
    """Which of the U tokens around each tile are in the window of which of its T tokens.

        (1) near_rtu = 1 if −left_rt ≤ u − w − t ≤ right_rt and u ≠ w + t, otherwise 0
    A row of it depends on t, left and right only, so rows are looked up, not compared.

    Shapes
        left, right (R T,) int, 0 … w → near (R, T, U) float32
    """
    xp = array_module(left)
    tile = len(left) // n_tiles
    width = tile + 2 * window
    before, after = (xp.asarray(table) for table in _sides(tile, window))
    place = xp.arange(tile) * (window + 1)
    near = before.take((place + left.reshape(n_tiles, tile)).ravel(), axis=0)
    near += after.take((place + right.reshape(n_tiles, tile)).ravel(), axis=0)
    return cast(Array, near.reshape(n_tiles, tile, width))


@cache
def _sides(tile: int, window: int) -> tuple[Array, Array]:
    """Row t (w + 1) + n marks the n tokens before, or after, token t of a tile: (T (w + 1), U)."""
    t, n, u = np.ogrid[:tile, : window + 1, : tile + 2 * window]
    offset = u - window - t
    before, after = (offset < 0) & (offset >= -n), (offset > 0) & (offset <= n)
    rows = (tile * (window + 1), tile + 2 * window)
    return before.reshape(rows).astype(np.float32), after.reshape(rows).astype(np.float32)


def band_product(near: Array, x: Array) -> Array:
    """Weighted sums of the rows around each token:  y_{rT+t} = Σ_u near_rtu x_{rT+u}.

    Shapes
        near (R, T, U) · x (R T + 2w, D) → y (R T, D)
    """
    n_tiles, tile, width = near.shape
    y = near @ around(x, n_tiles, (width - tile) // 2)
    return cast(Array, y.reshape(n_tiles * tile, -1))


def band_product_backward(near: Array, dy: Array) -> Array:
    """dx of `band_product`; near is no subject of learning."""
    n_tiles, tile, width = near.shape
    dtiles = near.swapaxes(1, 2) @ dy.reshape(n_tiles, tile, -1)
    return around_backward(dtiles, (width - tile) // 2)


@fusable
def window_dots(e: Array, o: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """Scores of each token with the tokens around it, and which of them are in its window.

        (1) s_rtu = e_{rT+t} · o_{rT+u}
    Shapes
        e (B, D) · o (B + 2w, D) · left, right (B,) int, 0 … w → s, near (R, T, U) like e;
        the kernel gives both for the pairs of (1) with near = 1 only, (n,)
    """
    window = (len(o) - len(e)) // 2
    near = _near(left, right, window).astype(e.dtype, copy=False)
    tiles = around(o, len(near), window)
    return e.reshape(len(near), -1, e.shape[1]) @ tiles.swapaxes(1, 2), near  # (1)


@fusable
def window_dots_backward(
    g: Array, e: Array, o: Array, left: Array, right: Array, de: Array, do: Array
) -> None:
    """Of `window_dots`: adds to de and writes do.

    Shapes
        g like s, 0 where near is 0 · de (B, D) · do (B + 2w, D)
    """
    window = (len(o) - len(e)) // 2
    de += (g @ around(o, len(g), window)).reshape(de.shape)
    around_backward(g.swapaxes(1, 2) @ e.reshape(len(g), -1, e.shape[1]), window, out=do)


@fusable
def window_sums(x: Array, left: Array, right: Array, scale: Array) -> Array:
    """h_b = scale_b Σ x_c over the tokens c in the window of token b.

    Shapes
        x (B + 2w, D) · left, right (B,) int · scale (B,) → h (B, D)
    """
    near = _near(left, right, (len(x) - len(left)) // 2).astype(x.dtype, copy=False)
    near *= scale.reshape(*near.shape[:2], 1)
    return band_product(near, x)


@fusable
def window_sums_backward(dh: Array, left: Array, right: Array, scale: Array, window: int) -> Array:
    """dx of `window_sums`."""
    near = _near(left, right, window).astype(dh.dtype, copy=False)
    near *= scale.reshape(*near.shape[:2], 1)
    return band_product_backward(near, dh)


def _near(left: Array, right: Array, window: int) -> Array:
    """`band` with tiles of `tile_size`, or the largest smaller power of 2 that divides B."""
    return band(left, right, len(left) // math.gcd(len(left), tile_size(window)), window)
