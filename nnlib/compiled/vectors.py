"""What the kernels that work on rows of tables have in common."""

from numba import njit

from nnlib.array import Array

LOOSE = {"reassoc", "contract"}  # a sum in any order, multiply and add as one


def alike(*arrays: Array) -> bool:
    """Whether a kernel can take them: one type, in the order of memory."""
    return all(a.dtype == arrays[0].dtype and a.flags.c_contiguous for a in arrays)


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
