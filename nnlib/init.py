"""Initial weights: functions (rng, shape) → float32 array on the host.

`shape` is (in, out) for a product `x @ W`.  Drawing on the host with a NumPy generator makes CPU
and GPU start from the same weights.  `BLANK` in the generator's place draws nothing, for weights
that a file is about to give.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from nnlib.array import Array

Init: TypeAlias = Callable[[np.random.Generator, Sequence[int]], Array]


def glorot(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """U(−a, a) with a = √(6 / (in + out)): keeps variances for tanh and linear units.

    Source
        Glorot & Bengio 2010, eq. 16.
    """
    bound = np.sqrt(6 / (shape[0] + shape[1]))
    return rng.uniform(-bound, bound, shape).astype(np.float32, copy=False)


def he(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """N(0, 2 / in): makes up for the half of its input that a rectifier removes.

    Source
        He et al. 2015, eq. 10.
    """
    return (rng.standard_normal(shape) * np.sqrt(2 / shape[0])).astype(np.float32)


def he_leaky(alpha: float) -> Init:
    """N(0, 2 / ((1 + α²) in)), for leaky rectifiers with slope α below 0; α = 0 is `he`.

    Source
        He et al. 2015, eq. 15.
    """
    return scaled(he, float(np.sqrt(1 / (1 + alpha**2))))


def lecun(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """N(0, 1 / in): the variance that SELU's fixed point assumes.

    Source
        LeCun et al. 1998; Klambauer et al. 2017.
    """
    return (rng.standard_normal(shape) * np.sqrt(1 / shape[0])).astype(np.float32)


def orthogonal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """A matrix with orthonormal rows or columns (the fewer of them), uniformly drawn.

    Source
        Saxe et al. 2014.  Signs are fixed by R's diagonal, without which QR is not uniform.
    """
    n_in, n_out = shape
    q, r = np.linalg.qr(rng.standard_normal((max(n_in, n_out), min(n_in, n_out))))
    q = q * np.sign(np.diag(r))
    return (q if n_in >= n_out else q.T).astype(np.float32)


def normal(std: float) -> Init:
    """N(0, std²), for embedding tables."""
    return lambda rng, shape: (rng.standard_normal(shape) * std).astype(np.float32)


def uniform(bound: float) -> Init:
    """U(−bound, bound)."""
    return lambda rng, shape: rng.uniform(-bound, bound, shape).astype(np.float32, copy=False)


def zeros(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """0, for an output table whose inputs are random: its rows part at the first step."""
    return np.zeros(shape, np.float32)


def scaled(init: Init, factor: float) -> Init:
    """`factor` times what `init` draws: scaled(glorot, 4) makes up for the sigmoid's slope of ¼."""
    return lambda rng, shape: init(rng, shape) * np.float32(factor)


def per_gate(init: Init, gates: int) -> Init:
    """Draw each of `gates` blocks of columns by itself: a gate's bound must not see the others.

    Glorot's bound on (I, 3H) would be √(6 / (I + 3H)) instead of √(6 / (I + H)).
    """

    def blocks(rng: np.random.Generator, shape: Sequence[int]) -> Array:
        n_in, n_out = shape
        return np.hstack([init(rng, (n_in, n_out // gates)) for _ in range(gates)])

    return blocks


class _Blank:
    """What a generator has of use here, but every draw is 0: no time, no memory until written."""

    def random(self, size: Any, dtype: Any = np.float32) -> Array:
        return np.zeros(size, np.float32)

    def standard_normal(self, size: Any, dtype: Any = np.float32) -> Array:
        return np.zeros(size, np.float32)

    def uniform(self, low: float, high: float, size: Any) -> Array:
        return np.zeros(size, np.float32)


BLANK = cast(np.random.Generator, _Blank())
