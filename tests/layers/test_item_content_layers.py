"""Layers that describe items and compare them: against loops, symmetry, where they start."""

import numpy as np
import pytest

from nnlib.layers import BagOfWords, FixedFeatures, LinearEnsemble, PairwiseResidual


def test_a_bag_of_words_is_the_mean_of_its_words():
    rng = np.random.default_rng(0)
    texts = [[1, 4, 4], [], [0]]
    words = np.array([w for text in texts for w in text])
    bag = BagOfWords(words, np.array([0, 3, 3, 4]), 5, 6, rng=rng)
    E = bag.E.value
    y, _ = bag(np.array([2, 0, 1, 0]))
    mean = (E[1] + 2 * E[4]) / 3
    np.testing.assert_allclose(y, [E[0], mean, np.zeros(6), mean], rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "offsets", "message"),
    [([0, 5], [0, 2], "words run from 0 to 5"), ([0, 1], [0, 1], "offsets must rise"),
     ([0, 1], [0, 2, 1, 2], "offsets must rise"), ([-1, 1], [0, 2], "words run from -1")],
)  # fmt: skip
def test_a_bag_of_words_that_does_not_fit(words, offsets, message):
    with pytest.raises(ValueError, match=message):
        BagOfWords(np.array(words), np.array(offsets), 5, 3, rng=np.random.default_rng(0))


def test_fixed_features_must_be_a_finite_matrix():
    with pytest.raises(ValueError, match="matrix with one row"):
        FixedFeatures(np.ones(3))
    with pytest.raises(ValueError, match="features of item 1 are not all finite"):
        FixedFeatures(np.array([[1.0, 2.0], [np.nan, 0.0]]))


def random_unit(rng):
    unit = PairwiseResidual(LinearEnsemble((2, 3)), 4, rng=rng)
    for p in unit.parameters():
        p.value = rng.normal(size=p.value.shape)
    return unit


def test_the_ensemble_is_a_weighted_sum_of_inner_products():
    rng = np.random.default_rng(1)
    ensemble = random_unit(rng).ensemble
    x, y = rng.normal(size=(4, 5)), rng.normal(size=(4, 3, 5))
    (w1, w2), (b,) = ensemble.w.value, ensemble.b.value
    expected = [
        [w1 * x[i, :2] @ y[i, j, :2] + w2 * x[i, 2:] @ y[i, j, 2:] + b for j in range(3)]
        for i in range(4)
    ]
    np.testing.assert_allclose(ensemble(x, y)[0], expected)


def test_the_residual_unit_is_symmetric_and_its_network_is_not():
    rng = np.random.default_rng(2)
    unit = random_unit(rng)
    x, y = rng.normal(size=(2, 6, 5))
    s, mirrored = unit(x, y[:, None])[0], unit(y, x[:, None])[0]
    np.testing.assert_allclose(s, mirrored)
    W, c, v = (p.value for p in (unit.W, unit.c, unit.v))
    f = lambda x, y: np.maximum(np.concatenate([x, y], axis=1) @ W + c, 0) @ v
    assert abs(f(x, y) - f(y, x)).max() > 0.1
    ensemble = unit.ensemble(x, y[:, None])[0][:, 0]
    np.testing.assert_allclose(s[:, 0], ensemble + (f(x, y) + f(y, x)) / 2)


def test_the_residual_unit_starts_at_its_ensemble():
    rng = np.random.default_rng(3)
    ensemble = LinearEnsemble((2, 3))
    unit = PairwiseResidual(ensemble, 4, rng=rng)
    x = rng.normal(size=(4, 5)).astype(np.float32)
    y = rng.normal(size=(4, 3, 5)).astype(np.float32)
    np.testing.assert_array_equal(unit(x, y)[0], ensemble(x, y)[0])


@pytest.mark.parametrize("sizes", [(), (2, 0)])
def test_an_ensemble_needs_blocks(sizes):
    with pytest.raises(ValueError, match="sizes"):
        LinearEnsemble(sizes)
