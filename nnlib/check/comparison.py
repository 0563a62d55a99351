"""A gradient beside the one it should be, with what is known about where they come from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from nnlib.array import Array

SINGLE = 1e-4  # relative error that float32 arithmetic may leave


@dataclass(frozen=True)
class Comparison:
    """`mine` and `reference` in float64, and the context that `diagnose` was given."""

    mine: Array
    reference: Array
    single: bool = False  # one of them has been computed in float32
    tolerance: float = 1e-6
    noise: float = 0.0  # absolute error of the reference
    batch_size: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    time_axis: int | None = None
    ids: Array | None = None
    derivative: Array | None = None
    gates: tuple[str, ...] = ()
    terms: Mapping[str, Array] = field(default_factory=dict)
    summands: Array | None = None
    previous: Array | None = None
    known: Mapping[str, Array] = field(default_factory=dict)

    @cached_property
    def precision(self) -> float:
        """Relative error up to which numbers count as equal."""
        return max(self.tolerance, SINGLE) if self.single else self.tolerance

    @cached_property
    def limit(self) -> float:
        """Absolute error up to which an entry of `mine` counts as right."""
        return self.precision * largest(self.reference) + self.noise

    @cached_property
    def wrong(self) -> Array:
        """Which entries differ."""
        return ~(np.abs(self.mine - self.reference) <= self.limit)

    @cached_property
    def telling(self) -> Array:
        """Which entries of `reference` are so far from 0 that being right means something."""
        return np.abs(self.reference) > 100 * self.limit

    def close(self, a: Array, b: Array, slack: float = 0.0) -> bool:
        """Whether two arrays of one shape agree, up to sums of rounding errors and `slack`."""
        if a.shape != b.shape or not a.size:
            return False
        scale = max(largest(a), largest(b))
        return bool(largest(a - b) <= 10 * self.precision * scale + self.noise + slack)

    def equals(self, other: Array) -> bool:
        """Whether `mine` is `other`, which is neither zeros nor as good as the reference."""
        if not self.close(self.mine, other) or largest(other) <= self.noise:
            return False
        return not self.close(other, self.reference)

    def of(self, mine: Array) -> "Comparison":
        """The same with another `mine`."""
        return replace(self, mine=mine)

    def slices(self, axis: int) -> tuple[list[int], list[int]]:
        """(right, wrong): the slices along an axis that are all right, and that are wrong.

        A slice in which nothing is far from 0 in `reference`, and nothing wrong, is neither.
        """
        others = tuple(i for i in range(self.reference.ndim) if i != axis % self.reference.ndim)
        wrong, telling = self.wrong.any(axis=others), self.telling.any(axis=others)
        return indices(telling & ~wrong), indices(wrong)

    @cached_property
    def named_sizes(self) -> dict[str, int]:
        """Sizes that a forgotten factor may have, as they are called in a sentence."""
        found = {f"the size {name}": n for name, n in self.sizes.items()}
        items = list(self.sizes.items())
        for i, (a, n) in enumerate(items):
            found |= {f"{a} · {b}": n * m for b, m in items[i + 1 :]}
        return found


def largest(x: Array) -> float:
    """max |x|, 0 of an empty array."""
    return float(np.max(np.abs(x), initial=0.0))


def indices(mask: Array) -> list[int]:
    """Where a 1-D mask is true."""
    return [int(i) for i in np.flatnonzero(mask)]


def ratio(a: Array, b: Array) -> float:
    """The c for which c·b is nearest to a."""
    return float(np.vdot(b, a) / np.vdot(b, b))


def cosine(a: Array, b: Array) -> float:
    """Of the angle between two arrays, as vectors."""
    return float(np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def number(c: float) -> str:
    """An integer without point, others with six digits, near 1 with more."""
    return (
        str(round(c)) if abs(c - round(c)) < 1e-7 * abs(c) else f"{c:.{9 if 0.9 < c < 1.1 else 6}g}"
    )


def times(c: float) -> str:
    """How wrong something is that is c times what it should be."""
    if c < 0:
        return "of the wrong sign" + ("" if near(c, -1) else f" and {times(-c)}")
    return f"{number(c)} times too large" if c > 1 else f"{number(1 / c)} times too small"


def near(c: float, n: float, precision: float = 1e-5) -> bool:
    """c = n up to a relative `precision`."""
    return abs(c - n) <= precision * abs(n)


def nature(c: Comparison, where: Array) -> str:
    """What is the matter with these entries, as a predicate: "is zero", "is 2 times too large"."""
    m, r = c.mine[where], c.reference[where]
    if largest(m) <= c.limit:
        return "is zero"
    if largest(r) <= c.limit:
        return "should be zero"
    factor = ratio(m, r)
    if factor and c.close(m, factor * r):
        return f"is {times(factor)}"
    return "is wrong"


def listed(items: list[int] | list[str], most: int = 6) -> str:
    """ "1, 2 and 5", cut short after `most`."""
    words = [str(item) for item in items]
    if len(words) > most:
        return ", ".join(words[:most]) + f" … ({len(words)} in all)"
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" and {words[-1]}"


def axes(c: Comparison) -> Iterator[int]:
    """The axes of `reference` along which there is more than one slice."""
    return (axis for axis, n in enumerate(c.reference.shape) if n > 1)
