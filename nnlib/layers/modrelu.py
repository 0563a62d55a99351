"""ModReLU: the activation that changes the size of a number and keeps its sign."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.functional.activations import modrelu
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.parameter import Parameter


class ModReLU(Layer):
    """y = sign(x) max(|x| + b, 0), with b learned from 0, where it is linear.

    For the recurrent layers whose matrix keeps the norm of the state: tanh would lose it.

    Shapes
        x (..., H) → y (..., H);   b (H,)
    Raises
        ValueError: H is below 1.
    Source
        Arjovsky et al. 2016, for real numbers as in Helfrich et al. 2018.
    """

    def __init__(self, n_hidden: int) -> None:
        check_sizes(n_hidden=n_hidden)
        self.b = Parameter(np.zeros(n_hidden, np.float32))

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> tuple[Array, Backward]:
        b = self.b
        y, back = modrelu(x, b.value)

        def backward(dy: Array) -> Array:
            dx, db = back(dy)
            b.accumulate(db)
            return dx

        return y, backward
