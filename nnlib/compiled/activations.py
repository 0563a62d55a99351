"""The activation that GRU4Rec puts on its scores, in one pass each way."""

import numpy as np

from nnlib.array import Array, Backward, without_kernel
from nnlib.compiled.elementary import ONE, ZERO, expm1, vectorised
from nnlib.functional import activations


def elu(x: Array, alpha: float = 1.0) -> tuple[Array, Backward]:
    """`functional.activations.elu`."""
    if x.dtype != np.float32 or not (x.flags.c_contiguous or x.flags.f_contiguous):
        return without_kernel(activations.elu)(x, alpha)
    y, slope = np.empty_like(x), np.float32(alpha)
    _elu(x.ravel("K"), slope, y.ravel("K"))

    def backward(dy: Array) -> Array:
        dx = np.empty_like(y)
        dx[...] = dy  # in y's order, whatever dy's is
        _elu_backward(y.ravel("K"), slope, dx.ravel("K"))
        return dx

    return y, backward


@vectorised
def _elu(x, alpha, y):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        y[i] = x[i] if x[i] >= ZERO else alpha * expm1(x[i])


@vectorised
def _elu_backward(y, alpha, dx):  # type: ignore[no-untyped-def]
    for i in range(len(y)):
        dx[i] *= ONE if y[i] >= ZERO else y[i] + alpha
