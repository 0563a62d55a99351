"""What models that count share: sorted keys, sessions as sets, ties.

Counting goes through sorted integers: a pair (a, b) becomes the key a·N + b, a sort brings equal
keys together, the lengths of the runs are the counts.  Sorting plain integers is what NumPy does
fastest, many times faster than `np.unique`.
"""

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories

TIE = 1e-6  # smaller than any difference between two scores that should count


def tie_break(support: Array) -> Array:
    """t_i ∈ (0, 10⁻⁶), strictly increasing in popularity; of two equals the smaller code is first.

    Counting models give most items one score, usually 0.  Adding t_i ranks those by popularity and
    leaves no ties to the evaluation.  It takes float64: the steps are 10⁻⁶ / N.

    Shapes
        support (N,) → (N,) float64
    """
    n_items = len(support)
    order = np.lexsort((-np.arange(n_items), support))
    t = np.empty(n_items)
    t[order] = TIE * np.arange(1, n_items + 1) / (n_items + 1)
    return t


def runs(ordered: Array) -> tuple[Array, Array]:
    """(start, length) of every run of equal values in a sorted array of integers ≥ 0."""
    start = np.flatnonzero(np.diff(ordered, prepend=-1))
    return start, np.diff(start, append=len(ordered))


def count_pairs(a: Array, b: Array, n: int) -> tuple[Array, Array, Array]:
    """The distinct pairs (a, b) in order, and how often each comes; b < n."""
    key = np.sort(a * n + b)
    start, count = runs(key)
    return *np.divmod(key[start], n), count


def after_last_item(
    histories: Histories, offsets: Array, items: Array, values: Array, base: Array
) -> Array:
    """`base` for every history, plus the values that the history's last item gives to others.

    Item i gives values[offsets[i]:offsets[i+1]] to items[offsets[i]:offsets[i+1]], each once.

    Shapes
        offsets (N+1,) · items, values (n,) · base (N,) → (B, N) like base
    """
    s = np.tile(base, (len(histories), 1))
    begun = np.flatnonzero(histories.lengths)
    last = histories.items[histories.stop[begun] - 1]
    row, at = Histories(items, offsets[last], offsets[last + 1]).positions()
    s[begun[row], items[at]] += values[at]
    return s
