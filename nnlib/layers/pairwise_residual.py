"""PairwiseResidual: what a weighted sum of opinions misses about two things."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.init import Init, he
from nnlib.layer import Layer
from nnlib.layers.linear_ensemble import LinearEnsemble
from nnlib.layers.sizes import check_sizes
from nnlib.parameter import Parameter


class PairwiseResidual(Layer):
    """A linear ensemble, and a small network of both vectors that learns what to add to it.

        (1) f(x, y) = relu([x; y] W + c) · v       = relu(x W_1 + y W_2 + c) · v
        (2) s = g(x, y) + ½ (f(x, y) + f(y, x))                  g: the ensemble
    v starts at 0, so that the unit starts at the ensemble.  A network of [x; y] alone would give a
    pair and its mirror image two scores; the mean of both is symmetric, as g is.

    Backward
        with z = x W_1 + y W_2 + c,  z' = y W_1 + x W_2 + c  and  dz = ½ ds v [z > 0],  dz' alike:
        ∂L/∂v = ½ Σ ds (relu(z) + relu(z'))       ∂L/∂c = Σ dz + dz'
        ∂L/∂W_1 = Σ xᵀ dz + yᵀ dz'                ∂L/∂W_2 = Σ yᵀ dz + xᵀ dz'
        dx gains dz W_1ᵀ + dz' W_2ᵀ               dy gains dz W_2ᵀ + dz' W_1ᵀ
    Shapes
        x (B, D) · y (B, C, D) → s (B, C);   W (2D, H), c (H,), v (H,)
    Arguments
        ensemble: g, for vectors of the same D columns
        n_hidden: H
        rng: draws W
        init: of W; c and v start at 0
    Raises
        ValueError: H is below 1.
    Source
        Nedelec, Smirnova & Vasile 2017, pairwise residual unit · differs: it is one function of
        the two stacked vectors, averaged over both orders, and adds to the score.
    """

    def __init__(
        self,
        ensemble: LinearEnsemble,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        init: Init = he,
    ) -> None:
        check_sizes(n_hidden=n_hidden)
        self.ensemble = ensemble
        self.W = Parameter(init(rng, (2 * sum(ensemble.sizes), n_hidden)))
        self.c = Parameter(np.zeros(n_hidden, np.float32))
        self.v = Parameter(np.zeros(n_hidden, np.float32))

    def __call__(
        self, x: Array, y: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        W, c, v, xp = self.W, self.c, self.v, array_module(x)
        B, C, D = y.shape
        W_1, W_2 = W.value[:D], W.value[D:]
        s, back_ensemble = self.ensemble(x, y)
        h = (x @ W_1 + c.value)[:, None, :] + y @ W_2  # (1), z and at once relu(z)
        h_mirror = (x @ W_2 + c.value)[:, None, :] + y @ W_1  # (1)
        xp.maximum(h, 0, out=h)
        xp.maximum(h_mirror, 0, out=h_mirror)
        s += 0.5 * ((h + h_mirror) @ v.value)  # (2)

        def backward(ds: Array) -> tuple[Array, Array]:
            half = 0.5 * ds
            v.accumulate(half.reshape(-1) @ (h + h_mirror).reshape(B * C, -1))  # (2)
            dz = half[:, :, None] * v.value * (h > 0)  # (2) (1)
            dz_mirror = half[:, :, None] * v.value * (h_mirror > 0)
            of_x, of_x_mirror = dz.sum(axis=1), dz_mirror.sum(axis=1)  # x is the same C times
            c.accumulate((of_x + of_x_mirror).sum(axis=0))
            y_rows = y.reshape(B * C, D).T
            dW_1 = x.T @ of_x + y_rows @ dz_mirror.reshape(B * C, -1)
            dW_2 = x.T @ of_x_mirror + y_rows @ dz.reshape(B * C, -1)
            W.accumulate(xp.concatenate([dW_1, dW_2]))
            dx, dy = back_ensemble(ds)
            dx += of_x @ W_1.T + of_x_mirror @ W_2.T
            dy += dz @ W_2.T + dz_mirror @ W_1.T
            return dx, dy

        return s, backward
