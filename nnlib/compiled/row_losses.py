"""Scores, losses and ranks in item-major order: item by item, the B scores of each side by side.

The product rows hᵀ is up to 1.4 times as fast as h rowsᵀ, and then a loop over items has B equal
things to do at a time, sums over items among them.  To the caller they are (B, U) arrays as any
other; one in another order, or of another type than float32, goes to the reference.
"""

import numpy as np

from nnlib.array import Array, without_kernel
from nnlib.compiled.elementary import ONE, TWO, ZERO, exp, vectorised
from nnlib.functional import ranking, ranks, softmax
from nnlib.functional.softmax import LARGEST_SUM, SMALLEST_SUM, RowLosses

WARM = 2048  # items whose scores for a hundred sessions or two stay in a cache of 2 MB
TILE = 64  # items whose terms are added up before the sum is added to the others: less rounding


def item_scores(h: Array, rows: Array, bias: Array, memory: Array | None = None) -> Array:
    """`functional.scores.item_scores`, so many items at a time that the bias meets a warm cache."""
    B, U = len(h), len(rows)
    s = (np.empty(U * B, h.dtype) if memory is None else memory[: U * B]).reshape(U, B)
    for i in range(0, U, WARM):
        part = s[i : i + WARM]
        np.matmul(rows[i : i + WARM], h.T, out=part)
        _add_to_items(part, bias[i : i + WARM])
    return s.T


@vectorised
def _add_to_items(s, bias):  # type: ignore[no-untyped-def]
    U, B = s.shape
    for j in range(U):
        for b in range(B):
            s[j, b] += bias[j]


def item_rank_counts(
    h: Array, rows: Array, bias: Array, target: Array, memory: Array | None = None
) -> tuple[Array, Array, Array]:
    """`functional.ranks.item_rank_counts`, of which scores of some items at a time are kept.

    The scores of the targets come from a product of their own.  It may round differently than that
    for all items, as two items' places in one product may, so that the target is not compared with
    itself.
    """
    if h.dtype != np.float32 or rows.dtype != h.dtype:
        return without_kernel(ranks.item_rank_counts)(h, rows, bias, target, memory)
    P, n_tiles = len(h), -(-len(rows) // WARM)
    size = -(-len(rows) // n_tiles)  # tiles alike, for a product of a few rows rounds differently
    at_target = np.matmul(rows[target], h.T).diagonal() + bias[target]
    (above, at_least), squares = np.zeros((2, P), np.int32), np.zeros(P, h.dtype)
    s = np.empty((size, P), h.dtype)
    for i in range(0, len(rows), size):
        part, place = s[: len(rows) - i], target - i
        np.matmul(rows[i : i + size], h.T, out=part)
        _rank_counts(part, bias[i : i + size], place, at_target, above, at_least, squares)
    return above.astype(np.int64), at_least.astype(np.int64), squares


@vectorised
def _rank_counts(s, bias, place, at_target, above, at_least, squares):  # type: ignore[no-untyped-def]
    U, P = s.shape
    for j in range(U):
        for p in range(P):
            x = s[j, p] + bias[j]
            above[p] += x > at_target[p]
            at_least[p] += x >= at_target[p]
            squares[p] += x * x
    for p in range(P):
        if 0 <= place[p] < U:
            x = s[place[p], p] + bias[place[p]]
            above[p] -= x > at_target[p]
            at_least[p] += x < at_target[p]


def cross_entropy(s: Array, target: Array, weight: Array | None = None) -> RowLosses:
    """`functional.softmax.cross_entropy`."""
    if _item_major(s, weight):
        losses, scale = np.empty((2, len(s)), s.dtype)
        G = np.empty_like(s)
        weight = np.ones(s.shape[1], s.dtype) if weight is None else weight
        if _cross_entropy(s.T, target, weight, losses, G.T, scale):
            return RowLosses(losses, G, scale)
    return without_kernel(softmax.cross_entropy)(s, target, weight)


def bpr_max(s: Array, target: Array, count: Array, regularization: float) -> RowLosses:
    """`functional.ranking.bpr_max`."""
    if _item_major(s, count):
        losses, scale = np.empty((2, len(s)), s.dtype)
        G, lam = np.empty_like(s), s.dtype.type(regularization)
        if _bpr_max(s.T, target.astype(np.int32), count, lam, losses, G.T, scale):
            return RowLosses(losses, G, scale)
    return without_kernel(ranking.bpr_max)(s, target, count, regularization)


def _item_major(s: Array, weight: Array | None) -> bool:
    fits = s.dtype == np.float32 and s.flags.f_contiguous
    return fits and (weight is None or weight.dtype == s.dtype)


@vectorised
def _safe(x):  # type: ignore[no-untyped-def]
    return SMALLEST_SUM < x < LARGEST_SUM


@vectorised
def _cross_entropy(s, target, weight, losses, G, scale):  # type: ignore[no-untyped-def]
    """The reference's equations, if they are exact without a shift: that is returned."""
    U, B = s.shape
    z = np.zeros(B, s.dtype)
    for start in range(0, U, TILE):
        part = np.zeros(B, s.dtype)
        for j in range(start, min(start + TILE, U)):
            for b in range(B):
                G[j, b] = weight[j] * exp(s[j, b])  # (1)
                part[b] += G[j, b]
        z += part
    for b in range(B):
        if not _safe(z[b]):
            return False
        losses[b] = np.log(z[b]) - s[target[b], b]  # (2)
        G[target[b], b] -= z[b]  # (3)
        scale[b] = ONE / z[b]
    return True


@vectorised
def _bpr_max(s, target, count, lam, losses, G, scale):  # type: ignore[no-untyped-def]
    """The equations of `bpr_max_block`, if they are exact: that is returned."""
    U, B = s.shape
    e_t, sums = np.empty(B, s.dtype), np.zeros((4, B), s.dtype)
    for b in range(B):
        e_t[b] = exp(s[target[b], b])
    for start in range(0, U, TILE):
        part = np.zeros((4, B), s.dtype)
        for j in range(start, min(start + TILE, U)):
            for b in range(B):
                e, y = exp(s[j, b]), s[j, b]
                d = ONE / (e + e_t[b])
                G[j, b] = e
                e *= count[j] - (ONE if target[b] == j else ZERO)
                part[0, b] += e
                part[1, b] += e * d
                part[2, b] += e * d * d
                part[3, b] += e * y * y
        sums += part
    Z, V, D, R = sums[0], sums[1], sums[2], sums[3]  # Z and V of (1), Σ w e d², Σ w e s²
    for b in range(B):
        if not (_safe(Z[b]) and _safe(e_t[b]) and _safe(Z[b] / e_t[b])):
            return False
        R[b] /= Z[b]  # ρ of (1)
        losses[b] = lam * R[b] - np.log(e_t[b] * V[b] / Z[b])  # (2)
        V[b] = e_t[b] / V[b]
        scale[b] = ONE / Z[b]
    per_d2, constant = Z * V, ONE - lam * R
    for j in range(U):
        for b in range(B):
            e, y = G[j, b], s[j, b]
            d = ONE / (e + e_t[b])
            e *= count[j] - (ONE if target[b] == j else ZERO)
            G[j, b] = e * (constant[b] - per_d2[b] * d * d + lam * y * (y + TWO))  # (3)
    for b in range(B):
        G[target[b], b] -= Z[b] * (ONE - V[b] * D[b])  # (4)
    return True
