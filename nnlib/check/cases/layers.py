"""Cases of the layers that know no time, and of what puts layers together."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnlib.array import Array, Backward
from nnlib.check.cases.case import Case, Make, Sizes, Subject, scrambled
from nnlib.functional import activations
from nnlib.layers import (
    AlphaDropout,
    BagOfWords,
    Dense,
    Dropout,
    Embedding,
    FixedFeatures,
    GaussianLatent,
    LinearEnsemble,
    PairwiseResidual,
    Residual,
    Sequential,
    concat,
    product,
)


def _dense(rng: np.random.Generator, s: Sizes) -> Subject:
    return Subject(scrambled(Dense(s.I, s.O, rng=rng), rng), (rng.normal(size=(s.B, s.I)),))


def _dense_over_time(rng: np.random.Generator, s: Sizes) -> Subject:
    dense = scrambled(Dense(s.I, s.O, rng=rng, bias=False), rng)
    return Subject(dense, (rng.normal(size=(s.T, s.B, s.I)),))


def _embedding(rng: np.random.Generator, s: Sizes) -> Subject:
    ids = rng.integers(s.N, size=(s.T, s.B))
    ids[0] = ids[-1]  # repeats
    return Subject(scrambled(Embedding(s.N, s.I, rng=rng), rng), (ids,))


def _bag_of_words(rng: np.random.Generator, s: Sizes) -> Subject:
    lengths = np.append(rng.integers(1, 4, s.T), 0)  # the last text has no word
    words = rng.integers(s.N, size=lengths.sum())
    bag = BagOfWords(words, np.append(0, np.cumsum(lengths)), s.N, s.I, rng=rng)
    ids = np.append(rng.integers(s.T, size=s.B), s.T)
    return Subject(scrambled(bag, rng), (ids,))


def _fixed_features(rng: np.random.Generator, s: Sizes) -> Subject:
    features = FixedFeatures(rng.normal(size=(s.N, s.I)))
    dense = scrambled(Dense(s.I, s.O, rng=rng), rng)

    def f(ids: Array) -> tuple[Array, Backward]:
        x, back_features = features(ids)
        y, back_dense = dense(x.astype(dense.W.value.dtype))
        return y, lambda dy: back_features(back_dense(dy))

    return Subject(f, (rng.integers(s.N, size=s.B),), dense)


def _linear_ensemble(rng: np.random.Generator, s: Sizes) -> Subject:
    x, y = rng.normal(size=(s.B, s.I + s.O)), rng.normal(size=(s.B, s.T, s.I + s.O))
    return Subject(scrambled(LinearEnsemble((s.I, s.O)), rng), (x, y))


def _pairwise_residual(rng: np.random.Generator, s: Sizes) -> Subject:
    D = s.I + s.O
    unit = PairwiseResidual(LinearEnsemble((s.I, s.O)), s.H, rng=rng)
    while True:  # until all units are away from their kinks
        scrambled(unit, rng)
        x, y = rng.normal(size=(s.B, D)), rng.normal(size=(s.B, s.T, D))
        W_1, W_2 = np.split(unit.W.value, 2)
        z = (x @ W_1)[:, None] + y @ W_2 + unit.c.value
        z_mirror = (x @ W_2)[:, None] + y @ W_1 + unit.c.value
        if min(abs(z).min(), abs(z_mirror).min()) > 0.01:
            return Subject(unit, (x, y))


def _gaussian_latent(noise: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        layer = scrambled(GaussianLatent(s.I, s.H, rng=rng), rng)
        seed = int(rng.integers(1000))

        def f(h: Array) -> tuple[Any, Backward]:
            return layer(h, rng=np.random.default_rng(seed) if noise else None)

        return Subject(f, (rng.normal(size=(s.B, s.I)),), layer)

    return make


def _dropout(layer: type[Dropout] | type[AlphaDropout], p: float) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        dropout, seed = layer(p), int(rng.integers(1000))
        x = rng.normal(size=(s.B, s.N))
        return Subject(lambda x: dropout(x, rng=np.random.default_rng(seed)), (x,))

    return make


def _sequential(rng: np.random.Generator, s: Sizes) -> Subject:
    first, last = Dense(s.I, s.H, rng=rng), Dense(s.H, s.O, rng=rng)
    network = scrambled(Sequential(first, activations.tanh, Dropout(0.5), last), rng)
    seed = int(rng.integers(1000))
    x = rng.normal(size=(s.B, s.I))
    return Subject(lambda x: network(x, rng=np.random.default_rng(seed)), (x,), network)


def _residual(rng: np.random.Generator, s: Sizes) -> Subject:
    inner = Sequential(Dense(s.I, s.I, rng=rng), activations.tanh)
    return Subject(scrambled(Residual(inner), rng), (rng.normal(size=(s.B, s.I)),))


def _concat(rng: np.random.Generator, s: Sizes) -> Subject:
    return Subject(concat, tuple(rng.normal(size=(s.T, s.B, n)) for n in (s.I, s.O, s.H)))


def _product(rng: np.random.Generator, s: Sizes) -> Subject:
    return Subject(product, tuple(rng.normal(size=(s.T, s.B, s.H)) for _ in range(3)))


def cases() -> Iterator[Case]:
    """Every layer without a state, and the ways of joining layers."""
    yield Case("Dense", Dense, _dense)
    yield Case("Dense over time, no bias", Dense, _dense_over_time)
    yield Case("Embedding", Embedding, _embedding)
    yield Case("BagOfWords", BagOfWords, _bag_of_words)
    yield Case("FixedFeatures before Dense", FixedFeatures, _fixed_features)
    yield Case("GaussianLatent", GaussianLatent, _gaussian_latent(noise=True))
    yield Case("GaussianLatent z=μ", GaussianLatent, _gaussian_latent(noise=False))
    yield Case("LinearEnsemble", LinearEnsemble, _linear_ensemble)
    yield Case("PairwiseResidual", PairwiseResidual, _pairwise_residual)
    for layer in (Dropout, AlphaDropout):
        yield Case(layer.__name__, layer, _dropout(layer, 0.4))
        yield Case(f"{layer.__name__} p=0", layer, _dropout(layer, 0.0))
    yield Case("Sequential", Sequential, _sequential)
    yield Case("Residual", Residual, _residual)
    yield Case("concat", concat, _concat)
    yield Case("product", product, _product)
