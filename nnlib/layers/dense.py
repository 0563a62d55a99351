"""Dense: the affine map."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.functional.products import product, times_transposed
from nnlib.init import Init, glorot
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.parameter import Parameter


class Dense(Layer):
    """Affine map.

        (1) y = x W + b
    Backward
        ∂L/∂W = xᵀ dy      ∂L/∂b = Σ_batch dy      ∂L/∂x = dy Wᵀ
    Shapes
        x (..., I) · W (I, O) · b (O,) → y (..., O)
    Arguments
        n_in, n_out: I and O
        rng: draws W
        init: of W; b starts at 0
        bias: False leaves b out
    Raises
        ValueError: I or O is below 1.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        rng: np.random.Generator,
        init: Init = glorot,
        bias: bool = True,
    ) -> None:
        check_sizes(n_in=n_in, n_out=n_out)
        self.W = Parameter(init(rng, (n_in, n_out)))
        self.b = Parameter(np.zeros(n_out, np.float32)) if bias else None

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> tuple[Array, Backward]:
        W, b = self.W, self.b
        y = product(x, W.value)  # (1)
        if b is not None:
            y += b.value

        def backward(dy: Array) -> Array:
            dy_rows = dy.reshape(-1, dy.shape[-1])
            if b is not None:
                b.accumulate(dy_rows.sum(axis=0))  # (1)
            W.accumulate(product(x.reshape(-1, x.shape[-1]).T, dy_rows))  # (1)
            return times_transposed(dy_rows, W.value).reshape(x.shape)  # (1)

        return y, backward
