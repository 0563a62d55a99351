"""Bands against loops, and what is between tiles."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from nnlib.functional.bands import around, around_backward, band, band_product, tile_size

shapes = {
    "n_tiles": st.integers(1, 4),
    "tile": st.integers(1, 6),
    "window": st.integers(1, 9),
    "seed": st.integers(0, 2**32 - 1),
}


@settings(max_examples=40, deadline=None)
@given(**shapes)
def test_around_and_its_adjoint(n_tiles, tile, window, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_tiles * tile + 2 * window, 3))
    y = around(x, n_tiles, window)
    for r in range(n_tiles):
        np.testing.assert_array_equal(y[r], x[r * tile : (r + 1) * tile + 2 * window])
    dy = rng.normal(size=y.shape)
    out = np.full_like(x, np.nan)
    dx = around_backward(dy, window, out=out)
    assert dx is out
    np.testing.assert_allclose(np.vdot(dx, x), np.vdot(dy, y))


@settings(max_examples=40, deadline=None)
@given(**shapes)
def test_band(n_tiles, tile, window, seed):
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, window + 1, (2, n_tiles * tile), dtype=np.int8)
    near = band(left, right, n_tiles, window)
    x = rng.normal(size=(n_tiles * tile + 2 * window, 2))
    for b, (before, after) in enumerate(zip(left, right, strict=True)):
        r, t = divmod(b, tile)
        expected = np.zeros(tile + 2 * window)
        expected[window + t - before : window + t + after + 1] = 1
        expected[window + t] = 0
        np.testing.assert_array_equal(near[r, t], expected)
    sums = band_product(near.astype(float), x)
    for b in range(len(left)):
        here = window + b
        total = x[here - left[b] : here + right[b] + 1].sum(axis=0) - x[here]
        np.testing.assert_allclose(sums[b], total, atol=1e-12)


def test_tiles_are_powers_of_two():
    assert [tile_size(w) for w in (1, 5, 16, 17, 100)] == [16, 16, 16, 32, 128]
