"""Cases of the recurrent layers whose matrix keeps the norm of the state."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnlib.array import Array, Backward
from nnlib.check.cases.case import Case, Make, Sizes, Subject, scrambled
from nnlib.check.subject import Function
from nnlib.functional import unitary
from nnlib.functional.orthogonal import cayley
from nnlib.functional.unitary import to_complex, to_real
from nnlib.layer import Layer
from nnlib.layers import CayleyRNN, ModReLU, OrthogonalRNN, UnitaryCell


class _Watched(ModReLU):
    """Notes how near to its kinks it was used."""

    nearest = np.inf

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> tuple[Array, Backward]:
        size = abs(x)
        self.nearest = min(self.nearest, size.min(), abs(size + self.b.value).min())
        return super().__call__(x)


def _modrelu(rng: np.random.Generator, s: Sizes) -> Subject:
    layer = _Watched(s.H)
    while True:
        layer.nearest, x = np.inf, rng.normal(size=(s.B, s.H))
        scrambled(layer, rng)(x)
        if layer.nearest > 0.01:
            return Subject(layer, (x,))


def _over_time(make_layer: Callable[..., Layer], some: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        f = _Watched(s.H)
        layer = make_layer(s.I, s.H, rng=rng, activation=f)
        lengths = rng.integers(s.T + 1, size=s.B) if some else None
        while True:
            f.nearest = np.inf
            x, h0 = rng.normal(size=(s.T, s.B, s.I)), rng.normal(size=(s.B, s.H))
            scrambled(layer, rng)(x, h0, lengths=lengths)
            if f.nearest > 0.01:
                return Subject(lambda x, h0: layer(x, h0, lengths=lengths), (x, h0), layer)

    return make


def _cayley(rng: np.random.Generator, s: Sizes) -> Subject:
    signs = rng.choice([-1.0, 1.0], s.H)
    f = lambda a: cayley(a, signs.astype(a.dtype))
    return Subject(f, (rng.normal(size=s.H * (s.H - 1) // 2),))


def _by_parts(f: Function, is_complex: tuple[bool, ...]) -> Function:
    """A function of complex numbers as one of their real and imaginary parts."""

    def g(*inputs: Array) -> tuple[Array, Backward]:
        y, back = f(*(to_complex(x) if c else x for x, c in zip(inputs, is_complex, strict=True)))

        def backward(dy: Array) -> tuple[Array, ...]:
            gradients = zip(back(to_complex(dy)), is_complex, strict=True)
            return tuple(to_real(d) if c else d for d, c in gradients)

        return to_real(y), backward

    return g


def _turn(rng: np.random.Generator, s: Sizes) -> Subject:
    f = _by_parts(unitary.turn, (True, False))
    return Subject(f, (rng.normal(size=(s.B, 2 * s.H)), rng.normal(size=s.H)))


def _reflect(rng: np.random.Generator, s: Sizes) -> Subject:
    H = s.H + 1  # one number is reflected to its negative whatever v is
    f = _by_parts(unitary.reflect, (True, True))
    return Subject(f, (rng.normal(size=(s.B, 2 * H)), _long(rng, 2 * H)))


def _long(rng: np.random.Generator, *shape: int) -> Array:
    """Vectors away from 0, where the reflection has no direction."""
    return rng.choice([-1.0, 1.0], shape) * (0.5 + rng.random(shape))


def _unitary_product(rng: np.random.Generator, s: Sizes) -> Subject:
    H = s.H + 1
    permutation = rng.permutation(H)
    product = lambda z, theta, v: unitary.unitary_product(z, theta, v, permutation)
    z, theta = rng.normal(size=(s.B, 2 * H)), rng.normal(size=(3, H))
    return Subject(_by_parts(product, (True, False, True)), (z, theta, _long(rng, 2, 2 * H)))


def _complex_modrelu(rng: np.random.Generator, s: Sizes) -> Subject:
    while True:
        z, b = rng.normal(size=(s.B, 2 * s.H)), rng.normal(0, 0.7, s.H)
        size = abs(to_complex(z))
        if min(size.min(), abs(size + b).min()) > 0.03:
            return Subject(_by_parts(unitary.complex_modrelu, (True, False)), (z, b))


def _unitary_cell(rng: np.random.Generator, s: Sizes) -> Subject:
    H = s.H + 1
    cell: Any = UnitaryCell(s.I, H, rng=rng)
    while True:
        scrambled(cell, rng)
        cell.v.value, cell.b.value = _long(rng, 2, 2 * H), rng.random(H)
        x, h = rng.normal(size=(s.B, s.I)), rng.normal(size=(s.B, 2 * H))
        if (abs(to_complex(cell(x, h)[0])) - cell.b.value).min() > 0.03:
            return Subject(cell, (x, h))


def cases() -> Iterator[Case]:
    """ModReLU, orthogonal and unitary layers, and what they are made of."""
    yield Case("ModReLU", ModReLU, _modrelu)
    for lengths, some in (("", False), (" lengths", True)):
        yield Case(f"OrthogonalRNN{lengths}", OrthogonalRNN, _over_time(OrthogonalRNN, some))
        yield Case(f"CayleyRNN{lengths}", CayleyRNN, _over_time(CayleyRNN, some))
    yield Case("cayley", cayley, _cayley)
    yield Case("turn", unitary.turn, _turn)
    yield Case("reflect", unitary.reflect, _reflect)
    yield Case("unitary_product", unitary.unitary_product, _unitary_product)
    yield Case("complex_modrelu", unitary.complex_modrelu, _complex_modrelu)
    yield Case("UnitaryCell", UnitaryCell, _unitary_cell)
