"""Update rules on whole arrays and on some rows of tables, in pieces that fit the cache.

A rule  rule(theta, g, *slots)  is elementwise and changes theta and the slots in place, never g.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from nnlib.array import Array, array_module, fusable
from nnlib.functional.rows import take_rows

CHUNK = 32_768  # elements that are updated at a time: with state and temporaries they stay in cache


def update_whole(rule: Callable[..., None], theta: Array, g: Array, *slots: Array) -> None:
    """`rule` on all elements."""
    arrays = (theta, g, *slots)
    if theta.size <= CHUNK or not all(_in_host_order(a) for a in arrays):
        rule(*arrays)
        return
    arrays = tuple(a.reshape(-1) for a in arrays)
    for start in range(0, theta.size, CHUNK):
        rule(*[a[start : start + CHUNK] for a in arrays])


def update_rows(
    rule: Callable[..., None],
    theta: Array,
    ids: Array,
    g: Array,
    *slots: Array,
    looked_up: Array | None = None,
) -> None:
    """`rule` on the rows `ids` of theta and the slots: gathered, changed, put back.

    Shapes
        theta, slots (N, ...) · ids (n,) int, distinct · g (n, ...)
    Arguments
        looked_up: theta[ids], if the caller has it; it is used up
    """
    rows = take_rows(theta, ids) if looked_up is None else looked_up
    n = len(ids)
    if g.size > CHUNK and isinstance(g, np.ndarray):
        n = max(1, CHUNK * n // g.size)
    for start in range(0, len(ids), max(n, 1)):
        part = slice(start, start + n)
        some = ids[part]
        changed = [rows[part], *[take_rows(slot, some) for slot in slots]]
        rule(changed[0], g[part], *changed[1:])
        for table, new in zip((theta, *slots), changed, strict=True):
            table[some] = new


@fusable
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
    """Adagrad, on whole arrays; v is None without momentum.

    (1) G ← G + g²
    (2) u = −η g / (√G + ε)
    (3) θ ← θ + u                           v is None
    (4) v ← μ v + u,  θ ← θ + v             otherwise
    """
    rule = partial(_adagrad, lr, momentum, eps)
    update_whole(rule, theta, g, *((G,) if v is None else (G, v)))


def _adagrad(lr: float, momentum: float, eps: float, theta: Array, g: Array, *slots: Array) -> None:
    xp, G = array_module(g), slots[0]
    u = xp.square(g)  # one temporary, used again and again, which saves passes over memory
    G += u  # (1)
    xp.sqrt(G, out=u)  # (2)
    if eps:
        u += eps
    xp.divide(g, u, out=u)
    u *= lr  # −u of (2)
    if len(slots) == 1:
        theta -= u  # (3)
    else:
        v = slots[1]
        v *= momentum  # (4)
        v -= u
        theta += v


@fusable
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
    """`adagrad` on the rows `ids` of θ, G and v; shapes as in `update_rows`."""
    rule = partial(_adagrad, lr, momentum, eps)
    slots = (G,) if v is None else (G, v)
    update_rows(rule, theta, ids, g, *slots, looked_up=looked_up)


def _in_host_order(a: Array) -> bool:
    return isinstance(a, np.ndarray) and a.flags.c_contiguous
