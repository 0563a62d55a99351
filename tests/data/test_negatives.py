"""Negatives follow supp^α, reach every item, and depend on the seed alone."""

import numpy as np
import pytest

from nnlib.data.negatives import PopularitySampler


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_frequencies_pass_a_chi_square_test(alpha):
    support = np.random.default_rng(0).integers(1, 1000, 400)
    sampler = PopularitySampler(support, alpha)
    n = 1_000_000
    counts = np.bincount(sampler.draw(np.random.default_rng(1), n), minlength=400)
    expected = support**alpha / (support**alpha).sum() * n
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 399) < 4 * np.sqrt(2 * 399)
    assert len(counts) == 400  # no item beyond the last
    assert counts[399] > 0


def test_extreme_popularity():
    sampler = PopularitySampler(np.array([1, 10**9]), 1.0)
    assert (sampler.draw(np.random.default_rng(0), 10_000) == 1).all()


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.75])
def test_an_item_without_events_is_never_drawn(alpha):
    support = np.random.default_rng(0).integers(0, 4, 300)
    sampler = PopularitySampler(support, alpha)
    drawn = np.bincount(sampler.draw(np.random.default_rng(1), 300_000), minlength=300)
    np.testing.assert_array_equal(drawn == 0, support == 0)
    np.testing.assert_array_equal(sampler.probabilities == 0, support == 0)


def test_one_item():
    sampler = PopularitySampler(np.array([5]), 0.5)
    assert sampler.draw(np.random.default_rng(0), 3).tolist() == [0, 0, 0]


def test_a_stream_is_reproducible_and_never_ends():
    sampler = PopularitySampler(np.arange(1, 50), 0.5)
    first, second = (sampler.stream(np.random.default_rng(4), 7, cache=20) for _ in range(2))
    for _ in range(10):
        np.testing.assert_array_equal(a := next(first), next(second))
        assert a.shape == (7,)


def test_no_negatives_is_a_stream_of_empty_arrays():
    stream = PopularitySampler(np.arange(1, 5), 0.5).stream(np.random.default_rng(0), 0)
    assert [next(stream).shape for _ in range(3)] == [(0,)] * 3
