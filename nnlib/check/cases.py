"""The one list of what can be differentiated in nnlib, each with an example to check it on.

The tests draw sizes and seeds for these cases; `nnlib gradcheck` runs them as they are.  Biases
and states are random, never zeros, which hide the terms they multiply, and inputs keep 0.01 away
from kinks, where differences have no meaning.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from nnlib import losses
from nnlib.array import Array, Backward
from nnlib.check.contract import check_contract
from nnlib.check.gradients import check_gradients
from nnlib.check.report import GradientReport
from nnlib.check.subject import Function, Parameters
from nnlib.functional import activations, trees
from nnlib.functional import hierarchical_softmax as by_tree
from nnlib.functional.gru_sequence import gru_sequence, gru_sequence_backward
from nnlib.functional.gru_step import (
    gru_step_after,
    gru_step_after_backward,
    gru_step_before,
    gru_step_before_backward,
)
from nnlib.functional.sgns import sgns_expected
from nnlib.layer import Layer
from nnlib.layers import (
    GRU,
    AlphaDropout,
    BagOfWords,
    Dense,
    Dropout,
    Embedding,
    FixedFeatures,
    GRUCell,
    HierarchicalSoftmax,
    LinearEnsemble,
    PairwiseResidual,
    Residual,
    Scan,
    Sequential,
    concat,
    product,
)
from nnlib.layers.gru_step import GRUStep

L = TypeVar("L", bound=Layer)


class Sizes(NamedTuple):
    """Sizes by the letters of the docstrings, all different so that no transposition fits."""

    B: int = 4  # batch
    T: int = 3  # time
    I: int = 2  # in
    O: int = 6  # out
    H: int = 5  # hidden
    N: int = 7  # items


SIZES = Sizes()


class Subject(NamedTuple):
    """What `check_gradients` is given."""

    f: Function
    inputs: tuple[Array, ...]
    params: Parameters = ()


@dataclass(frozen=True)
class Case:
    """An example of one public name."""

    name: str  # the public name, then what is special about this example
    target: Callable[..., Any]  # the public object
    make: Callable[[np.random.Generator, Sizes], Subject]


def run_cases(
    names: Sequence[str] | None = None, *, seed: int = 0, sizes: Sizes = SIZES
) -> Iterator[GradientReport]:
    """Check the named cases, or all, one after another: gradients in float64, contract in both.

    Arguments
        names: whole names of cases, or public names for all their cases
        seed: of the examples' numbers
    Raises
        ValueError: there is no such case; the message lists those there are.
    """
    for case in select(names):
        yield run(case, np.random.default_rng(seed), sizes)


def run(case: Case, rng: np.random.Generator, sizes: Sizes) -> GradientReport:
    """Check one case on numbers drawn from `rng`."""
    f, inputs, params = case.make(rng, sizes)
    report = check_gradients(f, *inputs, params=params, rng=rng)
    single = check_contract(f, *inputs, params=params, rng=rng, dtype=np.float32)
    problems = [*report.problems, *(f"in float32: {problem}" for problem in single)]
    return replace(report, name=case.name, problems=tuple(problems))


def select(names: Sequence[str] | None) -> list[Case]:
    """The cases of these names, in the order of the list."""
    if names is None:
        return list(CASES)
    public = {case.target.__name__ for case in CASES}
    for name in names:
        if name not in public and all(name != case.name for case in CASES):
            raise ValueError(f"no case {name!r}; there are: {', '.join(sorted(public))}")
    return [case for case in CASES if case.name in names or case.target.__name__ in names]


def away(x: Array, by: float = 0.01) -> Array:
    """x with what lies within `by` of 0 pushed out: a kink there must not be stepped over."""
    return np.where(np.abs(x) < by, x + np.copysign(by, x), x)


def scrambled(layer: L, rng: np.random.Generator) -> L:
    """The layer with random float64 numbers in every parameter, biases included."""
    for p in layer.parameters():
        p.value = rng.normal(0, 0.7, p.value.shape)
    return layer


def _activation(f: Function, name: str, **options: float) -> Case:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        x = away(rng.normal(0, 1.5, (s.B, s.N)))
        return Subject(lambda x: f(x, **options), (x,))

    return Case(name, f, make)


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


def _dropout(
    layer: type[Dropout] | type[AlphaDropout], p: float
) -> Callable[[np.random.Generator, Sizes], Subject]:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        dropout, seed = layer(p), int(rng.integers(1000))
        x = rng.normal(size=(s.B, s.N))
        return Subject(lambda x: dropout(x, rng=np.random.default_rng(seed)), (x,))

    return make


def _gru_cell(reset: Any) -> Callable[[np.random.Generator, Sizes], Subject]:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        cell = scrambled(GRUCell(s.I, s.H, rng=rng, reset=reset), rng)
        return Subject(cell, (rng.normal(size=(s.B, s.I)), rng.normal(size=(s.B, s.H))))

    return make


def _gru(reset: Any) -> Callable[[np.random.Generator, Sizes], Subject]:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        gru = scrambled(GRU(s.I, s.H, rng=rng, reset=reset), rng)
        return Subject(gru, (rng.normal(size=(s.T, s.B, s.I)), rng.normal(size=(s.B, s.H))))

    return make


def _scan(rng: np.random.Generator, s: Sizes) -> Subject:
    scan = scrambled(Scan(GRUCell(s.I, s.H, rng=rng)), rng)
    return Subject(scan, (rng.normal(size=(s.T, s.B, s.I)), rng.normal(size=(s.B, s.H))))


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


def _discriminator_loss(rng: np.random.Generator, s: Sizes) -> Subject:
    real, fake = rng.normal(0, 2, (s.B, 1)), rng.normal(0, 2, (s.N, 1))
    return Subject(losses.discriminator_loss, (real, fake))


def _gru_sequence(reset: str) -> Callable[[np.random.Generator, Sizes], Subject]:
    def f(*inputs: Array) -> tuple[Array, Backward]:
        h, saved = gru_sequence(*inputs)
        return h, lambda dh: gru_sequence_backward(dh, saved)[: len(inputs)]

    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        H = s.H
        shapes = [(s.T, s.B, s.I), (s.B, H), (s.I, 3 * H), (H, 3 * H), (3 * H,), (H,)]
        inputs = [rng.normal(0, 0.7, shape) for shape in shapes]
        return Subject(f, tuple(inputs if reset == "after" else inputs[:-1]))

    return make


def _gru_step(reset: Any) -> Callable[[np.random.Generator, Sizes], Subject]:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        step = scrambled(GRUStep(s.H, rng=rng, reset=reset), rng)
        h = rng.normal(size=(s.B // 2 + 1, s.H))  # a constant: it has no gradient
        return Subject(
            lambda v: step(v, h.astype(v.dtype)), (rng.normal(size=(s.B, 3 * s.H)),), step
        )

    return make


def _gru_step_pair(reset: str) -> Callable[[np.random.Generator, Sizes], Subject]:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        h = rng.normal(size=(s.B // 2 + 1, s.H))

        def before(a: Array, U: Array) -> tuple[Array, Backward]:
            h_next, saved = gru_step_before(a, h.astype(a.dtype), U)
            return h_next, lambda dh_next: gru_step_before_backward(dh_next, saved)

        def after(a: Array, U: Array, b_h: Array) -> tuple[Array, Backward]:
            h_next, saved = gru_step_after(a, h.astype(a.dtype), U, b_h)
            return h_next, lambda dh_next: gru_step_after_backward(dh_next, saved)

        shapes = [(s.B, 3 * s.H), (s.H, 3 * s.H), (3 * s.H,)]
        a, U, b_h = (rng.normal(0, 0.7, shape) for shape in shapes)
        return Subject(after, (a, U, b_h)) if reset == "after" else Subject(before, (a, U))

    return make


def _tree(rng: np.random.Generator, s: Sizes) -> trees.Tree:
    """A tree with N inner nodes, of uneven depth."""
    return trees.huffman(rng.integers(1, 9, s.N + 1) ** 2)


def _hierarchical_softmax(rng: np.random.Generator, s: Sizes) -> Subject:
    tree, target = _tree(rng, s), rng.integers(s.N + 1, size=s.B)
    path, sign = tree.path[target], tree.sign[target]

    def f(h: Array, O: Array) -> tuple[Array, Backward]:
        losses, saved = by_tree.hierarchical_softmax(h, O, path, sign)

        def backward(dlosses: Array) -> tuple[Array, Array]:
            dh, values = by_tree.hierarchical_softmax_backward(dlosses, saved)
            dO = np.zeros_like(O)
            np.add.at(dO, path, values)
            return dh, dO

        return losses, backward

    return Subject(f, (rng.normal(size=(s.B, s.H)), rng.normal(size=(s.N, s.H))))


def _hierarchical_softmax_cut(
    n_top: int,
) -> Callable[[np.random.Generator, Sizes], Subject]:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        paths = trees.cut_paths(_tree(rng, s), n_top)
        cut = paths.of(rng.integers(s.N + 1, size=s.B))

        def f(h: Array, O: Array) -> tuple[Array, Backward]:
            losses, saved = by_tree.hierarchical_softmax_cut(h, O, cut)

            def backward(dlosses: Array) -> tuple[Array, Array]:
                dh, dtop, dvectors = by_tree.hierarchical_softmax_cut_backward(dlosses, saved)
                dO = np.zeros_like(O)
                dO[: len(dtop)], dO[saved.nodes] = dtop, dvectors
                return dh, dO

            return losses, backward

        return Subject(f, (rng.normal(size=(s.B, s.H)), rng.normal(size=(s.N, s.H))))

    return make


def _hierarchical_softmax_layer(rng: np.random.Generator, s: Sizes) -> Subject:
    layer = scrambled(HierarchicalSoftmax(_tree(rng, s), s.H, rng=rng, n_top=2), rng)
    target = rng.integers(s.N + 1, size=s.B)
    return Subject(lambda h: layer(h, target), (rng.normal(size=(s.B, s.H)),), layer)


def _sgns_expected(rng: np.random.Generator, s: Sizes) -> Subject:
    counts, q = rng.integers(1, 5, (s.N, s.N)), rng.dirichlet(np.ones(s.N))
    tables = rng.normal(size=(2, s.N, s.H))
    return Subject(lambda E, O: sgns_expected(E, O, counts, 2.5, q), tuple(tables))


def _negative_sampling(
    weighted: bool,
) -> Callable[[np.random.Generator, Sizes], Subject]:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        weight = 0.5 + rng.random(s.B) if weighted else None
        f = lambda positive, negative: losses.negative_sampling(positive, negative, weight)
        return Subject(f, (rng.normal(0, 2, s.B), rng.normal(0, 2, (s.B, s.N))))

    return make


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


def _loss_cases() -> Iterable[Case]:
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


def _cases() -> Iterable[Case]:
    for name in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "softmax"):
        yield _activation(getattr(activations, name), name)
    yield _activation(activations.leaky_relu, "leaky_relu alpha=0.3", alpha=0.3)
    yield _activation(activations.elu, "elu alpha=0.5", alpha=0.5)
    yield Case("Dense", Dense, _dense)
    yield Case("Dense over time, no bias", Dense, _dense_over_time)
    yield Case("Embedding", Embedding, _embedding)
    yield Case("BagOfWords", BagOfWords, _bag_of_words)
    yield Case("FixedFeatures before Dense", FixedFeatures, _fixed_features)
    yield Case("LinearEnsemble", LinearEnsemble, _linear_ensemble)
    yield Case("PairwiseResidual", PairwiseResidual, _pairwise_residual)
    for layer in (Dropout, AlphaDropout):
        yield Case(layer.__name__, layer, _dropout(layer, 0.4))
        yield Case(f"{layer.__name__} p=0", layer, _dropout(layer, 0.0))
    yield Case("Sequential", Sequential, _sequential)
    yield Case("Residual", Residual, _residual)
    yield Case("concat", concat, _concat)
    yield Case("product", product, _product)
    yield Case("Scan", Scan, _scan)
    for reset in ("before", "after"):
        yield Case(f"GRUCell reset={reset}", GRUCell, _gru_cell(reset))
        yield Case(f"GRU reset={reset}", GRU, _gru(reset))
        yield Case(f"gru_sequence reset={reset}", gru_sequence, _gru_sequence(reset))
        yield Case(f"GRUStep reset={reset}", GRUStep, _gru_step(reset))
    yield Case("gru_step_before", gru_step_before, _gru_step_pair("before"))
    yield Case("gru_step_after", gru_step_after, _gru_step_pair("after"))
    yield Case("hierarchical_softmax", by_tree.hierarchical_softmax, _hierarchical_softmax)
    for n_top in (0, 2, 63):
        name = f"hierarchical_softmax_cut n_top={n_top}"
        yield Case(name, by_tree.hierarchical_softmax_cut, _hierarchical_softmax_cut(n_top))
    yield Case("HierarchicalSoftmax", HierarchicalSoftmax, _hierarchical_softmax_layer)
    yield from _loss_cases()


CASES = tuple(_cases())
