"""Sparse products: SciPy's, NumPy's and the dense matrix they stand for."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from nnlib.functional import sparse_products as module
from nnlib.functional.sparse_products import (
    add_scaled_rows,
    sampled_product,
    sparse_product,
    sparse_product_reference,
    transposed_product,
    transposed_product_reference,
)


@settings(max_examples=40, deadline=None)
@given(
    n_rows=st.integers(1, 6),
    n_columns=st.integers(1, 5),
    most=st.integers(0, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_products(n_rows, n_columns, most, seed):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, most + 1, n_rows))])
    index = rng.integers(n_columns, size=offsets[-1])
    g = rng.normal(size=len(index))
    dense = np.zeros((n_rows, n_columns))
    row = np.repeat(np.arange(n_rows), np.diff(offsets))
    np.add.at(dense, (row, index), g)  # entries may repeat

    x, z = rng.normal(size=(n_columns, 3)), rng.normal(size=(n_rows, 3))
    for product in (sparse_product, sparse_product_reference):
        np.testing.assert_allclose(product(g, index, offsets, x), dense @ x, atol=1e-12)
    for product in (transposed_product, transposed_product_reference):
        y = product(g, index, offsets, z, n_columns)
        np.testing.assert_allclose(y, dense.T @ z, atol=1e-12)
    np.testing.assert_allclose(sampled_product(z, row, x, index), (z @ x.T)[row, index])


@pytest.mark.parametrize("scipy", [True, False])
def test_repeated_rows_are_all_added(scipy, monkeypatch):
    monkeypatch.setattr(module, "_have_scipy", lambda: scipy)
    rng = np.random.default_rng(0)
    table, ids = rng.normal(size=(6, 4)), np.array([5, 0, 5, 5, 2])
    values, scale = rng.normal(size=(5, 4)), rng.normal(size=5)
    expected = table.copy()
    np.add.at(expected, ids, scale[:, None] * values)
    add_scaled_rows(table, ids, values, scale, np.full(6, 77))
    np.testing.assert_allclose(table, expected)
