"""Scan: a cell applied at every step of a sequence."""

from typing import Any, TypeAlias

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.sequences import is_cut
from nnlib.layer import Layer
from nnlib.layers.sequential import check_step
from nnlib.layers.steps import check_truncate, valid_steps

State: TypeAlias = Any  # one array, or a tuple of arrays


class Scan(Layer):
    """A recurrent network over time, from the cell that makes one step.

        (1) n_t = cell(x_t, h_{t−1}),   t = 1…T
        (2) h_t = n_t, or h_{t−1} where the step does not count
    Backward is back-propagation through time: h_t is used twice, by whoever reads the states and
    by step t + 1, so its gradient is the sum of two.  Truncated after k steps, the second is left
    out at every k-th step.

    Shapes
        x (T, B, I) · h0 (B, H) → h (T, B, H)
        A state of several arrays, as the LSTM's, is a tuple: (h0, c0) → (h, c), and
        `dx, (dh0, dc0) = backward(dh, dc)`.
    Arguments
        cell: a layer (x_t, h) → h'; its parameters are the same at every step
        h0: None leaves the first state to the cell, which takes zeros
        rng: passed on to the cell at every step
        lengths, truncate: as for `RNN`
    Raises
        TypeError: the cell cannot be called.
        ValueError: `lengths` has another shape or type than `RNN` takes; k is below 1.
    Source
        Werbos 1990; truncated: Williams & Peng 1990.
    """

    def __init__(self, cell: Layer) -> None:
        check_step(cell)
        self.cell = cell

    def __call__(
        self,
        x: Array,
        h0: State = None,
        rng: np.random.Generator | None = None,
        *,
        lengths: Array | None = None,
        truncate: int | None = None,
    ) -> tuple[State, Backward]:
        check_truncate(truncate)
        xp, mask = array_module(x), valid_steps(x, lengths)
        ms = None if mask is None else mask[:, :, None].astype(x.dtype)
        h, states, backwards = h0, [], []
        for t, x_t in enumerate(x):
            h_old = h
            h, backward_t = self.cell(x_t, h_old, rng=rng)  # (1)
            if mask is not None:
                h = _where(mask[t, :, None], h, h_old)  # (2)
            states.append(_parts(h))
            backwards.append(backward_t)

        def backward(*dh: Array) -> tuple[Array, State]:
            dxs, dh_later = [], [xp.zeros_like(part[0]) for part in dh]
            for t, backward_t in reversed(list(enumerate(backwards))):
                dh_t = [part[t] + later for part, later in zip(dh, dh_later, strict=True)]
                dn_t = dh_t if ms is None else [part * ms[t] for part in dh_t]  # (2)
                dx_t, dh_old = backward_t(*dn_t)  # (1)
                dh_later = _parts(dh_old)
                if ms is not None:
                    passed = [part * (1 - ms[t]) for part in dh_t]  # (2)
                    dh_later = [a + b for a, b in zip(dh_later, passed, strict=True)]  # (2)
                if is_cut(t, truncate):
                    dh_later = [xp.zeros_like(part) for part in dh_later]
                dxs.append(dx_t)
            return xp.stack(dxs[::-1]), _as(h, dh_later)

        return _as(h, [xp.stack(part) for part in zip(*states, strict=True)]), backward


def _parts(state: State) -> list[Array]:
    return list(state) if isinstance(state, tuple) else [state]


def _as(state: State, parts: list[Array]) -> State:
    """The parts as a tuple if the state is one, else the only part."""
    return tuple(parts) if isinstance(state, tuple) else parts[0]


def _where(mask: Array, new: State, old: State) -> State:
    """The new state where the mask is True, the old one, zeros if it is None, elsewhere."""
    xp = array_module(mask)
    olds = [xp.zeros_like(part) for part in _parts(new)] if old is None else _parts(old)
    return _as(new, [xp.where(mask, a, b) for a, b in zip(_parts(new), olds, strict=True)])
