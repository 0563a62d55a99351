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
from nnlib.functional.ranks import item_rank_counts, rank_counts
from nnlib.functional.scores import item_scores

Ties: TypeAlias = Literal["standard", "conservative", "median"]


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
    standard, conservative = rank_bounds(scores, target)
    if ties == "median":
        return (standard + conservative) / 2
    return standard if ties == "standard" else conservative


def rank_bounds(scores: Array, target: Array) -> tuple[Array, Array]:
    """(standard, conservative) ranks: the best and the worst place that ties leave to the target.

    A NaN compares False with everything, so a diverged model would rank every target first.  Hence
    the sum of squares of each row: finite only if every score is, and cheaper than `isfinite`; a
    sum that has merely overflowed is looked at again.
    """
    xp = array_module(scores)
    with np.errstate(over="ignore", invalid="ignore"):
        above, at_least, squares = rank_counts(scores, scores[xp.arange(len(scores)), target])
    if not bool(xp.isfinite(squares).all()):
        _check_finite(scores)
    return above + 1, at_least  # the target itself is the + 1 of the latter


def item_rank_bounds(
    h: Array, rows: Array, bias: Array, target: Array, memory: Array | None = None
) -> tuple[Array, Array]:
    """`rank_bounds` of the scores h rowsᵀ + bias, which need not be there all at a time.

    Shapes
        h (P, H) · rows (N, H) · bias (N,) · target (P,) int · memory (≥ P N,)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        above, at_least, squares = item_rank_counts(h, rows, bias, target, memory)
    if not bool(array_module(h).isfinite(squares).all()):
        return rank_bounds(item_scores(h, rows, bias, memory), target)  # which says where
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


def _check_finite(scores: Array) -> None:
    finite = array_module(scores).isfinite(scores)
    if not bool(finite.all()):
        row = int(finite.all(axis=1).argmin())
        item = int(finite[row].argmin())
        raise ValueError(
            f"the score of item {item} in row {row} is {float(scores[row, item])}: scores must be "
            "finite to be ranked, so look for a division by zero or a learning rate too high"
        )
