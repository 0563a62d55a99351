"""How many scores are above the target's: what ranks are made of."""

import numpy as np

from nnlib.array import Array, array_module, fusable
from nnlib.functional.scores import item_scores

GPU_TILE = 1 << 24  # comparisons at a time on the GPU, one byte each


@fusable
def item_rank_counts(
    h: Array, rows: Array, bias: Array, target: Array, memory: Array | None = None
) -> tuple[Array, Array, Array]:
    """`rank_counts` of `item_scores(h, rows, bias)` and the scores of the targets among them.

    Shapes
        h (P, H) · rows (N, H) · bias (N,) · target (P,) int · memory (≥ P N,)
    """
    scores = item_scores(h, rows, bias, memory)
    return rank_counts(scores, scores[array_module(h).arange(len(h)), target])


def rank_counts(scores: Array, at_target: Array) -> tuple[Array, Array, Array]:
    """How many scores of a row are above the target's, how many not below, and Σ_j s_pj².

    Shapes
        scores (P, N) · at_target (P,) → int64 (P,), int64 (P,), (P,) like scores
    """
    count = _count_by_row if isinstance(scores, np.ndarray) else _count_by_tile
    return count(scores, at_target)


def _count_by_row(scores: Array, at_target: Array) -> tuple[Array, Array, Array]:
    """One row at a time stays in the cache, which comparing whole blocks does not."""
    n_rows, n_items = scores.shape
    holds, squares = np.empty(n_items, bool), np.empty(n_rows, scores.dtype)
    above, at_least = np.empty((2, n_rows), np.int64)
    for p, (row, s) in enumerate(zip(scores, at_target, strict=True)):
        squares[p] = row.dot(row)
        above[p] = np.count_nonzero(np.greater(row, s, out=holds))
        at_least[p] = np.count_nonzero(np.greater_equal(row, s, out=holds))
    return above, at_least, squares


def _count_by_tile(scores: Array, at_target: Array) -> tuple[Array, Array, Array]:
    """As many rows at a time as fit a tile: few launches, bounded memory."""
    xp = array_module(scores)
    step = max(1, GPU_TILE // scores.shape[1])
    squares = xp.empty(len(scores), scores.dtype)
    above, at_least = xp.empty((2, len(scores)), np.int64)
    for i in range(0, len(scores), step):
        part = slice(i, i + step)
        block, s = scores[part], at_target[part, None]
        squares[part] = (block * block).sum(axis=1)
        above[part] = (block > s).sum(axis=1)
        at_least[part] = (block >= s).sum(axis=1)
    return above, at_least, squares
