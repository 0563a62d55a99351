"""Row operations whose results have as many rows as there are ids; products under a name."""

import numpy as np
import pytest

from nnlib.functional.fixed_shapes import NOBODY, coalesce_padded, distinct_padded
from nnlib.functional.products import product, row_dots
from nnlib.functional.rows import coalesce, count_places, distinct


@pytest.mark.parametrize("size", [1, 6, 1000])
@pytest.mark.parametrize("n", [1, 7, 40])
def test_padded_results_begin_like_those_without(n: int, size: int) -> None:
    rng = np.random.default_rng(n)
    ids, values, scratch = rng.integers(size, size=n), rng.normal(size=(n, 3)), np.zeros(size, int)
    for padded, plain in (
        (distinct_padded(ids, scratch), distinct(ids, scratch)),
        (coalesce_padded(ids, values), coalesce(ids, values)),
    ):
        u = len(plain[0])
        assert len(padded[0]) == len(padded[1]) == n
        np.testing.assert_array_equal(padded[0][:u], plain[0])
        assert (padded[0][u:] == NOBODY).all()
    unique, place = distinct_padded(ids, scratch)
    np.testing.assert_array_equal(unique[place], ids)
    unique, sums = coalesce_padded(ids, values)
    u = len(np.unique(ids))
    np.testing.assert_array_equal(sums[:u], coalesce(ids, values)[1])
    assert not sums[u:].any()


def test_count_places() -> None:
    place = np.array([3, 0, 3, 1])
    np.testing.assert_array_equal(count_places(place, 5, np.float32), [1, 1, 0, 2, 0])
    weighted = count_places(place, 5, np.float32, np.array([0.5, 2.0, 0.25, 4.0]))
    np.testing.assert_array_equal(weighted, [2, 4, 0, 0.75, 0])
    assert weighted.dtype == np.float32


def test_products_on_the_host_are_those_of_numpy() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 4, 4))
    out = np.empty((4, 4))
    assert product(a, b, out) is out
    for mine in (out, product(a, b)):
        np.testing.assert_array_equal(mine, a @ b)
    np.testing.assert_array_equal(product(a, b[0]), a @ b[0])
    np.testing.assert_allclose(row_dots(a, b), (a * b).sum(axis=1))
