"""The kernels of word2vec against their references: equal up to the order of sums."""

from contextlib import nullcontext

import numpy as np
import pytest

from nnlib.array import COMPILED
from nnlib.compiled import compiled_kernels, numba_problem
from nnlib.functional import bands, cbow_block, path_block, sgns_block, sparse_products

if problem := numba_problem():
    pytest.skip(problem, allow_module_level=True)

R, TILE, W, D, U, P = 3, 4, 3, 20, 6, 7
B = R * TILE


def both(op, *arguments):
    found = []
    with compiled_kernels():
        kernel = COMPILED[op.__name__]
    for f in (op.__wrapped__, kernel):
        mine = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        found.append((f(*mine), mine))
    return found


def close(a, b):
    tolerance = 1e-5 if a.dtype == np.float32 else 1e-12
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_products(dtype):
    rng = np.random.default_rng(0)
    row = np.sort(rng.integers(5, size=12))
    offsets, index = np.searchsorted(row, np.arange(6)), rng.integers(U, size=12)
    g, x, y = (rng.normal(size=s).astype(dtype) for s in (12, (5, D), (U, D)))
    for op, arguments in (
        (sparse_products.sampled_product, (x, row, y, index)),
        (sparse_products.sparse_product, (g, index, offsets, y)),
        (sparse_products.transposed_product, (g, index, offsets, x, U)),
    ):
        (a, _), (b, _) = both(op, *arguments)
        close(a, b)
    scratch = np.empty(U, np.int32)
    values = rng.normal(size=(12, D)).astype(dtype)
    (_, a), (_, b) = both(sparse_products.add_scaled_rows, y, index, values, g, scratch)
    close(a[0], b[0])
    assert not np.array_equal(a[0], y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_and_paths(dtype):
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, W + 1, (2, B), dtype=np.int8)
    items, noise = rng.integers(5, size=B + 2 * W), rng.integers(5, size=(2, 4))
    (a, _), (b, _) = both(sgns_block.noise_weight, items, left, right, noise, 5)
    close(a, b)
    arguments = (items[W:-W], left + right > 0, noise, 5)
    (x, _), (y, _) = both(cbow_block.target_noise_weight, *arguments)
    close(x, y)
    assert set(np.unique(x)) == {0, np.float32(5 / 4)}
    assert (a < 5 / 4 * (left + right).reshape(2, -1, 1)).any()  # something was skipped

    e, o = (rng.normal(size=(n, D)).astype(dtype) for n in (B, B + 2 * W))
    found = []
    for compiled in (False, True):
        with compiled_kernels() if compiled else nullcontext():
            s, there = bands.window_dots(e, o, left, right)
            de, do = np.ones_like(e), np.empty_like(o)
            bands.window_dots_backward(s * there, e, o, left, right, de, do)
        found.append((np.sort(s[there > 0]), de, do))
    for x, y in zip(*found, strict=True):
        close(x, y)
    scale = rng.random(B).astype(dtype)
    for op, arguments in (
        (bands.window_sums, (o, left, right, scale)),
        (bands.window_sums_backward, (e, left, right, scale, W)),
    ):
        (x, _), (y, _) = both(op, *arguments)
        close(x, y)

    e, rows = rng.normal(size=(B + 2 * W, D)).astype(dtype), rng.normal(size=(U, D)).astype(dtype)
    h, o, dh = rng.normal(size=(3, B, D)).astype(dtype)
    (_, a), (_, b) = both(cbow_block.row_products_backward, h[:, 0], h, o, dh, np.empty_like(h))
    close(a[3], b[3])
    close(a[4], b[4])

    index, sign = rng.integers(U, size=(R, P)), rng.choice([-1, 1], (R, P))
    owner = rng.integers(TILE, size=(R, P)) + TILE * np.arange(R)[:, None]
    owner[0, 0] = B
    arguments = (e, rows, left, right, index, sign, owner)
    loss, saved = path_block.band_path_block(*arguments)
    with compiled_kernels():
        loss_compiled, saved_compiled = path_block.band_path_block(*arguments)
        compiled = path_block.band_path_block_backward(saved_compiled)
    close(loss, loss_compiled)
    for a, b in zip(path_block.band_path_block_backward(saved), compiled, strict=True):
        close(a, b)


def test_arrays_of_two_types_go_to_the_reference():
    rng = np.random.default_rng(0)
    table, values = rng.normal(size=(4, 3)), rng.normal(size=(2, 3)).astype(np.float32)
    arguments = (table, np.array([1, 1]), values, np.ones(2, np.float32), np.empty(4, np.int32))
    (_, a), (_, b) = both(sparse_products.add_scaled_rows, *arguments)
    np.testing.assert_array_equal(a[0], b[0])
