"""Row operations whose results have as many rows as there are ids; counts of places."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nnlib.functional.fixed_shapes import NOBODY, coalesce_padded, distinct_padded
from nnlib.functional.rows import coalesce, count_places, distinct

N = 10  # items
IDS = st.lists(st.integers(0, N - 1), max_size=40).map(lambda ids: np.array(ids, np.int64))


def begins_like(padded: Any, found: Any, behind: int) -> None:
    """`padded` is `found`, and the same number in all rows behind it."""
    u = len(found)
    assert padded.dtype == found.dtype
    np.testing.assert_array_equal(padded[:u], found)
    assert (padded[u:] == behind).all()


@given(ids=IDS)
def test_distinct_ids_stand_before_nobody(ids: Any) -> None:
    unique, place = distinct_padded(ids, np.full(N, 7))
    assert len(unique) == len(place) == len(ids)
    np.testing.assert_array_equal(unique[place], ids)
    begins_like(unique, distinct(ids, np.zeros(N, np.int64))[0], NOBODY)


@given(ids=IDS, row=st.sampled_from([(), (3,), (2, 2)]))
def test_sums_of_distinct_ids_stand_before_zeros(ids: Any, row: Any) -> None:
    values = np.random.default_rng(len(ids)).normal(size=(len(ids), *row)).astype(np.float32)
    before = values.copy()
    unique, sums = coalesce_padded(ids, values)
    assert len(unique) == len(sums) == len(ids)
    found, some = coalesce(ids, values)
    begins_like(unique, found, NOBODY)
    begins_like(sums, some, 0)
    np.testing.assert_array_equal(values, before)
    total = np.zeros((N, *row))  # NOBODY is the last row to NumPy: it gets 0 added
    np.add.at(total, unique, sums)
    expected = np.zeros((N, *row))
    np.add.at(expected, ids, values)
    np.testing.assert_allclose(total, expected, atol=1e-5)


@given(place=IDS, weighted=st.booleans(), dtype=st.sampled_from([np.float32, np.float64]))
def test_counts_of_places(place: Any, weighted: bool, dtype: Any) -> None:
    weight = np.random.default_rng(len(place)).random(len(place)) if weighted else None
    counts = count_places(place, N, dtype, weight)
    expected = np.zeros(N)
    np.add.at(expected, place, 1.0 if weight is None else weight)
    assert counts.dtype == dtype
    np.testing.assert_allclose(counts, expected, rtol=1e-6)
