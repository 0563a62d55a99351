"""Matrix products by cuBLAS, called without CuPy, which refuses its own while a stream is captured.

A handle of our own, tied to one stream, with a workspace of our own: without one cuBLAS may
allocate within a capture.  Products are those of single or double precision as cuBLAS makes them by
default, without TF32.

    cublas = Cublas(find_cublas(), stream.ptr, cupy.empty(WORKSPACE, np.uint8))
    with cublas.products():
        ...                             # functional.products.product is its own here
"""

import ctypes
import importlib
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from nnlib.array import FUSED, Array, array_module

WORKSPACE = 32 * 2**20  # bytes; what NVIDIA's manual advises for Hopper, more than for others
GEMM = {np.dtype(np.float32): ("cublasSgemm_v2", ctypes.c_float),
        np.dtype(np.float64): ("cublasDgemm_v2", ctypes.c_double)}  # fmt: skip
AS_IT_LIES, TRANSPOSED = 0, 1  # CUBLAS_OP_N and CUBLAS_OP_T


class CublasError(RuntimeError):
    """cuBLAS was not found, or refused a call."""


class Operand(NamedTuple):
    """A matrix (m, n) as cuBLAS is told of it, and the array that its address is of."""

    operation: int  # whether memory read column by column is its transpose (N) or itself (T)
    leading: int  # elements from one row to the next, or from one column to the next
    array: Array


class Cublas:
    """Products on one stream.

    Arguments
        library: cuBLAS as ctypes opens it
        stream: the address of the stream
        workspace: an array of the device that nobody else writes to
    Raises
        CublasError: cuBLAS cannot start.
    """

    def __init__(self, library: Any, stream: int, workspace: Array) -> None:
        self._library, self._workspace = library, workspace
        self._handle = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        self._call("cublasSetStream_v2", self._handle, ctypes.c_void_p(stream))
        where, size = ctypes.c_void_p(workspace.data.ptr), ctypes.c_size_t(workspace.nbytes)
        self._call("cublasSetWorkspace_v2", self._handle, where, size)  # after the stream is set
        weakref.finalize(self, library.cublasDestroy_v2, self._handle)

    def product(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """`functional.products.product`; arrays that cuBLAS does not take go to CuPy.

        A matrix that lies in memory row by row is, column by column, its transpose; so what is
        asked for is  outᵀ = bᵀ aᵀ,  and nothing is moved.
        """
        if a.dtype not in GEMM or a.dtype != b.dtype or not 0 < a.ndim <= 2 or not 0 < b.ndim <= 2:
            return a @ b if out is None else array_module(a).matmul(a, b, out=out)
        A, B = a.reshape(1, -1) if a.ndim == 1 else a, b.reshape(-1, 1) if b.ndim == 1 else b
        (m, k), n = A.shape, B.shape[1]
        if B.shape[0] != k:
            raise ValueError(f"a product of shapes {a.shape} and {b.shape}: {k} ≠ {B.shape[0]}")
        xp = array_module(a)
        if out is None:
            C = xp.empty((m, n), a.dtype)
            self._gemm(A, B, C)
            return C.reshape(a.shape[:-1] + b.shape[1:])
        if out.ndim == 2 and _by_rows(out):
            self._gemm(A, B, out)
        else:
            out[...] = self.product(a, b)
        return out

    @contextmanager
    def products(self) -> Iterator[None]:
        """`functional.products.product` is this one's within the block."""
        before = dict(FUSED)
        FUSED["product"] = self.product
        try:
            yield
        finally:
            FUSED.clear()
            FUSED.update(before)

    def _gemm(self, A: Array, B: Array, C: Array) -> None:
        (m, k), n = A.shape, B.shape[1]
        if not m * n:
            return
        if not k:
            C.fill(0)
            return
        name, real = GEMM[C.dtype]
        one, zero = real(1), real(0)
        a, b, c = operand(A), operand(B), operand(C)
        self._call(
            name, self._handle, ctypes.c_int(b.operation), ctypes.c_int(a.operation),
            *map(ctypes.c_int, (n, m, k)), ctypes.byref(one),
            ctypes.c_void_p(b.array.data.ptr), ctypes.c_int(b.leading),
            ctypes.c_void_p(a.array.data.ptr), ctypes.c_int(a.leading), ctypes.byref(zero),
            ctypes.c_void_p(c.array.data.ptr), ctypes.c_int(c.leading),
        )  # fmt: skip

    def _call(self, name: str, *arguments: Any) -> None:
        if status := getattr(self._library, name)(*arguments):
            raise CublasError(f"{name} returned status {status}")


def operand(x: Array) -> Operand:
    """How cuBLAS finds x (m, n) in memory; a copy by rows where neither its rows nor columns lie.

    In a row or column of one element, and from one row or column to none, strides say nothing.
    """
    (rows, columns), (down, right) = x.shape, (s // x.itemsize for s in x.strides)
    if _by_rows(x):
        return Operand(AS_IT_LIES, down if rows > 1 else columns, x)
    if (rows == 1 or down == 1) and (columns == 1 or right >= rows):
        return Operand(TRANSPOSED, right if columns > 1 else rows, x)
    return Operand(AS_IT_LIES, columns, array_module(x).ascontiguousarray(x))


def _by_rows(x: Array) -> bool:
    (rows, columns), (down, right) = x.shape, (s // x.itemsize for s in x.strides)
    return bool((columns == 1 or right == 1) and (rows == 1 or down >= columns))


def find_cublas() -> Any:
    """The cuBLAS of the CUDA that CuPy runs on.

    Raises
        CublasError: the names that were tried, none of which could be opened.
    """
    version = sys.modules["cupy"].cuda.runtime.runtimeGetVersion() // 1000
    names = [f"libcublas.so.{version}", f"cublas64_{version}.dll"]
    for name in names:  # the one that CuPy has opened, if it has, or one on the loader's path
        with suppress(OSError):
            return ctypes.CDLL(name)
    with suppress(ImportError, OSError, RuntimeError):  # of a wheel; CuPy 14 looks for it so too
        pathfinder = importlib.import_module("cuda.pathfinder")
        return ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)
    raise CublasError(
        f"cuBLAS was not found as {' or '.join(names)}: install it with CuPy's extra [ctk], "
        "or put the CUDA toolkit's libraries on the loader's path"
    )
