"""Scores of the items of a step on the GPU: the product may come from elsewhere than CuPy."""

from nnlib.array import Array
from nnlib.functional.products import product


def item_scores(h: Array, rows: Array, bias: Array) -> Array:
    """`functional.scores.item_scores`."""
    s = product(h, rows.T)
    s += bias
    return s
