"""Gradient checking: the backward of anything against central differences of its forward.

    ∂L/∂x_i ≈ (L(x + ε e_i) − L(x − ε e_i)) / 2ε     with L = Σ dy ⊙ y for one random dy

In float64 with ε = 10⁻⁶ the two agree to some nine digits, or one of them is wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnlib.array import Array
from nnlib.check.contract import check_contract
from nnlib.check.diagnose import diagnose
from nnlib.check.report import GradientReport, compare
from nnlib.check.subject import (
    SEED,
    Function,
    Parameters,
    as_tuple,
    cast_copy,
    input_names,
    named,
    values_in,
)
from nnlib.parameter import Parameter


def check_gradients(
    f: Function,
    *inputs: Array,
    params: Parameters = (),
    rng: np.random.Generator | None = None,
    eps: float = 1e-6,
    tolerance: float = 1e-6,
) -> GradientReport:
    """Compare every gradient of `y, backward = f(*inputs)` with central differences, in float64.

    Every coordinate of every floating-point input and of every parameter is moved by ±eps; then
    `check_contract` looks at what numbers do not show, and `diagnose` at gradients that are wrong.
    Inputs are copied, parameters and their gradients are left as they were.  A failed check is a
    report whose `passed` is False, never an exception; what f itself raises is passed on.

    Arguments
        f: a layer, a loss or any other function that returns (y, backward); y may be a tuple
        inputs: its arrays; other arguments go in by a lambda, and so does noise:
            `lambda x: layer(x, rng=np.random.default_rng(7))`
        params: parameters that f uses: a layer, Parameters, or (name, Parameter) pairs; those of
            an f that is a layer itself are found without being listed
        rng: draws dy
        eps: ε
        tolerance: on max |analytic − numeric| / max(|analytic|, |numeric|), array by array
    """
    rng = np.random.default_rng(SEED) if rng is None else rng
    parameters = named(f, params)
    copies = [cast_copy(x, np.float64) for x in inputs]
    with values_in(np.float64, parameters.values()):
        y, backward = f(*copies)
        outputs = [np.array(part, copy=True) for part in as_tuple(y)]
        dys = [np.asarray(rng.standard_normal(part.shape)) for part in outputs]
        analytic = gradients(f, backward, copies, dys, parameters)

        def evaluate() -> list[Array]:
            return [np.array(part, copy=True) for part in as_tuple(f(*copies)[0])]

        rows = []
        for name, x, dx in analytic:
            noise = rounding(x, outputs, dys, eps)
            numeric = differences(evaluate, x, dys, eps)
            row = compare(name, x, dx, numeric, noise / tolerance)
            if not row.error <= tolerance:
                context = _context(copies, analytic, dys)
                found = diagnose(dx, numeric, tolerance=tolerance, noise=noise, **context)
                row = replace(row, diagnosis=found)
            rows.append(row)
    problems = check_contract(f, *inputs, params=list(parameters.items()), rng=rng)
    return GradientReport(tuple(rows), tuple(problems), tolerance)


def assert_gradients(f: Function, *inputs: Array, params: Parameters = (), **options: Any) -> None:
    """`check_gradients` for tests.

    Raises
        AssertionError: a gradient is wrong or the contract broken; its message is the table.
    """
    report = check_gradients(f, *inputs, params=params, **options)
    if not report.passed:
        raise AssertionError(str(report))


def gradients(
    f: Function,
    backward: Callable[..., Any],
    inputs: Sequence[Array],
    dys: Sequence[Array],
    parameters: dict[str, Parameter],
) -> list[tuple[str, Array, Array | None]]:
    """(name, array, its gradient or None) of every float input and parameter, by one backward."""
    dinputs = as_tuple(backward(*(dy.copy() for dy in dys)))
    dinputs += (None,) * (len(inputs) - len(dinputs))
    found = [
        (name, x, None if dx is None else np.array(dx, copy=True))
        for name, x, dx in zip(input_names(f, len(inputs)), inputs, dinputs, strict=False)
        if x.dtype.kind == "f"
    ]
    for name, p in parameters.items():
        missing = p.grad is None and not p.rows
        found.append((name, p.value, None if missing else p.dense_grad()))
    return found


def _context(
    inputs: Sequence[Array],
    analytic: Sequence[tuple[str, Array, Array | None]],
    dys: Sequence[Array],
) -> dict[str, Any]:
    """What `diagnose` is told: sizes as inputs (B, I) and (T, B, I) have them, and all arrays."""
    shapes: list[tuple[int, ...]] = [x.shape for x in inputs if x.dtype.kind == "f"]
    shape = max(shapes, key=len, default=())
    whole = [x for x in inputs if x.dtype.kind in "iu" and x.size]
    outputs = {"dy" if len(dys) == 1 else f"dy[{i}]": dy for i, dy in enumerate(dys)}
    return {
        "batch_size": shape[-2] if len(shape) in (2, 3) else None,
        "sizes": {"T": shape[0]} if len(shape) == 3 else {},
        "ids": whole[0] if whole else None,
        "terms": outputs | {name: x for name, x, _ in analytic},
    }


def differences(
    evaluate: Callable[[], Sequence[Array]], x: Array, dys: Sequence[Array], eps: float
) -> Array:
    """∂(Σ dy ⊙ y)/∂x by central differences; `x` is moved in place and put back.

    Outputs are subtracted one by one before they are summed, so that a large output that does not
    depend on x_i costs the others no digits.
    """
    gradient = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        centre = x[at]
        x[at] = above = centre + eps
        y_above = evaluate()
        x[at] = below = centre - eps
        y_below = evaluate()
        x[at] = centre
        gradient[at] = change(dys, y_above, y_below) / (above - below)
    return gradient


def change(dys: Sequence[Array], y_above: Sequence[Array], y_below: Sequence[Array]) -> float:
    """Σ dy ⊙ (y_above − y_below) over all outputs."""
    return sum(float(np.vdot(dy, a - b)) for dy, a, b in zip(dys, y_above, y_below, strict=True))


def rounding(x: Array, outputs: Sequence[Array], dys: Sequence[Array], eps: float) -> float:
    """What of a numeric gradient by x may be only rounding: the last bit of Σ |dy ⊙ y|, over ε.

    An output smaller than x, or than 1, counts as that: numbers of that size may have cancelled
    on the way to it.
    """
    size = float(np.max(np.abs(x), initial=1))
    total = sum(
        float((np.abs(dy) * np.maximum(np.abs(y), size)).sum())
        for dy, y in zip(dys, outputs, strict=True)
    )
    return float(np.finfo(np.float64).eps) * total / eps
