"""Rows: repeated ids are never lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.functional import rows
from nnlib.parameter import Parameter

IDS = st.lists(st.integers(0, 9), max_size=40)


@given(ids=IDS)
@pytest.mark.parametrize("few", [0, 256])  # reduceat, one-hot product
def test_coalesce_sums_what_shares_an_id(few, ids):
    ids = np.array(ids, int)
    values = np.random.default_rng(0).standard_normal((len(ids), 3))
    before = values.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "FEW", few)
        unique, sums = rows.coalesce(ids, values)
    np.testing.assert_array_equal(unique, np.unique(ids))
    expected = [values[ids == i].sum(axis=0) for i in unique]
    np.testing.assert_allclose(sums, np.array(expected).reshape(-1, 3), atol=1e-14)
    np.testing.assert_array_equal(values, before)


@given(ids=IDS)
def test_add_rows_is_add_at(ids):
    ids = np.array(ids, int)
    values = np.random.default_rng(0).standard_normal(len(ids))
    table = np.arange(10.0)
    expected = table.copy()
    np.add.at(expected, ids, values)
    rows.add_rows(table, ids, values)
    np.testing.assert_allclose(table, expected, atol=1e-14)


@given(early=IDS, late=IDS)
def test_distinct_puts_ids_that_occur_early_only_first(early, late):
    ids = np.array(early + late, int)
    unique, place = rows.distinct(ids, np.full(10, -1))
    np.testing.assert_array_equal(unique[place], ids)
    assert sorted(unique.tolist()) == sorted(set(ids.tolist()))
    n_only_early = len(set(early) - set(late))
    assert set(unique[:n_only_early].tolist()) == set(early) - set(late)


def test_a_parameter_adds_dense_and_row_gradients():
    p = Parameter(np.zeros((4, 2)))
    p.accumulate(np.ones((4, 2)))
    p.accumulate_rows(np.array([1, 1, 3]), np.ones((3, 2)))
    p.accumulate_rows(np.array([[1], [0]]), np.ones((2, 1, 2)))
    np.testing.assert_array_equal(p.dense_grad()[:, 0], [2, 4, 1, 2])
    p.clear()
    assert p.grad is None
    assert p.rows == []


def test_row_grad_merges_parts_that_overlap():
    p = Parameter(np.zeros((4, 2)))
    p.accumulate_rows(np.array([2, 1]), np.ones((2, 2)), distinct=True, looked_up=np.zeros((2, 2)))
    assert p.row_grad().looked_up is not None
    p.accumulate_rows(np.array([1]), np.ones((1, 2)), distinct=True)
    ids, values, distinct, looked_up = p.row_grad()
    assert ids.tolist() == [1, 2]
    assert values[:, 0].tolist() == [2, 1]
    assert distinct
    assert looked_up is None
