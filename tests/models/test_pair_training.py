"""Skip-gram with negative sampling on pairs: gradients, what the noise is expected to do, loop."""

from dataclasses import dataclass

import numpy as np
import pytest

from nnlib.check import assert_gradients
from nnlib.data import Interactions, PopularitySampler
from nnlib.models.epochs import Epochs
from nnlib.models.item_vectors import ItemVectors
from nnlib.models.pair_training import PairVectors, SampledOutput, train_pairs
from nnlib.optim import Adagrad

N, D, B, S = 6, 4, 5, 7
CENTRE, CONTEXT = np.array([0, 2, 2, 5, 0]), np.array([3, 3, 1, 2, 4])
NOISE = np.array([3, 0, 0, 4, 5, 1, 3])  # some twice, some of them targets


def net(rng, k=3.0):
    made = PairVectors(N, D, k, rng=rng).astype(np.float64)
    for p in made.parameters():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    return made


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients(weighted):
    rng = np.random.default_rng(0)
    weight = rng.random(B) if weighted else None
    vectors = net(rng)
    h = rng.normal(size=(B, D))
    assert_gradients(lambda h: vectors.output(h, CONTEXT, NOISE, weight), h, params=vectors.output)
    assert_gradients(lambda c: vectors(c, CONTEXT, NOISE, weight), CENTRE, params=vectors)


def test_loss_is_the_formula():
    vectors, k = net(np.random.default_rng(1)), 3.0
    E, O = vectors.E.value, vectors.output.O.value
    weight = np.array([1, 0.5, 2, 1, 3])
    sigma = lambda x: 1 / (1 + np.exp(-x))
    total = 0.0
    for w, c, weight_b in zip(CENTRE, CONTEXT, weight, strict=True):
        noise = sum(np.log(sigma(-E[w] @ O[j])) for j in NOISE if j != c)
        total -= weight_b * (np.log(sigma(E[w] @ O[c])) + k / S * noise)
    loss, _ = vectors(CENTRE, CONTEXT, NOISE, weight)
    assert loss.shape == ()
    np.testing.assert_allclose(loss, total / B, rtol=1e-12)


def test_shared_negatives_are_expected_to_do_what_own_ones_do():
    """The mean gradient over many draws is that of Σ_j q_j log σ(−s_j), the pair's own left out."""
    rng = np.random.default_rng(2)
    vectors, k = net(rng), 3.0
    E, O = vectors.E.value, vectors.output.O.value
    sampler = PopularitySampler(np.array([9, 1, 4, 6, 2, 3]), 0.75)
    total, draws = np.zeros_like(E), 20_000
    for noise in sampler.draw(rng, draws * S).reshape(draws, S):
        _, backward = vectors(CENTRE, CONTEXT, noise)
        backward()
        total += vectors.E.dense_grad()
        for p in vectors.parameters():
            p.clear()
    expected = np.zeros_like(E)
    sigma = 1 / (1 + np.exp(-E @ O.T))
    for w, c in zip(CENTRE, CONTEXT, strict=True):
        others = np.arange(N) != c
        expected[w] += (sigma[w, c] - 1) * O[c]
        expected[w] += k * (others * sampler.probabilities * sigma[w]) @ O
    np.testing.assert_allclose(total / draws, expected / B, atol=5e-3)


def test_float32_stays():
    vectors = PairVectors(N, D, rng=np.random.default_rng(0))
    assert np.abs(vectors.E.value).max() <= 0.5 / D
    assert not vectors.output.O.value.any()
    loss, backward = vectors(CENTRE, CONTEXT, NOISE, np.ones(B))
    backward()
    assert loss.dtype == np.float32
    assert {part.values.dtype for p in vectors.parameters() for part in p.rows} == {
        np.dtype(np.float32)
    }


@dataclass(kw_only=True)
class Pairs(ItemVectors):
    """The smallest model on the loop: it reads a fixed list of pairs."""

    epochs: int = 3

    def fit(self, train, **options):
        def pairs(rng):
            for part in np.array_split(rng.permutation(len(PAIRS)), 4):
                yield PAIRS[part, 0], PAIRS[part, 1]

        vectors = PairVectors(N, D, rng=np.random.default_rng(0))
        sampler = PopularitySampler(train.support(), 1.0)
        optimizer = Adagrad(vectors.parameters(), 0.2)
        run = Epochs(self, vectors, optimizer, train, events=len(PAIRS), **options)
        train_pairs(run, vectors, optimizer, pairs, sampler, seed=5, shared=8)
        self.losses_, self.E_, self.O_ = run.losses, vectors.E.value, vectors.output.O.value
        return self


PAIRS = np.array([(i, i ^ 1) for i in range(N)] * 40)
LOG = Interactions.from_arrays(np.zeros(N, int), np.arange(N))


def test_the_loop_learns_and_repeats_itself():
    a, b = Pairs(epochs=12).fit(LOG), Pairs(epochs=12).fit(LOG)
    assert a.losses_[-1] < 0.6 * a.losses_[0]
    assert a.losses_ == b.losses_
    np.testing.assert_array_equal(a.E_, b.E_)
    assert ((a.E_ @ a.O_.T).argmax(axis=1) == np.arange(N) ^ 1).all()


def test_resuming_is_as_if_nothing_had_happened(tmp_path):
    whole = Pairs(epochs=4).fit(LOG)
    Pairs(epochs=2).fit(LOG, checkpoint=tmp_path / "c")
    rest = Pairs(epochs=4).fit(LOG, checkpoint=tmp_path / "c", resume=True)
    assert rest.losses_ == whole.losses_
    np.testing.assert_array_equal(rest.O_, whole.O_)


@pytest.mark.parametrize("k", [0, -1, float("inf"), float("nan")])
def test_bad_number_of_negatives(k):
    with pytest.raises(ValueError, match="negatives"):
        SampledOutput(3, 2, k)
