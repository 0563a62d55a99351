"""Cases of the activations."""

from collections.abc import Iterator

import numpy as np

from nnlib.check.cases.case import Case, Sizes, Subject, away
from nnlib.check.subject import Function
from nnlib.functional import activations


def _activation(f: Function, name: str, **options: float) -> Case:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        x = away(rng.normal(0, 1.5, (s.B, s.N)))
        return Subject(lambda x: f(x, **options), (x,))

    return Case(name, f, make)


def _modrelu(rng: np.random.Generator, s: Sizes) -> Subject:
    while True:  # until nothing is near a kink
        x, b = away(rng.normal(0, 1.5, (s.T, s.B, s.N))), rng.normal(0, 1, s.N)
        if abs(abs(x) + b).min() > 0.01 and (b < 0).any() == (s.N > 1):
            return Subject(activations.modrelu, (x, b))


def cases() -> Iterator[Case]:
    """Every activation."""
    for name in (
        "linear",
        "sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "elu",
        "selu",
        "softplus",
        "softmax",
    ):
        yield _activation(getattr(activations, name), name)
    yield Case("modrelu", activations.modrelu, _modrelu)
    yield _activation(activations.leaky_relu, "leaky_relu alpha=0.3", alpha=0.3)
    yield _activation(activations.elu, "elu alpha=0.5", alpha=0.5)
