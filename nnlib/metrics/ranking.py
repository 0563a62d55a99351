"""Ranks of the one relevant item among all items, and the metrics that are means over them.

Equal scores are where evaluations silently differ.  With gt items scored above the target and eq
others scored exactly like it, the rank is

    standard       gt + 1             the target wins every tie: a constant scorer is perfect
    conservative   gt + eq + 1        the target loses every tie: a constant scorer is last
    median         gt + eq/2 + 1      the mean of the two
"""

from typing import Literal, TypeAlias, get_args

import numpy as np

from nnlib.array import Array, array_module

Ties: TypeAlias = Literal["standard", "conservative", "median"]

GPU_TILE = 1 << 24  # comparisons at a time on the GPU, one byte each


def ranks(scores: Array, target: Array, ties: Ties = "conservative") -> Array:
    """Rank of each row's target, 1 = best.

        (1) gt_p = |{j : s_pj > s_p,target}|      eq_p = |{j ≠ target : s_pj = s_p,target}|
        (2) rank_p = gt_p + 1, gt_p + eq_p + 1 or gt_p + eq_p/2 + 1, as `ties` says
    Shapes
        scores (P, N) · target (P,) int → (P,) int64, float64 for "median"
    Raises
        ValueError: `ties` is none of the three, or a score is NaN or infinite.
    """
    check_ties(ties)
    if ties == "median":
        standard, conservative = rank_bounds(scores, target)
        return (standard + conservative) / 2
    if ties == "standard":
        return _counts(scores, target, "greater")[0] + 1
    return _counts(scores, target, "greater_equal")[0]  # the target itself is the + 1


def rank_bounds(scores: Array, target: Array) -> tuple[Array, Array]:
    """(standard, conservative) ranks: the best and the worst place that ties leave to the target.

    Reads the scores once, so it costs a quarter more than one of the two.
    """
    above, at_least = _counts(scores, target, "greater", "greater_equal")
    return above + 1, at_least


def recall_at(rank: Array, k: int) -> float:
    """recall@k = mean of [rank ≤ k]; with one relevant item it is also the hit rate."""
    return float(hits(rank, k).mean())


def mrr_at(rank: Array, k: int) -> float:
    """MRR@k = mean of [rank ≤ k] / rank."""
    return float(reciprocals(rank, k).mean())


def hits(rank: Array, k: int) -> Array:
    """[rank ≤ k] of every point, (P,) float64."""
    return (rank <= k).astype(np.float64)


def reciprocals(rank: Array, k: int) -> Array:
    """[rank ≤ k] / rank of every point, (P,) float64."""
    return hits(rank, k) / rank


def check_ties(ties: str) -> None:
    """Raise a `ValueError` unless `ties` names a way to rank equal scores."""
    if ties not in get_args(Ties):
        raise ValueError(f"ties={ties!r}: it must be one of {', '.join(map(repr, get_args(Ties)))}")


def _counts(scores: Array, target: Array, *comparisons: str) -> list[Array]:
    """For each comparison, how many scores of a row stand in it to the target's: (P,) int64.

    A NaN compares False with everything, so a diverged model would rank every target first.  Hence
    the sum of squares of each row: finite only if every score is, and cheaper than `isfinite`; a
    sum that has merely overflowed is looked at again.
    """
    xp = array_module(scores)
    at_target = scores[xp.arange(len(scores)), target]
    count = _count_by_row if xp is np else _count_by_tile
    with np.errstate(over="ignore", invalid="ignore"):
        squares, *counts = count(scores, at_target, comparisons)
    if not bool(xp.isfinite(squares).all()):
        _check_finite(scores)
    return counts


def _count_by_row(scores: Array, at_target: Array, comparisons: tuple[str, ...]) -> list[Array]:
    """One row at a time stays in the cache, which comparing whole blocks does not."""
    n_rows, n_items = scores.shape
    holds = np.empty(n_items, bool)
    squares = np.empty(n_rows, scores.dtype)
    counts = [np.empty(n_rows, np.int64) for _ in comparisons]
    compares = [getattr(np, name) for name in comparisons]
    for p, (row, s) in enumerate(zip(scores, at_target, strict=True)):
        squares[p] = row.dot(row)
        for compare, count in zip(compares, counts, strict=True):
            count[p] = np.count_nonzero(compare(row, s, out=holds))
    return [squares, *counts]


def _count_by_tile(scores: Array, at_target: Array, comparisons: tuple[str, ...]) -> list[Array]:
    """As many rows at a time as fit a tile: few launches, bounded memory."""
    xp = array_module(scores)
    step = max(1, GPU_TILE // scores.shape[1])
    compares = [getattr(xp, name) for name in comparisons]
    squares = xp.empty(len(scores), scores.dtype)
    counts = [xp.empty(len(scores), np.int64) for _ in comparisons]
    for i in range(0, len(scores), step):
        part = slice(i, i + step)
        squares[part] = (scores[part] * scores[part]).sum(axis=1)
        for compare, count in zip(compares, counts, strict=True):
            count[part] = compare(scores[part], at_target[part, None]).sum(axis=1)
    return [squares, *counts]


def _check_finite(scores: Array) -> None:
    finite = array_module(scores).isfinite(scores)
    if not bool(finite.all()):
        row = int(finite.all(axis=1).argmin())
        item = int(finite[row].argmin())
        raise ValueError(
            f"the score of item {item} in row {row} is {float(scores[row, item])}: scores must be "
            "finite to be ranked, so look for a division by zero or a learning rate too high"
        )
