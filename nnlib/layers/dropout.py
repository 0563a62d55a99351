"""Dropout: noise that keeps units from relying on one another."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.layer import Layer
from nnlib.layers.sizes import check_dropping


class Dropout(Layer):
    """Inverted dropout: a unit is set to 0 with probability p, else divided by 1 − p.

        (1) m ~ Bernoulli(1 − p) / (1 − p)
        (2) y = x ⊙ m
    E[y] = x, so nothing has to be scaled when there is no noise: `rng=None` gives y = x.

    Shapes
        x (...) → y, m (...)
    Arguments
        p: probability of dropping, 0 ≤ p < 1
    Raises
        ValueError: p is outside that range.
    Source
        Srivastava et al. 2014 · differs: the paper's p is the probability of keeping, and it
        scales the weights of the trained network instead of the units in training.
    """

    def __init__(self, p: float) -> None:
        check_dropping(p)
        self.p = p

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> tuple[Array, Backward]:
        if rng is None or self.p == 0:
            return x, lambda dy: dy.copy()
        # float32 draws whatever x is: half the random bits, and the same mask in float64.
        kept = rng.random(x.shape, dtype=np.float32) >= self.p
        m = kept * x.dtype.type(1 / (1 - self.p))  # (1)
        return x * m, lambda dy: dy * m  # (2)
