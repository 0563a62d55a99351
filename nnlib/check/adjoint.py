"""The gradient check for what is too big to move every coordinate."""

import numpy as np

from nnlib.array import Array
from nnlib.check.gradients import change, gradients, rounding
from nnlib.check.report import ArrayCheck, GradientReport
from nnlib.check.subject import (
    SEED,
    Function,
    Parameters,
    as_tuple,
    cast_copy,
    named,
    values_in,
)


def check_adjoint(
    f: Function,
    *inputs: Array,
    params: Parameters = (),
    rng: np.random.Generator | None = None,
    eps: float = 1e-6,
    tolerance: float = 1e-6,
) -> GradientReport:
    """Whether backward is the transpose of the forward's derivative J, by one direction per array.

        ⟨u, J v⟩ = ⟨Jᵀ u, v⟩,     J v ≈ (f(x + ε v) − f(x − ε v)) / 2ε,     Jᵀ u = backward(u)

    Two evaluations of f for each floating-point input and parameter, however large it is.  A
    gradient that is wrong anywhere passes only by chance, but where it is wrong is not said.

    Arguments
        f, inputs, params, rng, eps: as for `check_gradients`
        tolerance: on |⟨u, J v⟩ − ⟨Jᵀ u, v⟩| / ‖Jᵀ u‖; v has independent N(0, 1) elements, so that
            ‖Jᵀ u‖ is the standard deviation of ⟨Jᵀ u, v⟩
    """
    rng = np.random.default_rng(SEED) if rng is None else rng
    parameters = named(f, params)
    copies = [cast_copy(x, np.float64) for x in inputs]
    rows = []
    with values_in(np.float64, parameters.values()):
        y, backward = f(*copies)
        outputs = [np.array(part, copy=True) for part in as_tuple(y)]
        us = [np.asarray(rng.standard_normal(part.shape)) for part in outputs]
        for name, x, g in gradients(f, backward, copies, us, parameters):
            v, centre = np.asarray(rng.standard_normal(x.shape)), x.copy()
            x[...] = centre + eps * v
            above = [np.array(part, copy=True) for part in as_tuple(f(*copies)[0])]
            x[...] = centre - eps * v
            numeric = change(us, above, as_tuple(f(*copies)[0])) / (2 * eps)
            x[...] = centre
            tiny = rounding(x, outputs, us, eps) / tolerance
            rows.append(_row(name, v, g, numeric, tiny))
    return GradientReport(tuple(rows), (), tolerance)


def _row(name: str, v: Array, g: Array | None, numeric: float, tiny: float) -> ArrayCheck:
    if g is None:
        error = abs(numeric) / max(abs(numeric), tiny)
        return ArrayCheck(name, v.shape, error, None, 0.0, numeric, "no gradient")
    if g.shape != v.shape:
        note = f"gradient has shape {g.shape}"
        return ArrayCheck(name, v.shape, np.inf, None, np.nan, numeric, note)
    analytic = float(np.vdot(g, v))
    error = abs(analytic - numeric) / max(float(np.linalg.norm(g)), abs(numeric), tiny)
    return ArrayCheck(name, v.shape, error, None, analytic, numeric)
