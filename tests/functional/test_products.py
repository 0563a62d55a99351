"""Matrix products under a name, on the host: NumPy's, of any shapes that have one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.array import FUSED
from nnlib.functional.products import FEW, MANY, product, row_dots, times_transposed

size = st.integers(0, 5)


def draw(*shape: int) -> Any:
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape)


@given(m=size, k=size, n=size)
def test_products_are_those_of_numpy(m: int, k: int, n: int) -> None:
    a, b = draw(m, k), draw(k, n)
    out = np.full((m, n), np.nan)
    assert product(a, b, out=out) is out
    for mine in (out, product(a, b)):
        np.testing.assert_array_equal(mine, a @ b)
    np.testing.assert_array_equal(product(a, draw(k)), a @ draw(k))
    np.testing.assert_array_equal(product(draw(k), b), draw(k) @ b)
    np.testing.assert_array_equal(product(draw(3, m, k), b), draw(3, m, k) @ b)


@pytest.mark.parametrize("m", [0, 1, FEW, FEW + 1])
@pytest.mark.parametrize("k", [3, MANY - 1, MANY])
def test_times_transposed_is_the_product_on_either_way(m: int, k: int) -> None:
    a, b = draw(m, k), draw(5, k)
    found = times_transposed(a, b)
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, a @ b.T, rtol=0, atol=1e-11)


@given(m=size, k=size, dtype=st.sampled_from([np.float32, np.float64]))
def test_row_dots_are_the_diagonal_of_a_product(m: int, k: int, dtype: Any) -> None:
    a, b = draw(m, k).astype(dtype), draw(m, k).astype(dtype) + 1
    dots = row_dots(a, b)
    assert dots.dtype == dtype
    np.testing.assert_allclose(dots, np.diagonal(a @ b.T), rtol=1e-5, atol=1e-5)


def test_no_kernel_for_the_gpu_is_asked_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FUSED, "product", lambda *_: pytest.fail("not an array of the GPU"))
    np.testing.assert_array_equal(product(np.eye(2), np.eye(2)), np.eye(2))
