"""Scores of items: inner products of states with rows of a table."""

from nnlib.array import Array, array_module, fusable
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


@fusable
def all_scores(h: Array, table: Array, bias: Array, memory: Array) -> Array:
    """s = h tableᵀ + bias: all items, in memory of the caller's that is used again and again.

    Shapes
        h (P, H) · table (N, H) · bias (N,) · memory (≥ P N,) → s (P, N), as `item_scores`
    """
    P, N = len(h), len(table)
    s = array_module(h).matmul(h, table.T, out=memory[: P * N].reshape(P, N))
    s += bias
    return s
