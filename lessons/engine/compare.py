"""An answer against an independent one: numbers, gradients, (y, backward) pairs, claims.

Every function here returns what is wrong, as lines for the student; no line means: right.  The
arrays that the student's code returned are kept beside it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnlib.array import Array
from nnlib.check import check_gradients
from nnlib.check.gradients import differences, gradients, rounding
from nnlib.check.report import ArrayCheck, compare
from nnlib.check.subject import Parameters, as_tuple, cast_copy, input_names, named

EPS = 1e-6


@dataclass
class Finding:
    """What comparing has found: lines that say what is wrong, and the student's arrays."""

    wrong: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    worst: float = 0.0  # largest relative error of all arrays


def compare_values(
    mine: Callable[..., Any],
    inputs: Sequence[Any],
    expected: Any,
    tolerance: float,
    about: Mapping[str, Any],
) -> Finding:
    """The result of mine(*inputs), array by array, with that of `expected`."""
    reference = as_tuple(expected(*_copies(inputs)) if callable(expected) else expected)
    result, finding = _call(mine, inputs)
    _compare_arrays(finding, "result", result, reference, tolerance, about)
    return finding


def compare_gradients(
    mine: Callable[..., Any],
    inputs: Sequence[Any],
    loss: Callable[..., Any],
    by: Sequence[str],
    tolerance: float,
    about: Mapping[str, Any],
) -> Finding:
    """The gradients that mine(*inputs) returns with central differences of loss(*inputs)."""
    copies = [cast_copy(x, np.float64) if _is_float(x) else x for x in inputs]
    names = input_names(loss, len(inputs))
    by = by or [name for name, x in zip(names, inputs, strict=True) if _is_float(x)]

    def evaluate() -> list[Array]:
        return [np.array(loss(*copies), dtype=np.float64)]

    one = [np.ones(())]
    reference, tiny = [], 0.0
    for name in by:
        x = copies[names.index(name)]
        tiny = max(tiny, rounding(x, evaluate(), one, EPS) / tolerance)
        reference.append(differences(evaluate, x, one, EPS))
    result, finding = _call(mine, inputs)
    labels = [f"d{name}" for name in by]
    _compare_arrays(finding, labels, result, reference, tolerance, about, tiny)
    return finding


def compare_pair(
    mine: Callable[..., Any],
    inputs: Sequence[Any],
    forward: Callable[..., Any],
    params: Parameters,
    tolerance: float,
    about: Mapping[str, Any],
) -> Finding:
    """y of `y, backward = mine(*inputs)` with forward(*inputs), backward with differences."""
    result, finding = _call(mine, inputs)
    if not (isinstance(result, tuple) and len(result) == 2 and callable(result[1])):
        finding.wrong.insert(0, f"it must return (y, backward), this is {_describe(result)}")
        return finding
    reference = as_tuple(forward(*_copies(inputs)))
    _compare_arrays(finding, "y", result[0], reference, 1e-9, about)
    if finding.wrong:
        return finding
    report = check_gradients(mine, *inputs, params=params, tolerance=tolerance)
    finding.worst = max(finding.worst, report.error)
    rng = np.random.default_rng(0)
    copies = [cast_copy(x, np.float64) for x in inputs]
    parameters = named(mine, params)
    y, backward = mine(*copies)
    dys = [np.asarray(rng.standard_normal(np.shape(part))) for part in as_tuple(y)]
    found = list(gradients(mine, backward, copies, dys, parameters))
    finding.values += [g for _, _, g in found]
    if report.passed:
        return finding
    finding.wrong.append(_table([(f"d{row.name}", row) for row in report.rows], tolerance))
    for (name, x, g), row in zip(found, report.rows, strict=True):
        if not row.error <= tolerance and g is not None and g.shape == x.shape:

            def evaluate() -> list[Array]:
                return [np.array(part, copy=True) for part in as_tuple(mine(*copies)[0])]

            sentence = diagnosis(g, differences(evaluate, x, dys, EPS), about)
            finding.wrong += [f"d{name}: {sentence}"] if sentence else []
    finding.wrong += [f"contract: {problem}" for problem in report.problems]
    return finding


def compare_claims(
    mine: Callable[..., Any], inputs: Sequence[Any], claims: Callable[..., Mapping[str, Any]]
) -> Finding:
    """Sentences about the result of mine(*inputs) that must all be true."""
    result, finding = _call(mine, inputs)
    if result is None:
        finding.wrong.append("it returned None: is a return missing?")
        return finding
    for sentence, true in claims(*as_tuple(result)).items():
        if not true:
            finding.wrong.append(f"not so: {sentence}")
    return finding


def diagnosis(mine: Array, reference: Array, about: Mapping[str, Any]) -> str:
    """What is wrong with an array, in one sentence; empty where it has no name."""
    try:
        from nnlib.check.diagnose import diagnose
    except ImportError:
        return ""
    found = diagnose(mine, reference, **about)
    return "" if found.kind in ("correct", "unrelated") else str(found)


def known_mistake(
    values: Sequence[Any], inputs: Sequence[Any], mistakes: Mapping[str, Callable[..., Any]]
) -> list[str]:
    """The sentence of the known mistake that gives just these values, in a list."""
    mine = list(flat(values))
    for sentence, mistake in mistakes.items():
        theirs = list(flat(as_tuple(mistake(*_copies(inputs)))))
        if len(mine) == len(theirs) and all(
            a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-12)
            for a, b in zip(mine, theirs, strict=True)
        ):
            return [sentence]
    return []


def _call(mine: Callable[..., Any], inputs: Sequence[Any]) -> tuple[Any, Finding]:
    copies = _copies(inputs)
    result = mine(*copies)
    finding = Finding()
    if any(_changed(a, b) for a, b in zip(copies, inputs, strict=True)):
        finding.wrong.append("it changes its arguments: work on new arrays (x = x + 1, not x += 1)")
    finding.values = [part for part in as_tuple(result) if not callable(part)]
    return result, finding


def _compare_arrays(
    finding: Finding,
    names: str | Sequence[str],
    result: Any,
    reference: Sequence[Any],
    tolerance: float,
    about: Mapping[str, Any],
    tiny: float = 0.0,
) -> None:
    """Add to the finding what is wrong with the result: None, count, type, shape, numbers."""
    parts = as_tuple(result)
    if isinstance(names, str):
        one = len(reference) == 1
        names = [names] if one else [f"{names}[{i}]" for i in range(len(reference))]
    if result is None:
        finding.wrong.append("it returned None: is a return missing?")
        return
    if len(parts) != len(reference):
        finding.wrong.append(
            f"it must return {len(reference)} value(s) ({', '.join(names)}), this is "
            f"{_describe(result)}"
        )
        return
    rows, sentences = [], []
    for name, part, expected in zip(names, parts, reference, strict=True):
        try:
            mine = np.asarray(part, np.float64)
        except (TypeError, ValueError):
            finding.wrong.append(f"{name} must be an array, this is {_describe(part)}")
            continue
        expected = np.asarray(expected, np.float64)
        row = compare(name, expected, mine, expected, tiny)
        rows.append((name, row))
        finding.worst = max(finding.worst, row.error) if row.error == row.error else np.inf
        if mine.shape != expected.shape:
            sentences.append(f"{name} has shape {mine.shape}, it must be {expected.shape}")
        elif not np.isfinite(mine).all():
            sentences.append(f"{name} has values that are not finite (NaN or infinity)")
        elif not row.error <= tolerance and (sentence := diagnosis(mine, expected, about)):
            sentences.append(f"{name}: {sentence}")
    if any(not row.error <= tolerance for _, row in rows):
        finding.wrong += [_table(rows, tolerance), *sentences]


def _table(rows: Sequence[tuple[str, ArrayCheck]], tolerance: float) -> str:
    head = ("array", "shape", "error", "worst at", "yours", "expected", "")
    lines = [head, *(_cells(name, row, tolerance) for name, row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(name: str, row: ArrayCheck, tolerance: float) -> tuple[str, ...]:
    number = lambda x: "-" if np.isnan(x) else f"{x:+.6g}"
    return (
        name,
        str(row.shape),
        f"{row.error:.1e}",
        "-" if not row.worst else str(list(row.worst)),
        number(row.analytic),
        number(row.numeric),
        "" if row.error <= tolerance else f"<- {row.note or 'wrong'}",
    )


def _copies(inputs: Sequence[Any]) -> list[Any]:
    return [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]


def _changed(a: Any, b: Any) -> bool:
    return isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _is_float(x: Any) -> bool:
    return isinstance(x, float) or (hasattr(x, "dtype") and x.dtype.kind == "f")


def _describe(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return repr(value) if value is None else f"a {type(value).__name__}"


def flat(values: Sequence[Any]) -> Iterator[Array]:
    """The numeric arrays of nested results, for comparing two runs."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from flat(value)
        elif value is not None and np.asarray(value).dtype.kind in "fiub":
            yield np.asarray(value, np.float64)
