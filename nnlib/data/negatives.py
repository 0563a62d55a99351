"""Negative items, drawn in proportion to a power of their popularity."""

from collections.abc import Iterator

import numpy as np

from nnlib.array import Array, Device, array_module, fusable, to_device


class PopularitySampler:
    """Items with probability  q_i = supp_i^α / Σ_j supp_j^α.

    α = 0 draws uniformly, α = 1 by popularity.  Drawing uses the alias method: a uniform slot i and
    a uniform number decide between item i and its alias, two look-ups however many items there are.

    An item without events is never drawn, whatever α.

    Shapes
        support (N,) counts ≥ 0
    Arguments
        support: how often each item occurs
        alpha: exponent; below 0 rare items are drawn more often
    Source
        Walker 1977; Vose 1991.  Slots and thresholds are rounded to multiples of 2⁻³².
    """

    def __init__(self, support: Array, alpha: float, device: Device = "cpu") -> None:
        support = np.asarray(support, np.float64)
        weights = np.zeros_like(support)
        weights[support > 0] = support[support > 0] ** alpha
        self.probabilities = weights / weights.sum()
        threshold, alias = _alias_table(self.probabilities)
        self.threshold, self.alias = to_device(threshold, device), to_device(alias, device)

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """`n` independent items, (n,) int, on the sampler's device; `rng` must be of it too."""
        coin, place = rng.integers(0, 2**32, (2, n), dtype=np.uint32)
        return alias_choice(coin, place, self.threshold, self.alias)

    def stream(self, rng: np.random.Generator, n: int, cache: int = 2**17) -> Iterator[Array]:
        """Endless batches of `n` items, drawn about `cache` at a time."""
        per_cache = max(1, cache // max(n, 1))
        while True:
            yield from self.draw(rng, per_cache * n).reshape(per_cache, n)


@fusable
def alias_choice(coin: Array, place: Array, threshold: Array, alias: Array) -> Array:
    """The items of random slots, each its slot's own or its alias.

    Shapes
        coin, place (n,) uint32, uniform · threshold, alias (N,) → (n,) int
    """
    slot = (place.astype(np.uint64) * len(alias) >> 32).astype(np.intp)
    own = coin < threshold.take(slot)
    return array_module(alias).where(own, slot, alias.take(slot))


def _alias_table(probabilities: Array) -> tuple[Array, Array]:
    """Thresholds (uint32 fractions of 2³²) and aliases of Vose's method."""
    n = len(probabilities)
    share = (probabilities * n).tolist()
    alias = np.arange(n, dtype=np.intp)
    threshold = np.full(n, 2**32 - 1, np.uint32)
    small = [i for i, p in enumerate(share) if p < 1]
    large = [i for i, p in enumerate(share) if p >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        threshold[low], alias[low] = int(share[low] * 2**32), high
        share[high] -= 1 - share[low]
        if share[high] < 1:
            small.append(large.pop())
    never = probabilities == 0  # also if rounding has used up `large` before their turn
    threshold[never] = 0
    alias[never] = np.argmax(probabilities)
    return threshold, alias
