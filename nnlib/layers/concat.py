"""concat: several inputs side by side."""

import itertools

from nnlib.array import Array, Backward, array_module


def concat(*xs: Array) -> tuple[Array, Backward]:
    """Join two or more arrays along the last axis; backward cuts dy where they were joined.

    Shapes
        x_1 (..., D_1) … x_n (..., D_n) → y (..., D_1 + … + D_n)
    """
    xp = array_module(xs[0])
    cuts = list(itertools.accumulate(x.shape[-1] for x in xs))[:-1]

    def backward(dy: Array) -> tuple[Array, ...]:
        return tuple(dx.copy() for dx in xp.split(dy, cuts, axis=-1))

    return xp.concatenate(xs, axis=-1), backward
