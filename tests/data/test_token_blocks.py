"""Token blocks: every pair of every row, once, whatever the block and row lengths."""

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from nnlib.data import Histories
from nnlib.data import token_blocks as module
from nnlib.data.token_blocks import token_blocks


def histories(lengths, rng):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(int)
    return Histories.from_offsets(np.arange(offsets[-1]), offsets)  # every token is its own item


def pairs_of(blocks, window):
    found = Counter()
    for block in blocks:
        for b in range(len(block.left)):
            here = window + b
            for at in range(here - block.left[b], here + block.right[b] + 1):
                if at != here:
                    found[int(block.items[here]), int(block.items[at])] += 1
    return found


def pairs_within(rows, reach):
    return Counter(
        (int(row[i]), int(row[j]))
        for row in rows
        for i in range(len(row))
        for j in range(len(row))
        if 0 < abs(i - j) <= reach
    )


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), max_size=12),
    window=st.integers(1, 6),
    size=st.integers(1, 20),
    parts=st.integers(1, 3),
)
def test_every_pair_once(lengths, window, size, parts):
    rng = np.random.default_rng(0)
    whole = histories(lengths, rng)
    cuts = np.array_split(np.arange(len(whole)), parts)
    blocks = list(
        token_blocks([whole.take(c) for c in cuts], window, rng, size=size, dynamic=False)
    )
    expected = pairs_within([whole.row(b) for b in range(len(whole))], window)
    assert pairs_of(blocks, window) == expected
    assert {len(block.left) for block in blocks} <= {size}
    assert all(len(block.items) == size + 2 * window for block in blocks)
    assert sum(int(block.n_contexts.sum()) for block in blocks) == expected.total()


def test_rows_longer_than_what_is_prepared_at_once(monkeypatch):
    monkeypatch.setattr(module, "TOKENS", 5)
    rng = np.random.default_rng(0)
    whole = histories([12, 3, 4, 30], rng)
    blocks = token_blocks([whole], 2, rng, size=8, dynamic=False)
    assert pairs_of(blocks, 2) == pairs_within([whole.row(b) for b in range(4)], 2)


def test_reach_is_uniform():
    rng = np.random.default_rng(0)
    left = np.concatenate(
        [b.left for b in token_blocks([histories([20_000], rng)], 4, rng, size=1000)]
    )
    share = np.bincount(left[100:-100], minlength=5) / (len(left) - 200)
    np.testing.assert_allclose(share, [0, 0.25, 0.25, 0.25, 0.25], atol=0.015)


def test_items_are_thinned_out_before_windows_are_formed():
    rng = np.random.default_rng(0)
    keep = np.ones(9)
    keep[[2, 3, 4, 7]] = 0  # of rows 0 1 | 2 3 4 | 5 6 7 8
    blocks = list(
        token_blocks([histories([2, 3, 4], rng)], 1, rng, size=4, dynamic=False, keep=keep)
    )
    assert set(pairs_of(blocks, 1)) == {(0, 1), (1, 0), (5, 6), (6, 5), (6, 8), (8, 6)}


def test_nothing_at_all():
    rng = np.random.default_rng(0)
    assert list(token_blocks([histories([1, 1], rng)], 3, rng, size=4)) == []


@pytest.mark.parametrize("window", [1, 200])
def test_small_integers_hold_any_window(window):
    rng = np.random.default_rng(0)
    (block,) = token_blocks([histories([300], rng)], window, rng, size=300, dynamic=False)
    assert block.left.max() == block.right.max() == window
    assert (-block.left.astype(block.left.dtype)).min() == -window
