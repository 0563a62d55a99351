"""LinearEnsemble: how well two things go together, as a weighted sum of several opinions."""

from collections.abc import Sequence

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.parameter import Parameter


class LinearEnsemble(Layer):
    """A weighted sum of inner products, one for each of M blocks of the vectors' columns.

        (1) u_bcm = ⟨x_b^m, y_bc^m⟩                x^m, y^m: block m, D_m columns
        (2) s_bc  = Σ_m w_m u_bcm + b
    Every x_b is compared with C candidates of its own.  s is symmetric in x and y.

    Backward
        ∂s/∂w_m = u_m      ∂s/∂x^m = w_m y^m      ∂s/∂y^m = w_m x^m
    Shapes
        x (B, D) · y (B, C, D) · w (M,) · b (1,) → s (B, C);   D = Σ_m D_m
    Arguments
        sizes: D_1 … D_M
    Raises
        ValueError: there is no block, or one is empty.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        if not sizes:
            raise ValueError("sizes=(): an ensemble needs at least one block")
        for m, size in enumerate(sizes):
            check_sizes(**{f"sizes[{m}]": size})
        self.sizes = tuple(sizes)
        self.w = Parameter(np.ones(len(sizes), np.float32))
        self.b = Parameter(np.zeros(1, np.float32))

    def __call__(
        self, x: Array, y: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        w, b, xp = self.w, self.b, array_module(x)
        column = xp.repeat(w.value, xp.asarray(self.sizes))  # w of every column, (D,)
        wx = column * x
        s = (y @ wx[:, :, None])[:, :, 0]  # (1) (2)
        s += b.value

        def backward(ds: Array) -> tuple[Array, Array]:
            ds_y = (ds[:, None, :] @ y)[:, 0, :]  # Σ_c ds_bc y_bc
            blocks = xp.asarray(np.cumsum((0, *self.sizes[:-1])))
            w.accumulate(xp.add.reduceat((ds_y * x).sum(axis=0), blocks))  # (2)
            b.accumulate(ds.sum(keepdims=True)[0])  # (2)
            return column * ds_y, ds[:, :, None] * wx[:, None, :]  # (1)

        return s, backward
