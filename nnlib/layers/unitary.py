"""UnitaryCell: one step of the unitary evolution network."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.unitary import complex_modrelu, to_complex, to_real, unitary_product
from nnlib.init import Init, glorot
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.parameter import Parameter


class UnitaryCell(Layer):
    """One step of a network whose complex recurrent matrix is unitary; over time, `Scan` of it.

        (1) a  = x W + h U                            h as H complex numbers
        (2) h' = max(|a| + b, 0) a / |a|
    U is a product of three diagonals of phases, two Fourier transforms, two reflections and a
    permutation: 7H numbers instead of H², and the norm of h goes through it unchanged.

    Shapes
        x (B, I) · h (B, 2H) → h' (B, 2H), real | imaginary parts;   W (I, 2H), theta (3, H),
        v (2, 2H), b (H,)
    Arguments
        n_in, n_hidden: I and H
        rng: draws W, theta and v, and the permutation, which is fixed: make the layer with the same
            `rng` again before loading what was saved
        init: of W, the real and imaginary parts each by itself
        h: None is the start that the paper learns, here zeros
    Raises
        ValueError: I or H is below 1.
    Source
        Arjovsky et al. 2016.
    """

    def __init__(
        self, n_in: int, n_hidden: int, *, rng: np.random.Generator, init: Init = glorot
    ) -> None:
        check_sizes(n_in=n_in, n_hidden=n_hidden)
        H = self.n_hidden = n_hidden
        self.W = Parameter(np.hstack([init(rng, (n_in, H)), init(rng, (n_in, H))]))
        self.theta = Parameter(rng.uniform(-np.pi, np.pi, (3, H)).astype(np.float32))
        self.v = Parameter(rng.uniform(-1, 1, (2, 2 * H)).astype(np.float32))
        self.b = Parameter(np.zeros(H, np.float32))
        self.permutation = rng.permutation(H)

    def __call__(
        self, x: Array, h: Array | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        W, theta, v, b = self.W, self.theta, self.v, self.b
        if h is None:
            h = array_module(x).zeros((len(x), 2 * self.n_hidden), x.dtype)
        hU, back_U = unitary_product(
            to_complex(h), theta.value, to_complex(v.value), self.permutation
        )
        a = to_complex(x @ W.value) + hU  # (1)
        h_next, back_f = complex_modrelu(a, b.value)  # (2)

        def backward(dh_next: Array) -> tuple[Array, Array]:
            da, db = back_f(to_complex(dh_next))  # (2)
            b.accumulate(db)
            dh, dtheta, dv = back_U(da)  # (1)
            theta.accumulate(dtheta)
            v.accumulate(to_real(dv))
            W.accumulate(x.T @ to_real(da))  # (1)
            return to_real(da) @ W.value.T, to_real(dh)  # (1)

        return to_real(h_next), backward
