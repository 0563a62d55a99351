"""Adagrad's update as one loop: each element of θ, G and v is read and written once.

The rows of a table are somewhere in a large memory, and waiting for them takes as long as the
arithmetic: they are asked for some rows ahead.
"""

import numpy as np
from numba import njit

from nnlib.array import Array, without_kernel
from nnlib.compiled.prefetch import AHEAD, LINE, NARROW, prefetch_row, prefetch_start
from nnlib.compiled.vectors import alike
from nnlib.functional import updates


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
    arrays = (theta, g, G) if v is None else (theta, g, G, v)
    if not alike(*arrays):
        without_kernel(updates.adagrad)(theta, g, G, v, lr=lr, momentum=momentum, eps=eps)
        return
    if v is None:
        _whole(theta, g, G, lr, eps)
    else:
        _whole_with_momentum(theta, g, G, v, lr, momentum, eps)


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
    arrays = (theta, g, G) if v is None else (theta, g, G, v)
    if not alike(*arrays):
        without_kernel(updates.adagrad_rows)(
            theta, ids, g, G, v, lr=lr, momentum=momentum, eps=eps, looked_up=looked_up
        )
        return
    if theta.ndim == 1:
        if v is None:
            _numbers(theta, ids, g, G, lr, eps)
        else:
            _numbers_with_momentum(theta, ids, g, G, v, lr, momentum, eps)
        return
    theta, g, G, *rest = [a if a.ndim == 2 else a.reshape(len(a), -1) for a in arrays]
    if v is None:
        _rows(theta, ids, g, G, lr, eps)
    else:
        _rows_with_momentum(theta, ids, g, G, rest[0], lr, momentum, eps)


# Numbers come as Python's and are made to fit here, where it costs nothing; in Python it takes a
# microsecond, and a small training step has five of these calls.


@njit(cache=True, nogil=True, error_model="numpy")
def _whole(theta, g, G, lr, eps):  # type: ignore[no-untyped-def]
    number = theta.dtype.type
    _step(theta.reshape(-1), g.reshape(-1), G.reshape(-1), number(lr), number(eps))


@njit(cache=True, nogil=True, error_model="numpy")
def _whole_with_momentum(theta, g, G, v, lr, momentum, eps):  # type: ignore[no-untyped-def]
    number = theta.dtype.type
    flat = theta.reshape(-1), g.reshape(-1), G.reshape(-1), v.reshape(-1)
    _step_with_momentum(*flat, number(lr), number(momentum), number(eps))


# Which rows are asked for is written out in both loops: a function for it made them slower.


@njit(cache=True, nogil=True, error_model="numpy")
def _rows(theta, ids, g, G, lr, eps):  # type: ignore[no-untyped-def]
    lr, eps = theta.dtype.type(lr), theta.dtype.type(eps)
    n, width, flat_theta, flat_G = len(ids), theta.shape[1], theta.reshape(-1), G.reshape(-1)
    for i in range(n):
        if LINE <= width <= NARROW and i + AHEAD < n:
            prefetch_row(flat_theta, ids[i + AHEAD], width)
            prefetch_row(flat_G, ids[i + AHEAD], width)
        if width > NARROW and i + 1 < n:
            prefetch_start(flat_theta, ids[i + 1], width)
            prefetch_start(flat_G, ids[i + 1], width)
        _step(theta[ids[i]], g[i], G[ids[i]], lr, eps)


@njit(cache=True, nogil=True, error_model="numpy")
def _rows_with_momentum(theta, ids, g, G, v, lr, momentum, eps):  # type: ignore[no-untyped-def]
    number = theta.dtype.type
    numbers = number(lr), number(momentum), number(eps)
    n, width, flat_theta = len(ids), theta.shape[1], theta.reshape(-1)
    flat_G, flat_v = G.reshape(-1), v.reshape(-1)
    for i in range(n):
        if LINE <= width <= NARROW and i + AHEAD < n:
            prefetch_row(flat_theta, ids[i + AHEAD], width)
            prefetch_row(flat_G, ids[i + AHEAD], width)
            prefetch_row(flat_v, ids[i + AHEAD], width)
        if width > NARROW and i + 1 < n:
            prefetch_start(flat_theta, ids[i + 1], width)
            prefetch_start(flat_G, ids[i + 1], width)
            prefetch_start(flat_v, ids[i + 1], width)
        row = ids[i]
        _step_with_momentum(theta[row], g[i], G[row], v[row], *numbers)


@njit(cache=True, nogil=True, error_model="numpy")
def _numbers(theta, ids, g, G, lr, eps):  # type: ignore[no-untyped-def]
    lr, eps = theta.dtype.type(lr), theta.dtype.type(eps)
    for i in range(len(ids)):
        _update(theta, ids[i], g[i], G, lr, eps)


@njit(cache=True, nogil=True, error_model="numpy")
def _numbers_with_momentum(theta, ids, g, G, v, lr, momentum, eps):  # type: ignore[no-untyped-def]
    number = theta.dtype.type
    numbers = number(lr), number(momentum), number(eps)
    for i in range(len(ids)):
        _update_with_momentum(theta, ids[i], g[i], G, v, *numbers)


@njit(cache=True, nogil=True, error_model="numpy")
def _step(theta, g, G, lr, eps):  # type: ignore[no-untyped-def]
    for i in range(len(theta)):
        _update(theta, i, g[i], G, lr, eps)


@njit(cache=True, nogil=True, error_model="numpy")
def _step_with_momentum(theta, g, G, v, lr, momentum, eps):  # type: ignore[no-untyped-def]
    for i in range(len(theta)):
        _update_with_momentum(theta, i, g[i], G, v, lr, momentum, eps)


@njit(cache=True, nogil=True, error_model="numpy")
def _update(theta, i, g, G, lr, eps):  # type: ignore[no-untyped-def]
    G[i] += g * g  # (1)
    theta[i] -= g / (np.sqrt(G[i]) + eps) * lr  # (2) (3)


@njit(cache=True, nogil=True, error_model="numpy")
def _update_with_momentum(theta, i, g, G, v, lr, momentum, eps):  # type: ignore[no-untyped-def]
    G[i] += g * g  # (1)
    v[i] = momentum * v[i] - g / (np.sqrt(G[i]) + eps) * lr  # (2) (4)
    theta[i] += v[i]
