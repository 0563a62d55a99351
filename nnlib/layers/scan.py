"""Scan: a cell applied at every step of a sequence."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.layer import Layer
from nnlib.layers.sequential import check_step


class Scan(Layer):
    """A recurrent network over time, from the cell that makes one step.

        (1) h_t = cell(x_t, h_{t−1}),   t = 1…T
    Backward is back-propagation through time: h_t is used twice, by whoever reads the states and
    by step t + 1, so its gradient is the sum of two.

    Shapes
        x (T, B, I) · h0 (B, H) → h (T, B, H)
    Arguments
        cell: a layer (x_t, h) → h'; its parameters are the same at every step
        h0: None leaves the first state to the cell, which takes zeros
        rng: passed on to the cell at every step
    Source
        Werbos 1990.
    """

    def __init__(self, cell: Layer) -> None:
        check_step(cell)
        self.cell = cell

    def __call__(
        self, x: Array, h0: Array | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        xp = array_module(x)
        h, states, backwards = h0, [], []
        for x_t in x:
            h, backward_t = self.cell(x_t, h, rng=rng)  # (1)
            states.append(h)
            backwards.append(backward_t)

        def backward(dh: Array) -> tuple[Array, Array]:
            dxs, dh_later = [], xp.zeros_like(dh[0])
            for dh_t, backward_t in zip(dh[::-1], backwards[::-1], strict=True):
                dx_t, dh_later = backward_t(dh_t + dh_later)  # (1)
                dxs.append(dx_t)
            return xp.stack(dxs[::-1]), dh_later

        return xp.stack(states), backward
