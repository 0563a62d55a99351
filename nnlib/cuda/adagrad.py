"""Adagrad on the GPU: one launch, each element read and written once."""

from nnlib.array import Array, without_kernel
from nnlib.cuda.kernel import Kernel, fits
from nnlib.functional import updates

ADAGRAD = Kernel("adagrad", "adagrad")
ADAGRAD_ROWS = Kernel("adagrad", "adagrad_rows")


def adagrad(
    theta: Array,
    g: Array,
    G: Array,
    v: Array | None = None,
    *,
    lr: float,
    momentum: float,
    eps: float,
) -> None:
    """`functional.updates.adagrad`."""
    if not fits(theta, g, G, v) or g.shape != theta.shape:
        without_kernel(updates.adagrad)(theta, g, G, v, lr=lr, momentum=momentum, eps=eps)
        return
    settings = float(lr), float(momentum), float(eps)
    ADAGRAD.per_element(theta.size, theta, g, G, v, *settings, theta.size)


def adagrad_rows(
    theta: Array,
    ids: Array,
    g: Array,
    G: Array,
    v: Array | None = None,
    *,
    lr: float,
    momentum: float,
    eps: float,
    looked_up: Array | None = None,
) -> None:
    """`functional.updates.adagrad_rows`; needs no rows looked up, for it changes them in place."""
    if not fits(theta, g, G, v, ids=ids):
        without_kernel(updates.adagrad_rows)(
            theta, ids, g, G, v, lr=lr, momentum=momentum, eps=eps, looked_up=looked_up
        )
        return
    if not g.size:
        return
    settings, n = (float(lr), float(momentum), float(eps)), len(ids)
    ADAGRAD_ROWS.per_element(g.size, theta, ids, g, G, v, *settings, n, g.size // n)
