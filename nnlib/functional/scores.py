"""Scores of items: inner products of states with rows of a table."""

from nnlib.array import Array, fusable
from nnlib.functional.products import product


@fusable
def item_scores(h: Array, rows: Array, bias: Array, memory: Array | None = None) -> Array:
    """s = h rowsᵀ + bias.

    Shapes
        h (B, H) · rows (U, H) · bias (U,) · memory (≥ B U,) → s (B, U), in memory as its maker
        finds fastest
    Arguments
        memory: of the caller's, used again and again, where all items are scored; None: new
    """
    B, U = len(h), len(rows)
    s = product(h, rows.T, None if memory is None else memory[: B * U].reshape(B, U))
    s += bias
    return s
