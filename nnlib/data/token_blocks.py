"""Token blocks: sequences as one stream of tokens, cut into pieces of equal size.

The fast forms of word2vec take a few thousand tokens at a time and turn them into matrix products.
Where a row of the data begins or ends is no border of a block: each token says how far its window
reaches to both sides, so rows of any length share a block and no pair is lost.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from nnlib.array import Array
from nnlib.data.histories import Histories

TOKENS = 2**16  # that are prepared at once, unless a row is longer


class TokenBlock(NamedTuple):
    """B tokens with w more on both sides, which are context only.

    Token b, which is `items[w + b]`, has the context of the `left[b]` tokens before it and the
    `right[b]` after it; a token that only fills up the last block has none.

    Shapes
        items (w + B + w,) int · left, right (B,) int, 0 … w
    """

    items: Array
    left: Array
    right: Array

    @property
    def centres(self) -> Array:
        """The items of the B tokens themselves."""
        w = (len(self.items) - len(self.left)) // 2
        return self.items[w : len(self.items) - w]

    @property
    def n_contexts(self) -> Array:
        """Number of context tokens of each token, (B,)."""
        return self.left.astype(np.intp) + self.right


def token_blocks(
    sequences: Iterable[Histories],
    window: int,
    rng: np.random.Generator,
    *,
    size: int,
    dynamic: bool = True,
    keep: Array | None = None,
) -> Iterator[TokenBlock]:
    """All rows in the order given, as blocks of `size` tokens; rows of one token are left out.

    Arguments
        window: w ≥ 1
        size: B ≥ 1
        dynamic: how far a window reaches is drawn for every token, uniform in 1 … w; otherwise w
        keep: (N,) probability that an occurrence of an item stays; what goes, goes before windows
            are formed, so that they reach further; None: all stay
    Source
        Mikolov et al. 2013 and their word2vec.c, which read a text in the same order.
    """
    narrow = np.min_scalar_type(-window - 1)  # room for −w … w
    items = np.zeros(window, np.intp)  # w tokens that were in a block, then those that were not
    left, right = np.zeros(window, narrow), np.zeros(window, narrow)
    for some, before, after in _rows(sequences, rng, keep):
        reach = rng.integers(1, window + 1, len(some), narrow) if dynamic else window
        items = np.concatenate([items, some])
        left = np.concatenate([left, np.minimum(before, reach).astype(narrow)])
        right = np.concatenate([right, np.minimum(after, reach).astype(narrow)])
        first = window
        while first + size + window <= len(items):
            yield _cut(items, left, right, window, first, size)
            first += size
        items, left, right = (x[first - window :] for x in (items, left, right))
    n_left = len(items) - window
    n_blocks = -(-n_left // size)
    filled = (0, n_blocks * size - n_left + window)
    items, left, right = (np.pad(x, filled) for x in (items, left, right))
    for b in range(n_blocks):
        yield _cut(items, left, right, window, window + b * size, size)


def _cut(items: Array, left: Array, right: Array, window: int, first: int, size: int) -> TokenBlock:
    last = first + size
    return TokenBlock(items[first - window : last + window], left[first:last], right[first:last])


def _rows(
    sequences: Iterable[Histories], rng: np.random.Generator, keep: Array | None
) -> Iterator[tuple[Array, Array, Array]]:
    """(items, tokens before and after in the same row), about `TOKENS` at a time."""
    for histories in sequences:
        ends = np.cumsum(histories.lengths)
        first = done = 0
        while first < len(histories):
            last = max(first + 1, int(np.searchsorted(ends, done + TOKENS, side="right")))
            part = histories.take(slice(first, last))
            first, done = last, int(ends[last - 1])
            length = part.lengths
            if keep is None:
                if length.min() < 2:
                    part = part.take(length > 1)
                    length = part.lengths
                _, items = part.flat()
            else:
                row, items = part.flat()
                kept = rng.random(len(items)) < keep[items]
                row, items = row[kept], items[kept]
                length = np.bincount(row, minlength=len(part))
                items = items[length[row] > 1]
                length = length[length > 1]
            before = np.arange(len(items)) - np.repeat(np.cumsum(length) - length, length)
            yield items, before, np.repeat(length - 1, length) - before
