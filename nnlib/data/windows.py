"""Windows: what the 2vec models are trained on, as batches of codes.

Each function is an epoch.  Rows are visited in random order and a block of them is turned into
pairs with array operations; the pairs of a block are shuffled and handed out `batch_size` at a
time, the last batch may be smaller.  No more than about `PAIRS` pairs exist at once, however many
the data has: a user of 5,000 items alone emits 25 million of them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nnlib.array import Array
from nnlib.data.histories import Histories
from nnlib.data.interactions import Interactions

TOKENS = 2**16  # of the rows that are flattened at once, unless one row is longer
PAIRS = 2**18  # that exist at once, unless one token has more or a batch is larger


def skip_gram_pairs(
    sequences: Histories,
    window: int,
    rng: np.random.Generator,
    *,
    batch_size: int,
    dynamic: bool = True,
    directed: bool = False,
    keep: Array | None = None,
) -> Iterator[tuple[Array, Array]]:
    """(centre, context): each item with those at most b places away in its row.

    A pair comes twice, once from each side, unless `directed`: then the context is the later one.

    Shapes
        keep (N,) → centre (B,), context (B,)
    Arguments
        window: largest b, ≥ 1
        dynamic: b is drawn anew for every centre, uniform in 1 … window, so that near items count
            more; otherwise b = window
        keep: probability that an occurrence of an item stays, see `keep_probability`; what goes,
            goes before windows are formed, so that they reach further; None: all stay
    Raises
        ValueError: an argument is out of its range.
    Source
        Mikolov et al. 2013 and their word2vec.c; directed: Grbovic et al. 2015.
    """
    _check_whole("window", window)
    _check_whole("batch_size", batch_size)
    _check_keep(keep, sequences)

    def pairs() -> Iterator[tuple[Array, ...]]:
        for block in _blocks(sequences, rng, keep):
            here = np.arange(len(block.items))
            b = _reach(len(here), window, dynamic, rng)
            start = here if directed else np.maximum(here - b, block.start)
            around = Spans(start, here, here + 1, np.minimum(here + b + 1, block.stop))
            for centre, context in _expand(around):
                yield block.items[centre], block.items[context]

    return ((w, c) for w, c in _batches(pairs(), batch_size, rng))


def cbow_windows(
    sequences: Histories,
    window: int,
    rng: np.random.Generator,
    *,
    batch_size: int,
    dynamic: bool = True,
    keep: Array | None = None,
) -> Iterator[tuple[Array, Array]]:
    """(context, target): each item and those around it, without the items that are alone.

    Column c of `context` is at a fixed distance from the target, −w … −1, 1 … w, where w is
    `window` or the length of the longest row less one if that is smaller; −1 stands where the row
    has ended or b is smaller.

    Shapes
        context (B, 2w) · target (B,)
    Arguments, Raises
        As of `skip_gram_pairs`.
    """
    windows = document_windows(
        sequences, window, rng, batch_size=batch_size, dynamic=dynamic, keep=keep, alone=False
    )
    return ((context, target) for _, context, target in windows)


def document_windows(
    sequences: Histories,
    window: int,
    rng: np.random.Generator,
    *,
    batch_size: int,
    dynamic: bool = True,
    keep: Array | None = None,
    alone: bool = True,
) -> Iterator[tuple[Array, Array, Array]]:
    """(row, context, target): `cbow_windows` with the number of the row in `sequences`.

    Arguments
        alone: also the targets that have no context, whose row alone says something of them
    """
    _check_whole("window", window)
    _check_whole("batch_size", batch_size)
    _check_keep(keep, sequences)
    w = min(window, max(int(sequences.lengths.max(initial=0)) - 1, 1))
    distance = np.concatenate([np.arange(-w, 0), np.arange(1, w + 1)])
    per_block = max(1, PAIRS // (2 * w))

    def windows() -> Iterator[tuple[Array, ...]]:
        for block in _blocks(sequences, rng, keep):
            reach = _reach(len(block.items), window, dynamic, rng)
            for first in range(0, len(block.items), per_block):
                here = np.arange(first, min(first + per_block, len(block.items)))
                at, b = here[:, None] + distance, reach[here, None]
                inside = (at >= block.start[here, None]) & (at < block.stop[here, None])
                inside &= np.abs(distance) <= b
                context = np.where(inside, block.items.take(at, mode="clip"), -1)
                chosen = slice(None) if alone else inside.any(axis=1)
                yield block.row[here][chosen], context[chosen], block.items[here][chosen]

    return ((r, c, t) for r, c, t in _batches(windows(), batch_size, rng))


def set_pairs(
    sequences: Histories,
    rng: np.random.Generator,
    *,
    batch_size: int,
    keep: Array | None = None,
) -> Iterator[tuple[Array, Array, Array]]:
    """(centre, context, weight): all ordered pairs of a row, whose order says nothing.

    Of n items each is the centre of n − 1 pairs with weight 1/(n − 1), so that a row counts like
    its length and not like its square.  With `keep`, n is what is left of the row.

    Shapes
        centre (B,) · context (B,) · weight (B,) float64
    Raises
        ValueError: as of `skip_gram_pairs`.
    Source
        Barkan & Koenigstein 2016, whose factor is 1/n: a constant share less.
    """
    _check_whole("batch_size", batch_size)
    _check_keep(keep, sequences)

    def pairs() -> Iterator[tuple[Array, ...]]:
        for block in _blocks(sequences, rng, keep):
            here = np.arange(len(block.items))
            weight = 1 / np.maximum(block.stop - block.start - 1, 1)
            for centre, context in _expand(Spans(block.start, here, here + 1, block.stop)):
                yield block.items[centre], block.items[context], weight[centre]

    return ((w, c, weight) for w, c, weight in _batches(pairs(), batch_size, rng))


def basket_pairs(
    log: Interactions,
    reach: int,
    rng: np.random.Generator,
    *,
    batch_size: int,
    directed: bool = False,
) -> Iterator[tuple[Array, Array]]:
    """(item, other): each item with those of its user's baskets at most `reach` before or after.

    A basket is the events of one user at one time.  Items of the same basket are not paired.

    Arguments
        reach: ≥ 1, in baskets
        directed: the other one is of a later basket
    Raises
        ValueError: an argument is out of its range.
    Source
        Grbovic et al. 2015, bagged prod2vec.
    """
    _check_whole("reach", reach)
    _check_whole("batch_size", batch_size)

    def pairs() -> Iterator[tuple[Array, ...]]:
        for block in _blocks(log.histories(), rng, None):
            around = _neighbouring_baskets(block, log.time, reach, directed)
            for item, other in _expand(around):
                yield block.items[item], block.items[other]

    return ((i, j) for i, j in _batches(pairs(), batch_size, rng))


class Block(NamedTuple):
    """Some rows one after the other; every array is (T,), an entry for each item."""

    items: Array
    row: Array  # in the sequences
    at: Array  # in `sequences.items`
    start: Array  # of the item's row, in `items`
    stop: Array


class Spans(NamedTuple):
    """Contexts of every item of a block: start … before − 1 and after … stop − 1."""

    start: Array
    before: Array
    after: Array
    stop: Array


def _blocks(sequences: Histories, rng: np.random.Generator, keep: Array | None) -> Iterator[Block]:
    """All rows in random order, about `TOKENS` items at a time, without those not kept."""
    order = rng.permutation(len(sequences))
    ends = np.cumsum(sequences.lengths[order])
    first = done = 0
    while first < len(order):
        last = max(first + 1, int(np.searchsorted(ends, done + TOKENS, side="right")))
        row, at = sequences.take(order[first:last]).positions()
        items = sequences.items[at]
        if keep is not None:
            kept = rng.random(len(items)) < keep[items]
            row, at, items = row[kept], at[kept], items[kept]
        bounds = np.searchsorted(row, np.arange(last - first + 1))
        yield Block(items, order[first:last][row], at, bounds[row], bounds[row + 1])
        first, done = last, int(ends[last - 1])


def _neighbouring_baskets(block: Block, time: Array, reach: int, directed: bool) -> Spans:
    t = time[block.at]
    new = np.ones(len(t), bool)
    new[1:] = (t[1:] != t[:-1]) | (block.start[1:] != block.start[:-1])
    begin = np.append(np.flatnonzero(new), len(t))  # of every basket, and the end
    basket = np.cumsum(new) - 1
    first, last = basket[block.start], basket[block.stop - 1]  # of the same user
    before, after = begin[basket], begin[basket + 1]
    start = before if directed else begin[np.maximum(basket - reach, first)]
    return Spans(start, before, after, begin[np.minimum(basket + reach, last) + 1])


def _expand(spans: Spans) -> Iterator[tuple[Array, Array]]:
    """(centre, context) as positions in the block, about `PAIRS` at a time."""
    n_before = spans.before - spans.start
    n = n_before + spans.stop - spans.after
    gap = spans.after - spans.before
    ends = np.cumsum(n)
    first = done = 0
    while first < len(n):
        last = max(first + 1, int(np.searchsorted(ends, done + PAIRS, side="right")))
        some = n[first:last]
        centre = np.repeat(np.arange(first, last), some)
        k = np.arange(len(centre)) - np.repeat(ends[first:last] - some - done, some)
        context = spans.start[centre] + k
        context += np.where(k >= n_before[centre], gap[centre], 0)
        yield centre, context
        first, done = last, int(ends[last - 1])


def _batches(
    blocks: Iterator[tuple[Array, ...]], batch_size: int, rng: np.random.Generator
) -> Iterator[tuple[Array, ...]]:
    """Each block shuffled, and cut so that a batch may go on in the next block."""
    waiting: list[tuple[Array, ...]] = []  # less than a batch
    n_waiting = 0
    for block in blocks:
        order = rng.permutation(len(block[0]))
        waiting.append(tuple(column[order] for column in block))
        n_waiting += len(order)
        if n_waiting < batch_size:
            continue
        columns = [np.concatenate(parts) for parts in zip(*waiting, strict=True)]
        whole = n_waiting - n_waiting % batch_size
        for i in range(0, whole, batch_size):
            yield tuple(column[i : i + batch_size] for column in columns)
        waiting = [tuple(column[whole:].copy() for column in columns)]
        n_waiting -= whole
    if n_waiting:
        yield tuple(np.concatenate(parts) for parts in zip(*waiting, strict=True))


def _reach(n: int, window: int, dynamic: bool, rng: np.random.Generator) -> Array:
    return rng.integers(1, window + 1, n) if dynamic else np.full(n, window)


def _check_whole(name: str, value: int) -> None:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}={value}: it must be a whole number, at least 1")


def _check_keep(keep: Array | None, sequences: Histories) -> None:
    if keep is None:
        return
    n_items = int(sequences.items.max(initial=-1)) + 1
    if keep.ndim != 1 or len(keep) < n_items:
        raise ValueError(f"keep has shape {keep.shape}: it must have one entry for each item")
    if not ((keep >= 0) & (keep <= 1)).all():
        raise ValueError("keep must be probabilities, from 0 to 1")
