"""Scores of the items of a step."""

from nnlib.array import Array, fusable
from nnlib.functional.products import product


@fusable
def item_scores(h: Array, rows: Array, bias: Array) -> Array:
    """s = h rowsᵀ + bias, the inner product of every state with every item.

    Shapes
        h (B, H) · rows (U, H) · bias (U,) → s (B, U), in memory as its maker finds fastest
    """
    s = product(h, rows.T)
    s += bias
    return s
