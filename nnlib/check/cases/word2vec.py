"""Cases of what trains word vectors on blocks of tokens."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.check.cases.case import Case, Make, Sizes, Subject
from nnlib.functional import bands, cbow_block, path_block, sgns_block


class _Tiles(NamedTuple):
    """Sizes of a block of tokens, and which of them are near each other."""

    R: int
    w: int
    left: Array  # (R T,)
    right: Array  # (R T,)
    near: Array  # (R, T, U)

    @property
    def n_tokens(self) -> int:
        return self.R * int(self.near.shape[1])


def _tiles(rng: np.random.Generator, s: Sizes) -> _Tiles:
    w, tile = s.O + 1, 2 * s.I  # windows that reach into the next tile, and beyond
    left, right = rng.integers(0, w + 1, (2, s.T * tile))
    return _Tiles(s.T, w, left, right, bands.band(left, right, s.T, w))


def _summed(
    op: Callable[..., Any], op_backward: Callable[..., Any], *data: Array
) -> Callable[..., Any]:
    """A pair (loss, saved), saved → gradients as a loss of its first two arguments."""

    def loss(x: Array, y: Array) -> tuple[Array, Backward]:
        value, saved = op(x, y, *data)
        return value, lambda dloss=1.0: tuple(dloss * d for d in op_backward(saved))

    return loss


def _around(rng: np.random.Generator, s: Sizes) -> Subject:
    w, R = s.O, s.T
    f = lambda x: (bands.around(x, R, w).copy(), lambda dy: bands.around_backward(dy, w))
    return Subject(f, (rng.normal(size=(R * 2 * s.I + 2 * w, s.H)),))


def _band_product(rng: np.random.Generator, s: Sizes) -> Subject:
    t = _tiles(rng, s)

    def f(x: Array) -> tuple[Array, Backward]:
        near = t.near.astype(x.dtype)
        return bands.band_product(near, x), lambda dy: bands.band_product_backward(near, dy)

    return Subject(f, (rng.normal(size=(t.n_tokens + 2 * t.w, s.H)),))


def _window_dots(rng: np.random.Generator, s: Sizes) -> Subject:
    t = _tiles(rng, s)

    def f(e: Array, o: Array) -> tuple[Array, Backward]:
        scores, near = bands.window_dots(e, o, t.left, t.right)

        def backward(dy: Array) -> tuple[Array, Array]:
            xp = array_module(e)
            de, do = xp.zeros_like(e), xp.empty_like(o)
            bands.window_dots_backward(dy * near, e, o, t.left, t.right, de, do)
            return de, do

        return scores * near, backward

    rows = (t.n_tokens, t.n_tokens + 2 * t.w)
    return Subject(f, (rng.normal(size=(rows[0], s.H)), rng.normal(size=(rows[1], s.H))))


def _window_sums(rng: np.random.Generator, s: Sizes) -> Subject:
    t = _tiles(rng, s)
    window = (t.left, t.right, rng.random(t.n_tokens))
    f = lambda x: (
        bands.window_sums(x, *window),
        lambda dh: bands.window_sums_backward(dh, *window, t.w),
    )
    return Subject(f, (rng.normal(size=(t.n_tokens + 2 * t.w, s.H)),))


def _sgns_block(rng: np.random.Generator, s: Sizes) -> Subject:
    t = _tiles(rng, s)
    e = rng.normal(size=(t.n_tokens, s.H))
    rows = rng.normal(size=(t.n_tokens + 2 * t.w + 2 * s.N, s.H))
    weight = rng.random((2, t.n_tokens // 2, s.N))
    data = (t.left, t.right, weight)
    f = _summed(sgns_block.sgns_block, sgns_block.sgns_block_backward, *data)
    return Subject(f, (e, rows))


def _cbow_block(mean: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        t = _tiles(rng, s)
        n = np.maximum(t.left + t.right, 1)
        share = 1 / n if mean else np.ones(t.n_tokens)
        e = rng.normal(size=(t.n_tokens + 2 * t.w, s.H))
        rows = rng.normal(size=(t.n_tokens + 2 * s.N, s.H))
        weight = rng.random((2, t.n_tokens // 2, s.N))
        data = (t.left, t.right, share, weight)
        f = _summed(cbow_block.cbow_block, cbow_block.cbow_block_backward, *data)
        return Subject(f, (e, rows))

    return make


def _top_block(rng: np.random.Generator, s: Sizes) -> Subject:
    signs = rng.integers(-1, 2, (s.B, s.O))
    visits = abs(signs) + 2 * rng.integers(0, 3, (s.B, s.O))
    f = _summed(path_block.top_block, path_block.top_block_backward, visits, signs)
    return Subject(f, (rng.normal(size=(s.B, s.H)), rng.normal(size=(s.O, s.H))))


def _path_block(rng: np.random.Generator, s: Sizes) -> Subject:
    row = np.repeat(np.arange(s.B), rng.integers(0, s.N, s.B))
    offsets = np.searchsorted(row, np.arange(s.B + 1))
    index, sign = rng.integers(s.O, size=len(row)), rng.choice([-1.0, 1.0], len(row))
    f = _summed(path_block.path_block, path_block.path_block_backward, index, sign, row, offsets)
    return Subject(f, (rng.normal(size=(s.B, s.H)), rng.normal(size=(s.O, s.H))))


def _band_path_block(rng: np.random.Generator, s: Sizes) -> Subject:
    t = _tiles(rng, s)
    tile = t.n_tokens // t.R
    index = rng.integers(s.O, size=(t.R, s.N))
    sign = rng.choice([-1.0, 1.0], index.shape)
    owner = rng.integers(tile, size=index.shape) + tile * np.arange(t.R)[:, None]
    owner[rng.random(owner.shape) < 0.2] = t.R * tile  # no one's
    f = _summed(
        path_block.band_path_block,
        path_block.band_path_block_backward,
        t.left,
        t.right,
        index,
        sign,
        owner,
    )
    e = rng.normal(size=(t.n_tokens + 2 * t.w, s.H))
    return Subject(f, (e, rng.normal(size=(s.O, s.H))))


def cases() -> Iterator[Case]:
    """Every pair on blocks."""
    yield Case("around", bands.around, _around)
    yield Case("band_product", bands.band_product, _band_product)
    yield Case("window_dots", bands.window_dots, _window_dots)
    yield Case("window_sums", bands.window_sums, _window_sums)
    yield Case("sgns_block", sgns_block.sgns_block, _sgns_block)
    for mean in (True, False):
        yield Case(f"cbow_block mean={mean}", cbow_block.cbow_block, _cbow_block(mean))
    yield Case("top_block", path_block.top_block, _top_block)
    yield Case("path_block", path_block.path_block, _path_block)
    yield Case("band_path_block", path_block.band_path_block, _band_path_block)
