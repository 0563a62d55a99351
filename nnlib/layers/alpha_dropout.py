"""Alpha dropout: the noise that leaves SELU's mean 0 and variance 1 as they are."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.functional.activations import SELU_ALPHA, SELU_SCALE
from nnlib.layer import Layer
from nnlib.layers.sizes import check_dropping

LOWEST = -SELU_SCALE * SELU_ALPHA  # what SELU tends to for x → −∞: −1.758


class AlphaDropout(Layer):
    """Alpha dropout: a unit is set to SELU's lower limit with probability p, then all are rescaled.

        (1) m ~ Bernoulli(q),  q = 1 − p
        (2) u = m x + (1 − m) c                      c = −λ α = −1.758
        (3) y = A u + B                              A = (q + c² q p)^−½,  B = −A c p
    If the x have mean 0 and variance 1, so have the y: E[u] = c p and Var[u] = q + c² q p.
    Dropout to 0 would keep the mean only, for E[y²] = E[x²] / q.  `rng=None` gives y = x.

    Backward
        ∂L/∂x = A m dy: a dropped unit is a constant.
    Shapes
        x (...) → y, m (...)
    Arguments
        p: probability of dropping, 0 ≤ p < 1; 0.05 to 0.1 in the paper
    Raises
        ValueError: p is outside that range.
    Source
        Klambauer et al. 2017, section "New dropout technique".
    """

    def __init__(self, p: float) -> None:
        check_dropping(p)
        self.p = p

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> tuple[Array, Backward]:
        if rng is None or self.p == 0:
            return x, lambda dy: dy.copy()
        q = 1 - self.p
        A = (q + LOWEST**2 * q * self.p) ** -0.5
        B = -A * LOWEST * self.p
        m = (rng.random(x.shape, dtype=np.float32) >= self.p).astype(x.dtype)  # (1)
        u = m * x + (1 - m) * LOWEST  # (2)
        y = A * u + B  # (3)

        def backward(dy: Array) -> Array:
            return dy * (A * m)  # (3) (2)

        return y, backward
