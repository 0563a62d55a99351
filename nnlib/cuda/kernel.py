"""Kernel: a function of a .cu file, compiled by CuPy when it is first launched."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from nnlib.array import Array

F = TypeVar("F", bound=Callable[..., Any])

THREADS = 256  # of a block, where the kernel does not ask for another number
C_NAMES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
NULL = np.uint64(0)  # a pointer to nothing


class Kernel(NamedTuple):
    """The kernel `name` of `<file>.cu`, in which REAL is the type of the floating-point arrays.

    Arguments are passed by their bytes, so their types must be those of the kernel: arrays are
    contiguous, whole numbers `int`, other numbers REAL, None the null pointer.
    """

    file: str
    name: str

    def per_element(self, n: int, *arguments: Any) -> None:
        """Launch one thread for each of n elements, in blocks of `THREADS`."""
        self.per_block(-(-n // THREADS), *arguments)

    def per_block(self, blocks: int, *arguments: Any, threads: int = THREADS) -> None:
        """Launch `blocks` blocks of `threads` threads, on CuPy's current stream."""
        dtypes = [a.dtype for a in arguments if hasattr(a, "dtype") and a.dtype.kind == "f"]
        real = dtypes[0] if dtypes else np.dtype(np.float32)

        def passed(x: Any) -> Any:
            if x is None:
                return NULL
            if isinstance(x, int):
                return np.int32(x)
            return real.type(x) if isinstance(x, float) else x

        function = _module(self.file, C_NAMES[real]).get_function(self.name)
        function((max(blocks, 1),), (threads,), tuple(map(passed, arguments)))


def fits(*arrays: Array | None, ids: Array | None = None) -> bool:
    """Whether kernels can work on these: one floating-point type, contiguous, indices int64."""
    given = [a for a in arrays if a is not None]
    real = given[0].dtype
    return (
        real in C_NAMES
        and all(a.dtype == real and a.flags.c_contiguous and a.size < 2**31 for a in given)
        and (ids is None or (ids.dtype == np.int64 and ids.flags.c_contiguous))
    )


def source(file: str) -> str:
    """The text of `<file>.cu`."""
    return Path(__file__).with_name(f"{file}.cu").read_text(encoding="utf-8")


@cache
def _module(file: str, real: str) -> Any:
    return sys.modules["cupy"].RawModule(code=source(file), options=(f"-DREAL={real}",))
