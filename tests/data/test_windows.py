"""Pairs and windows: which there are, how often, and how few of them exist at once."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.data import (
    Histories,
    Interactions,
    basket_pairs,
    cbow_windows,
    document_windows,
    set_pairs,
    skip_gram_pairs,
    windows,
)

ROWS = st.lists(st.lists(st.integers(0, 6), max_size=9), max_size=8)
SIZES = st.sampled_from([1, 3, 1000])


def histories(rows) -> Histories:
    items = np.array([item for row in rows for item in row], np.int64)
    return Histories.from_offsets(items, np.cumsum([0, *map(len, rows)]))


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def counted(batches, batch_size) -> Counter:
    """How often each tuple comes; all batches but the last are full, and none is empty."""
    batches = [[column.tolist() for column in batch] for batch in batches]
    sizes = [len(batch[0]) for batch in batches]
    assert all(size == batch_size for size in sizes[:-1])
    assert all(0 < size <= batch_size for size in sizes)
    rows = (row for batch in batches for row in zip(*batch, strict=True))
    return Counter(tuple(tuple(x) if isinstance(x, list) else x for x in row) for row in rows)


@pytest.fixture(params=[(1, 1), (4, 7), (2**16, 2**18)], ids=["tiny", "small", "usual"])
def block_sizes(request, monkeypatch):
    monkeypatch.setattr(windows, "TOKENS", request.param[0])
    monkeypatch.setattr(windows, "PAIRS", request.param[1])


def neighbours(row, window, directed):
    for i, centre in enumerate(row):
        for j, context in enumerate(row):
            if i != j and abs(i - j) <= window and (j > i or not directed):
                yield i, centre, context


@pytest.mark.usefixtures("block_sizes")
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("window", [1, 2, 100])
def test_skip_gram_pairs_are_those_of_two_loops(window, directed):
    @given(ROWS, SIZES)
    def check(rows, batch_size):
        pairs = skip_gram_pairs(
            histories(rows),
            window,
            generator(),
            batch_size=batch_size,
            dynamic=False,
            directed=directed,
        )
        expected = Counter((w, c) for row in rows for _, w, c in neighbours(row, window, directed))
        assert counted(pairs, batch_size) == expected

    check()


@pytest.mark.usefixtures("block_sizes")
def test_set_pairs_weigh_a_row_by_its_length():
    @given(ROWS, SIZES)
    def check(rows, batch_size):
        pairs = set_pairs(histories(rows), generator(), batch_size=batch_size)
        expected = Counter(
            (w, c, 1 / (len(row) - 1)) for row in rows for _, w, c in neighbours(row, 99, False)
        )
        found = counted(pairs, batch_size)
        assert found == expected
        total = sum(weight * n for (_, _, weight), n in found.items())
        assert total == pytest.approx(sum(len(row) for row in rows if len(row) > 1))

    check()


@pytest.mark.usefixtures("block_sizes")
@pytest.mark.parametrize("window", [1, 2, 100])
def test_windows_keep_the_places_of_the_neighbours(window):
    @given(ROWS, SIZES)
    def check(rows, batch_size):
        w = min(window, max(max(map(len, rows), default=0) - 1, 1))
        distances = [*range(-w, 0), *range(1, w + 1)]
        expected = Counter()
        for number, row in enumerate(rows):
            for i, target in enumerate(row):
                places = [i + d for d in distances]
                context = tuple(row[j] if 0 <= j < len(row) else -1 for j in places)
                expected[number, context, target] += 1
        given_rows = histories(rows)
        found = document_windows(
            given_rows, window, generator(), batch_size=batch_size, dynamic=False
        )
        assert counted(found, batch_size) == expected
        found = cbow_windows(given_rows, window, generator(), batch_size=batch_size, dynamic=False)
        with_context = Counter()
        for (_, context, target), n in expected.items():
            if set(context) != {-1}:
                with_context[context, target] += n
        assert counted(found, batch_size) == with_context

    check()


BASKETS = st.lists(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4), max_size=5))


@pytest.mark.usefixtures("block_sizes")
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("reach", [1, 2, 100])
def test_basket_pairs_cross_baskets_and_never_stay_in_one(reach, directed):
    @given(BASKETS.filter(any), SIZES)
    def check(users, batch_size):
        events = [
            (user, item, time)
            for user, baskets in enumerate(users)
            for time, basket in enumerate(baskets)
            for item in basket
        ]
        log = Interactions.from_arrays(*map(list, zip(*events, strict=True)))
        expected = Counter(
            (item, other)
            for baskets in users
            for i, mine in enumerate(baskets)
            for j, theirs in enumerate(baskets)
            if i != j and abs(i - j) <= reach and (j > i or not directed)
            for item in mine
            for other in theirs
        )
        pairs = basket_pairs(log, reach, generator(), batch_size=batch_size, directed=directed)
        found = counted(pairs, batch_size)
        raw = log.item_ids.tolist()
        assert Counter({(raw[i], raw[j]): n for (i, j), n in found.items()}) == expected

    check()


def test_a_dynamic_window_reaches_each_distance_with_its_probability():
    rows = histories([list(range(50))] * 2000)
    pairs = skip_gram_pairs(rows, 4, generator(), batch_size=10_000)
    distance = np.concatenate([np.abs(w - c) for w, c in pairs])
    n_possible = 2000 * 2 * (50 - np.arange(1, 5))
    share = np.bincount(distance, minlength=6)[1:5] / n_possible
    assert distance.max() == 4
    np.testing.assert_allclose(share, [1, 0.75, 0.5, 0.25], atol=4 * 0.5 / np.sqrt(190_000))

    (context, _), *_ = cbow_windows(rows, 4, generator(), batch_size=100_000)
    share = (context >= 0).mean(axis=0)
    ideal = np.array([1, 2, 3, 4, 4, 3, 2, 1]) / 4 * (1 - np.array([4, 3, 2, 1, 1, 2, 3, 4]) / 50)
    np.testing.assert_allclose(share, ideal, atol=0.01)


def test_what_is_not_kept_goes_before_windows_are_formed():
    keep = np.array([1.0, 0.0, 1.0])
    rows = histories([[0, 1, 1, 2], [1, 2]])
    pairs = skip_gram_pairs(rows, 1, generator(), batch_size=9, dynamic=False, keep=keep)
    assert counted(pairs, 9) == {(0, 2): 1, (2, 0): 1}
    pairs = set_pairs(rows, generator(), batch_size=9, keep=keep)
    assert counted(pairs, 9) == {(0, 2, 1.0): 1, (2, 0, 1.0): 1}
    found = cbow_windows(rows, 1, generator(), batch_size=9, dynamic=False, keep=keep)
    assert counted(found, 9) == {((0, -1), 2): 1, ((-1, 2), 0): 1}
    found = document_windows(rows, 1, generator(), batch_size=9, dynamic=False, keep=keep)
    assert (1, (-1, -1), 2) in counted(found, 9)


def test_items_are_kept_with_their_probability():
    rows = histories([[0, 1]] * 20_000)
    pairs = skip_gram_pairs(rows, 1, generator(), batch_size=50_000, keep=np.array([0.3, 1.0]))
    n_pairs = sum(len(w) for w, _ in pairs)
    assert abs(n_pairs / 40_000 - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 20_000)


def test_the_order_is_the_generators():
    rows = histories([[i, i + 1, i + 2] for i in range(300)])

    def epoch(seed):
        pairs = skip_gram_pairs(rows, 2, np.random.default_rng(seed), batch_size=64)
        return np.concatenate([np.stack(batch) for batch in pairs], axis=1)

    np.testing.assert_array_equal(epoch(1), epoch(1))
    assert not np.array_equal(epoch(1)[0, :50], epoch(2)[0, :50])
    assert abs(np.corrcoef(epoch(1)[0, :-1], epoch(1)[0, 1:])[0, 1]) < 0.1  # well mixed


def test_pairs_are_never_all_in_memory():
    """One row of 5,000 items and many short ones: 25 million pairs, 400 MB if they were kept."""
    rows = histories([list(range(5000))] + [[1, 2, 3]] * 20_000)
    tracemalloc.start()
    n_pairs = sum(len(w) for w, _, _ in set_pairs(rows, generator(), batch_size=4096))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_pairs == 5000 * 4999 + 20_000 * 6
    assert peak < 60e6


def test_an_empty_log_has_no_pairs():
    for rows in ([], [[]], [[3]]):
        assert not list(skip_gram_pairs(histories(rows), 2, generator(), batch_size=2))
        assert not list(set_pairs(histories(rows), generator(), batch_size=2))
        assert not list(cbow_windows(histories(rows), 2, generator(), batch_size=2))


@pytest.mark.parametrize("make", [skip_gram_pairs, cbow_windows, document_windows])
@pytest.mark.parametrize("window", [0, -1, 2.5, np.nan, np.inf])
def test_windows_out_of_range_are_refused_at_once(make, window):
    with pytest.raises(ValueError, match=f"window={window}: it must be a whole number, at least"):
        make(histories([[1, 2]]), window, generator(), batch_size=2)


def test_other_arguments_out_of_range_are_refused_at_once():
    rows, log = histories([[1, 2]]), Interactions.from_arrays([1, 1], [1, 2], [1, 2])
    with pytest.raises(ValueError, match="reach=0: it must be a whole number, at least 1"):
        basket_pairs(log, 0, generator(), batch_size=2)
    with pytest.raises(ValueError, match="batch_size=0: it must be a whole number, at least 1"):
        set_pairs(rows, generator(), batch_size=0)
    with pytest.raises(ValueError, match=r"keep has shape \(2,\): it must have one entry for each"):
        set_pairs(rows, generator(), batch_size=1, keep=np.ones(2))
    for value in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match="keep must be probabilities, from 0 to 1"):
            set_pairs(rows, generator(), batch_size=1, keep=np.array([1, 1, value]))
