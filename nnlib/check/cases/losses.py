"""Cases of the losses."""

from collections.abc import Callable, Iterator

import numpy as np

from nnlib import losses
from nnlib.array import Array, Backward
from nnlib.check.cases.case import Case, Make, Sizes, Subject, away
from nnlib.check.subject import Function
from nnlib.functional.sgns import sgns_expected


def _loss(
    f: Function,
    name: str,
    data: Callable[[np.random.Generator, Sizes], tuple[Array, ...]],
    centre: float = 0.0,
    **options: float,
) -> Case:
    """A loss of scores (B, N) around `centre`; targets and the like are data."""

    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        scores, given = rng.normal(centre, 2, (s.B, s.N)), data(rng, s)

        def loss(scores: Array) -> tuple[Array, Backward]:
            cast = (x.astype(scores.dtype) if x.dtype.kind == "f" else x for x in given)
            return f(scores, *cast, **options)

        return Subject(loss, (scores,))

    return Case(name, f, make)


def _nothing(rng: np.random.Generator, s: Sizes) -> tuple[()]:
    return ()


def _column(rng: np.random.Generator, s: Sizes) -> tuple[Array]:
    return (rng.integers(s.N, size=s.B),)


def _column_and_counts(rng: np.random.Generator, s: Sizes) -> tuple[Array, Array]:
    return (*_column(rng, s), rng.integers(1, 4, size=s.N))


def _column_and_log_counts(rng: np.random.Generator, s: Sizes) -> tuple[Array, Array]:
    return (*_column(rng, s), rng.normal(size=s.N))


def _distribution(rng: np.random.Generator, s: Sizes) -> tuple[Array]:
    return (rng.dirichlet(np.ones(s.N), size=s.B),)


def _amounts(rng: np.random.Generator, s: Sizes) -> tuple[Array]:
    return (rng.random((s.B, s.N)),)


def _amounts_and_weights(rng: np.random.Generator, s: Sizes) -> tuple[Array, Array]:
    return rng.random((s.B, s.N)), 0.5 + rng.random(s.N)


def _discriminator_loss(rng: np.random.Generator, s: Sizes) -> Subject:
    real, fake = rng.normal(0, 2, (s.B, 1)), rng.normal(0, 2, (s.N, 1))
    return Subject(losses.discriminator_loss, (real, fake))


def _sgns_expected(rng: np.random.Generator, s: Sizes) -> Subject:
    counts, q = rng.integers(1, 5, (s.N, s.N)), rng.dirichlet(np.ones(s.N))
    tables = rng.normal(size=(2, s.N, s.H))
    return Subject(lambda E, O: sgns_expected(E, O, counts, 2.5, q), tuple(tables))


def _negative_sampling(
    weighted: bool,
) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        weight = 0.5 + rng.random(s.B) if weighted else None
        f = lambda positive, negative: losses.negative_sampling(positive, negative, weight)
        return Subject(f, (rng.normal(0, 2, s.B), rng.normal(0, 2, (s.B, s.N))))

    return make


def _cosine_distance(rng: np.random.Generator, s: Sizes) -> Subject:
    y, target = away(rng.normal(size=(s.B, s.O)), 0.3), rng.normal(size=(s.B, s.O))

    def loss(y: Array) -> tuple[Array, Backward]:
        return losses.cosine_distance(y, target.astype(y.dtype))

    return Subject(loss, (y,))


def cases() -> Iterator[Case]:
    """Every loss, near 0 and far from it."""
    far = 50.0  # e⁵⁰ is where fast forms that take exp without a shift must give way
    yield _loss(losses.cross_entropy, "cross_entropy", _column)
    yield _loss(losses.cross_entropy, "cross_entropy log_count", _column_and_log_counts)
    yield _loss(losses.cross_entropy, "cross_entropy far from 0", _column_and_log_counts, far)
    yield _loss(losses.soft_cross_entropy, "soft_cross_entropy", _amounts)
    yield _loss(losses.kl_divergence, "kl_divergence", _distribution)
    yield _loss(losses.reverse_kl_divergence, "reverse_kl_divergence", _distribution)
    yield Case("discriminator_loss", losses.discriminator_loss, _discriminator_loss)
    yield _loss(losses.generator_loss, "generator_loss", _nothing)
    yield _loss(losses.minimax_generator_loss, "minimax_generator_loss", _nothing)
    pointwise: list[Function] = [losses.logistic, losses.squared]
    for f in pointwise:
        yield _loss(f, f.__name__, _amounts)
        yield _loss(f, f"{f.__name__} weight", _amounts_and_weights)
    yield Case("cosine_distance", losses.cosine_distance, _cosine_distance)
    ranking: list[Function] = [losses.bpr, losses.top1, losses.top1_max, losses.bpr_max]
    for f in ranking:
        yield _loss(f, f.__name__, _column)
        yield _loss(f, f"{f.__name__} count", _column_and_counts)
        yield _loss(f, f"{f.__name__} far from 0", _column_and_counts, far)
    for weighted in (False, True):
        name = "negative_sampling weight" if weighted else "negative_sampling"
        yield Case(name, losses.negative_sampling, _negative_sampling(weighted))
    yield Case("sgns_expected", sgns_expected, _sgns_expected)
    for centre in (0.0, far):
        options = {"centre": centre, "regularization": 0.01}
        name = f"bpr_max regularization=0.01 around {centre:.0f}"
        yield _loss(losses.bpr_max, name, _column_and_counts, **options)
