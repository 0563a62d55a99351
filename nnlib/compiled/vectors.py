"""What the kernels that work on rows of tables have in common."""

from numba import njit

from nnlib.array import Array

LOOSE = {"reassoc", "contract"}  # a sum in any order, multiply and add as one


def alike(*arrays: Array) -> bool:
    """Whether a kernel can take them: one type, in the order of memory."""
    dtype = arrays[0].dtype
    for a in arrays:  # noqa: SIM110, all(…) takes a microsecond more, five times a step
        if a.dtype != dtype or not a.flags.c_contiguous:
            return False
    return True


@njit(cache=True, nogil=True, fastmath=LOOSE)
def dot(x, y):  # type: ignore[no-untyped-def]
    """x · y."""
    total = x.dtype.type(0)
    for d in range(len(x)):
        total += x[d] * y[d]
    return total


@njit(cache=True, nogil=True, fastmath=LOOSE)
def add(y, g, x):  # type: ignore[no-untyped-def]
    """y += g x."""
    for d in range(len(x)):
        y[d] += g * x[d]
