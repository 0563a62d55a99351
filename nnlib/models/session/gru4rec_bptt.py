"""Back-propagation through several steps of session-parallel training."""

from typing import NamedTuple

from nnlib.array import Array, Backward, array_module


class Step(NamedTuple):
    """A training step whose gradient is still to come."""

    backward: Backward  # (dloss, dstates) → dstates of the step before, per layer, or None
    carried: Array  # (C,) rows of the step before that go on in this one
    n_rows: int  # B


def back_through_time(steps: list[Step], batch_size: int) -> None:
    """Leave the gradient of a window of successive steps on the parameters; empties the list.

        (1) h⁰_t = h_{t−1}[carried_t]             what step t starts from; fresh rows from zero
        (2) L = Σ_t B_t / batch_size · L_t
    The first step's h⁰ is a constant.  A window of one step is GRU4Rec as published.

    Backward
        ∂L/∂h_{t−1} has ∂L/∂h⁰_t in the rows carried_t and 0 in those whose session has ended:
        so no gradient passes from a session to the one that takes its place.
    """
    dstates = None
    while steps:
        backward, carried, n_rows = steps.pop()
        into_past = backward(n_rows / batch_size, dstates)  # (2)
        if steps:
            dstates = [_put(dh, carried, steps[-1].n_rows) for dh in into_past]  # (1)


def _put(dh: Array, rows: Array, n: int) -> Array:
    """dh (C, H) in the distinct `rows` of n, (n, H)."""
    full = array_module(dh).zeros((n, dh.shape[1]), dh.dtype)
    full[rows] = dh
    return full
