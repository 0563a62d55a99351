"""Clipping gradients by their global norm."""

import math
from collections.abc import Iterable

import numpy as np

from nnlib.array import Array, array_module
from nnlib.parameter import Parameter


def clip_global_norm(params: Iterable[Parameter], max_norm: float) -> Array:
    """Shrink all gradients by one factor so that their joint length is at most `max_norm`.

        (1) ‖g‖ = √(Σ over all parameters and elements g²)
        (2) g ← g · min(1, max_norm / ‖g‖)
    The direction stays.  Row gradients count as the dense gradient they stand for: repeated ids
    are summed before they are measured.  A norm that is not finite leaves the gradients as they
    are (no factor can repair them) and is returned for the caller to see.

    Arguments
        params: whose gradients to clip, before `optimizer.step()`; repeated ones count once
        max_norm: > 0, finite
    Returns
        ‖g‖ before clipping, 0-d
    Raises
        ValueError: max_norm is outside its range.
    Source
        Pascanu, Mikolov & Bengio 2013, algorithm 1.
    """
    if not 0 < max_norm < math.inf:
        raise ValueError(f"max_norm={max_norm!r}: it must be positive and finite")
    params = [p for p in dict.fromkeys(params) if p.grad is not None or p.rows]
    xp = array_module(params[0].value) if params else np
    norm = xp.sqrt(sum((_square_sum(_gather(p)) for p in params), xp.zeros(())))  # (1)
    factor = xp.where(xp.isfinite(norm), max_norm / xp.maximum(norm, max_norm), 1.0)
    if xp is np and factor == 1:
        return norm
    for p in params:
        if p.grad is not None:
            p.grad *= factor.astype(p.grad.dtype)  # (2)
        else:  # a new array: row gradients may be views of a caller's dy
            part = p.rows[0]
            p.rows = [part._replace(values=part.values * factor.astype(part.values.dtype))]
    return norm


def _gather(p: Parameter) -> Array:
    """The gradient of `p`, brought into one array: dense, or rows of distinct ids."""
    if p.grad is not None:
        if p.rows:
            p.grad, p.rows = p.dense_grad(), []
        return p.grad
    p.rows = [p.row_grad()]
    return p.rows[0].values


def _square_sum(g: Array) -> Array:
    """Σ g² in float64: by BLAS in g's own precision where that does not overflow."""
    xp = array_module(g)
    if xp is np:
        total = np.vdot(g, g)
        if np.isfinite(total):
            return np.float64(total)
    return xp.square(g, dtype=np.float64).sum()
