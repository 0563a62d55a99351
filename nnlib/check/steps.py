"""Numeric derivatives along one direction, for every step ε, in single and double precision."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnlib.array import Array
from nnlib.check.gradients import change, gradients
from nnlib.check.subject import Function, Parameters, as_tuple, cast_copy, named, values_in


def step_errors(
    f: Function,
    inputs: Sequence[Array],
    params: Parameters,
    *,
    seed: int,
    dtype: npt.DTypeLike,
    steps: Array,
) -> dict[str, Array]:
    """Relative errors of "central" and "forward" differences in `dtype`, for every step.

        central:  (L(x + ε v) − L(x − ε v)) / 2ε     error ≈ ε² |L'''| / 6 + u |L| / ε
        forward:  (L(x + ε v) − L(x)) / ε            error ≈ ε |L''| / 2 + u |L| / ε

    with L = Σ dy ⊙ y, along one random direction v of length 1 through all inputs and parameters,
    against the backward in float64.  u is the unit of rounding.
    """
    exact = _slope(f, inputs, params, seed)
    found = _differences_along(f, inputs, params, seed, dtype, steps)
    return {name: np.abs(numeric - exact) / abs(exact) for name, numeric in found.items()}


def _direction(
    xs: Sequence[Array], outputs: Sequence[Array], seed: int
) -> tuple[list[Array], list[Array]]:
    """(v, dys): a direction of length 1 through all arrays, and weights of the outputs."""
    rng = np.random.default_rng(seed)
    vs = [np.asarray(rng.standard_normal(x.shape)) for x in xs]
    length = np.sqrt(sum(float(np.vdot(v, v)) for v in vs)) or 1.0
    return [v / length for v in vs], [np.asarray(rng.standard_normal(y.shape)) for y in outputs]


def _slope(f: Function, inputs: Sequence[Array], params: Parameters, seed: int) -> float:
    """The derivative along the direction, by the backward in float64."""
    parameters = named(f, params)
    copies = [cast_copy(x, np.float64) for x in inputs]
    with values_in(np.float64, parameters.values()):
        y, backward = f(*copies)
        xs = [x for x in copies if x.dtype.kind == "f"] + [p.value for p in parameters.values()]
        vs, dys = _direction(xs, as_tuple(y), seed)
        found = gradients(f, backward, copies, dys, parameters)
        return sum(
            float(np.vdot(g, v)) for (_, _, g), v in zip(found, vs, strict=True) if g is not None
        )


def _differences_along(
    f: Function,
    inputs: Sequence[Array],
    params: Parameters,
    seed: int,
    dtype: npt.DTypeLike,
    steps: Array,
) -> dict[str, Array]:
    """Central and forward differences along the direction for every step, in `dtype`."""
    parameters = named(f, params)
    copies = [cast_copy(x, dtype) for x in inputs]
    with values_in(dtype, parameters.values()):
        xs = [x for x in copies if x.dtype.kind == "f"] + [p.value for p in parameters.values()]
        centres = [x.copy() for x in xs]
        here = [np.array(y, np.float64) for y in as_tuple(f(*copies)[0])]
        vs, dys = _direction(xs, here, seed)

        def outputs(step: float) -> list[Array]:
            for x, centre, v in zip(xs, centres, vs, strict=True):
                x[...] = centre + (step * v).astype(dtype)
            return [np.array(y, np.float64) for y in as_tuple(f(*copies)[0])]

        central, forward = [], []
        for step in steps:
            above = outputs(step)
            forward.append(change(dys, above, here) / step)
            central.append(change(dys, above, outputs(-step)) / (2 * step))
    return {"central": np.array(central), "forward": np.array(forward)}
