"""Random numbers by counting, on the GPU, and a generator made of them."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from nnlib.array import Array, array_module
from nnlib.cuda.kernel import Kernel
from nnlib.functional import philox

WORDS = Kernel("philox", "random_words")
UNIFORM = Kernel("philox", "random_uniform")
ALIAS = Kernel("philox", "alias_choice")


def random_words(step: Array, key: Array, draw: int, n: int) -> Array:
    """`functional.philox.random_words`."""
    words = array_module(step).empty(n, np.uint32)
    WORDS.per_element(-(-n // 4), step, key, words, draw, n)
    return words


def random_uniform(step: Array, key: Array, draw: int, n: int) -> Array:
    """`functional.philox.random_uniform`."""
    numbers = array_module(step).empty(n, np.float32)
    UNIFORM.per_element(-(-n // 4), step, key, numbers, draw, n)
    return numbers


def alias_choice(coin: Array, place: Array, threshold: Array, alias: Array) -> Array:
    """`data.negatives.alias_choice`."""
    item = array_module(coin).empty(len(coin), np.int64)
    ALIAS.per_element(len(coin), coin, place, threshold, alias, item, len(coin), len(alias))
    return item


class CounterRandom:
    """What dropout and samplers ask of a generator, without a state that a capture would freeze.

    Draw d of step t is a function of (key, t, d).  t, (1,) int64, is counted on the device by
    whoever makes the steps; `start` begins one: its draws are numbered anew.

        rng = CounterRandom(t, (seed, epoch));  rng.start();  rng.random((B, H), np.float32)
    """

    def __init__(self, step: Array, seed: Sequence[int]) -> None:
        self.step, self._draw = step, 0
        self.key = array_module(step).zeros(2, np.uint32)
        self.seed(seed)

    def seed(self, seed: Sequence[int]) -> None:
        """Other numbers from here on; the key stays where it is on the device."""
        key = np.random.SeedSequence(seed).generate_state(2, np.uint32)
        self.key[...] = array_module(self.step).asarray(key)

    def start(self) -> None:
        """A step begins."""
        self._draw = 0

    def random(self, size: tuple[int, ...], dtype: Any = np.float64) -> Array:
        """Uniform in [0, 1), with 24 random bits whatever the type."""
        numbers = philox.random_uniform(self.step, self.key, self._next(), prod(size))
        return numbers.reshape(size).astype(dtype, copy=False)

    def integers(self, low: int, high: int, size: tuple[int, ...], dtype: Any = np.int64) -> Array:
        """Words of 32 bits: low = 0, high = 2³², the one range that a sampler asks for."""
        if (low, high, np.dtype(dtype)) != (0, 2**32, np.uint32):
            raise ValueError(f"integers({low}, {high}, dtype={dtype}): only all uint32 are drawn")
        return philox.random_words(self.step, self.key, self._next(), prod(size)).reshape(size)

    def _next(self) -> int:
        self._draw += 1
        return self._draw - 1
