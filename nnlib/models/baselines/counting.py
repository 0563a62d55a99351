"""What models that count share: sorted keys, sessions as sets, ties.

Counting goes through sorted integers: a pair (a, b) becomes the key a·N + b, a sort brings equal
keys together, the lengths of the runs are the counts.  Sorting plain integers is what NumPy does
fastest, many times faster than `np.unique`.
"""

from collections.abc import Iterator

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions

PAIRS = 1 << 22  # pairs written down before they are counted or summed
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


def co_occurrences(train: Interactions) -> Iterator[tuple[Array, Array, Array]]:
    """(item, other, sessions with both) of every pair with any, a block of items at a time.

    For each item of a block write down the items of all its sessions, sort, and count the runs:
    time grows with the pairs, not with N², and the size of a block bounds the memory.
    """
    N = train.n_items
    session, item, _ = count_pairs(train.user, train.item, N)  # a session is a set
    offsets = np.searchsorted(session, np.arange(train.n_users + 1))
    by_item = np.argsort(item, kind="stable")
    session_of = session[by_item]  # sessions of item 0, of item 1, …
    starts = np.searchsorted(item[by_item], np.arange(N + 1))

    size = np.diff(offsets)[session_of]
    cost = np.concatenate([[0], np.cumsum(size)])[starts]
    a = 0
    while a < N:
        b = max(a + 1, int(np.searchsorted(cost, cost[a] + PAIRS, side="right")) - 1)
        sessions = session_of[starts[a] : starts[b]]
        line, other = Histories(item, offsets[sessions], offsets[sessions + 1]).flat()
        owner = np.repeat(np.arange(b - a), np.diff(starts[a : b + 1]))[line]
        mine, other, count = count_pairs(a + owner, other, N)
        two = mine != other  # C_jj = 0
        yield mine[two], other[two], count[two]
        a = b
