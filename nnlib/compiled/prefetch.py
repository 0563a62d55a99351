"""Asking for rows of a table before they are needed, so that memory works while we do."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

LINE = 16  # float32 in a cache line of 64 bytes
NARROW = 128  # columns
AHEAD = 4  # narrow rows between asking and needing


@njit(cache=True, nogil=True)
def prefetch_row(flat, row, width):  # type: ignore[no-untyped-def]
    """Bring a narrow row of a table, flattened, into the cache.

    For reading, even if it will be written: asking for a line to write to it waits for others.
    """
    start = np.intp(row) * width
    for j in range(0, width, LINE):
        _prefetch(flat, start + j)
    _prefetch(flat, start + width - 1)  # rows do not begin where lines do


@njit(cache=True, nogil=True)
def prefetch_start(flat, row, width):  # type: ignore[no-untyped-def]
    """Bring the first two lines of a wide row into the cache.

    From there the processor goes on by itself, and more requests would be in its way.
    """
    start = np.intp(row) * width
    _prefetch(flat, start)
    _prefetch(flat, start + LINE)


def _instruction(_: Any, array: Any, index: Any) -> Any:
    """The processor's prefetch of a cache line, which Numba has no name for."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(instruction, [address, i32(0), i32(3), i32(1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, index), code


_prefetch: Any = intrinsic(_instruction)
