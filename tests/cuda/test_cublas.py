"""What cuBLAS is told about matrices, against a library that takes it at its word."""

import ctypes
import sys
from itertools import product as product_of
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nnlib.array import FUSED, to_device, to_host
from nnlib.cuda import cublas
from nnlib.cuda.cublas import Cublas, CublasError, find_cublas
from nnlib.functional.products import product

SHAPES = [(1, 1, 1), (4, 3, 5), (1, 3, 5), (4, 1, 5), (4, 3, 1), (1, 3, 1), (4, 1, 1), (7, 7, 7)]


@pytest.fixture
def library(device: ModuleType, load: Any) -> Any:
    return load("fake_cublas").FakeCublas()


@pytest.fixture
def library_product(library: Any) -> Any:
    workspace = sys.modules["cupy"].empty(64, np.uint8)
    return Cublas(library, 5, workspace).product


def lying(x: np.ndarray, how: str) -> Any:
    """x on the device, its rows or columns in a wider table, transposed, or with gaps."""
    rows, columns = x.shape
    wide = {"by rows": (rows, columns), "within rows": (rows + 1, columns + 3),
            "by columns": (columns, rows), "within columns": (columns + 1, rows + 2),
            "with gaps": (rows, 2 * columns)}[how]  # fmt: skip
    table = to_device(np.full(wide, np.nan, x.dtype), "cuda")
    view = table[:, ::2] if how == "with gaps" else table
    view = view.T if "columns" in how else view
    view = view[:rows, :columns]
    view[...] = to_device(x, "cuda")
    return view


WAYS = ["by rows", "within rows", "by columns", "within columns", "with gaps"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_products(shape: Any, dtype: Any, library_product: Any) -> None:
    rng = np.random.default_rng(0)
    m, k, n = shape
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for how_a, how_b in product_of(WAYS, WAYS):
        A, B = lying(a, how_a), lying(b, how_b)
        np.testing.assert_allclose(to_host(library_product(A, B)), a @ b, tolerance, tolerance)
        for how in WAYS:
            out = lying(np.full((m, n), np.nan, dtype), how)
            assert library_product(A, B, out) is out
            np.testing.assert_allclose(to_host(out), a @ b, tolerance, tolerance)


def test_vectors_and_matrices_without_elements(library_product: Any, library: Any) -> None:
    rng = np.random.default_rng(0)
    for shapes in (
        ((3,), (3, 4)),
        ((4, 3), (3,)),
        ((3,), (3,)),
        ((0, 3), (3, 4)),
        ((2, 0), (0, 4)),
    ):
        a, b = (rng.normal(size=shape) for shape in shapes)
        mine = to_host(library_product(to_device(a, "cuda"), to_device(b, "cuda")))
        assert mine.shape == (a @ b).shape
        np.testing.assert_allclose(mine, a @ b)
    assert len(library.calls) == 3


def test_nothing_is_copied_where_rows_or_columns_lie(device: Any) -> None:
    x = np.zeros((4, 3))
    for how in WAYS:
        view = lying(x, how)
        assert (cublas.operand(view).array is view) == (how != "with gaps")
    windows = sys.modules["cupy"].lib.stride_tricks.as_strided(view.ravel(), (3, 4), (8, 8))
    assert cublas.operand(windows).array is not windows  # rows that overlap


def test_what_cublas_does_not_take_goes_to_cupy(library_product: Any, library: Any) -> None:
    a, b = np.arange(12).reshape(3, 4), np.arange(4)
    mine = library_product(to_device(a, "cuda"), to_device(b, "cuda"))
    np.testing.assert_array_equal(to_host(mine), a @ b)
    batch = np.ones((2, 3, 4))
    mine = library_product(to_device(batch, "cuda"), to_device(batch[0].T, "cuda"))
    np.testing.assert_array_equal(to_host(mine), batch @ batch[0].T)
    assert library.calls == []
    with pytest.raises(ValueError, match="3 ≠ 4"):
        library_product(to_device(np.ones((2, 3)), "cuda"), to_device(np.ones((4, 2)), "cuda"))


def test_a_refusal_is_an_error_with_its_status(library_product: Any, library: Any) -> None:
    library.workspace = None
    with pytest.raises(CublasError, match="cublasDgemm_v2 returned status 1"):
        library_product(*(to_device(np.ones((2, 2)), "cuda") for _ in range(2)))


def test_its_products_are_used_within_the_block_only(device: Any, library: Any) -> None:
    x = to_device(np.ones((2, 2)), "cuda")
    mine = Cublas(library, 5, sys.modules["cupy"].empty(64, np.uint8))
    assert (library.stream, library.workspace) == (5, 64)
    with mine.products():
        product(x, x)
    product(x, x)
    assert len(library.calls) == 1
    assert "product" not in FUSED
    del mine
    assert not library.open


def test_a_library_that_is_missing_is_one_clear_sentence(
    device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(CublasError, match=r"not found as .*libcublas\.so\.12.*\[ctk\]"):
        find_cublas()
