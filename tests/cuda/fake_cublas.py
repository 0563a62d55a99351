"""cuBLAS for the double: gemm on column-major memory, from the addresses it is given."""

import ctypes
from typing import Any

import numpy as np

SUCCESS, NOT_INITIALIZED, INVALID_VALUE = 0, 1, 7


class FakeCublas:
    """The entry points that nnlib.cuda.cublas calls, with the checks of the real ones.

    `run(work, address, n_bytes)` executes `work`, which writes n_bytes at the address, and may keep
    it to execute it again: so a recording sees the products as well.
    """

    def __init__(self, run: Any = lambda work, address, n_bytes: work()) -> None:
        self.run, self.open, self.calls = run, 0, []  # open: handles
        self.stream: int | None = None
        self.workspace: int | None = None

    def cublasCreate_v2(self, handle: Any) -> int:
        handle._obj.value = 1
        self.open += 1
        return SUCCESS

    def cublasDestroy_v2(self, handle: Any) -> int:
        self.open -= 1
        return SUCCESS

    def cublasSetStream_v2(self, handle: Any, stream: Any) -> int:
        self.stream, self.workspace = stream.value, None  # setting a stream drops the workspace
        return SUCCESS

    def cublasSetWorkspace_v2(self, handle: Any, address: Any, size: Any) -> int:
        self.workspace = size.value
        return SUCCESS

    def cublasSgemm_v2(self, *arguments: Any) -> int:
        return self._gemm(ctypes.c_float, *arguments)

    def cublasDgemm_v2(self, *arguments: Any) -> int:
        return self._gemm(ctypes.c_double, *arguments)

    def _gemm(
        self, real: Any, handle: Any, op_a: Any, op_b: Any, m: Any, n: Any, k: Any, alpha: Any,
        A: Any, lda: Any, B: Any, ldb: Any, beta: Any, C: Any, ldc: Any,
    ) -> int:  # fmt: skip
        """C = alpha op(A) op(B) + beta C;  op(A) (m, k), op(B) (k, n), C (m, n), by columns."""
        if not self.open or self.workspace is None:
            return NOT_INITIALIZED
        m, n, k = m.value, n.value, k.value
        assert isinstance(alpha._obj, real)
        assert isinstance(beta._obj, real)
        rows_a, columns_a = (k, m) if op_a.value else (m, k)
        rows_b, columns_b = (n, k) if op_b.value else (k, n)
        if lda.value < max(1, rows_a) or ldb.value < max(1, rows_b) or ldc.value < max(1, m):
            return INVALID_VALUE
        a = by_columns(A.value, real, rows_a, columns_a, lda.value)
        b = by_columns(B.value, real, rows_b, columns_b, ldb.value)
        c = by_columns(C.value, real, m, n, ldc.value)
        a, b = (x.T if op.value else x for x, op in ((a, op_a), (b, op_b)))

        def work() -> None:
            assert beta._obj.value == 0  # what was in C, even NaN, plays no part then
            with np.errstate(all="ignore"):
                c[...] = alpha._obj.value * (a @ b)

        self.calls.append((op_a.value, op_b.value, m, n, k))
        size = ((n - 1) * ldc.value + m) * ctypes.sizeof(real)
        self.run(work, C.value, size)
        return SUCCESS


def by_columns(address: int, real: Any, rows: int, columns: int, leading: int) -> np.ndarray:
    """The matrix at an address, without a byte beyond its last element."""
    n = (columns - 1) * leading + rows
    flat = np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(real)), (n,))
    size = flat.itemsize
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (size, leading * size))
