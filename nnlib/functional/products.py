"""Matrix products under a name, so that a library can stand in for them on the GPU.

On the host `product(a, b)` is `a @ b`.  On the GPU it is CuPy's `a @ b` too, unless a stand-in of
the name "product" takes part: CuPy refuses its products while a stream is being captured
(nnlib/cuda/README.md).
"""

import numpy as np

from nnlib.array import FUSED, Array, array_module

FEW, MANY = 96, 512  # rows and columns of a where the detour pays, its copy included


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b, in `out` if it is given.

    Not `fusable`, whose look for a kernel would be for nothing on the host.

    Shapes
        a (m, k) or (k,) · b (k, n) or (k,) → as a @ b; with more axes, as `matmul`
    """
    if type(a) is not np.ndarray and (kernel := FUSED.get("product")) is not None:
        return kernel(a, b, out)
    return a @ b if out is None else array_module(a).matmul(a, b, out=out)


def times_transposed(a: Array, b: Array) -> Array:
    """a bᵀ; where a has few rows, by way of b aᵀ, which takes down to two thirds of the time.

    Shapes
        a (m, k) · b (n, k) → (m, n)
    """
    if type(a) is np.ndarray and len(a) <= FEW and a.shape[1] >= MANY:
        return np.ascontiguousarray((b @ a.T).T)
    return product(a, b.T)


def row_dots(a: Array, b: Array) -> Array:
    """Σ_j a_bj b_bj of each row, (B,); on the GPU a sum, for CuPy's einsum is a product."""
    if isinstance(a, np.ndarray):
        return np.einsum("bj,bj->b", a, b)
    return (a * b).sum(axis=1)
