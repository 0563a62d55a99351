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
from nnlib.check.diagnose import diagnose
from nnlib.check.diagnosis import Diagnosis, Kind
from nnlib.check.gradients import differences, gradients, rounding
from nnlib.check.report import ArrayCheck, compare
from nnlib.check.subject import Parameters, as_tuple, cast_copy, input_names

EPS = 1e-6
SEED = 20170821  # of the dy that a backward is given
HEAD = ("array", "shape", "error", "worst at", "yours", "expected", "")
PLAIN = (  # mistakes that are told of any array, be it a gradient or not
    Kind.FLOAT32, Kind.ZERO, Kind.FACTOR, Kind.TWICE, Kind.HALF, Kind.SIGN,
    Kind.BATCH_SIZE, Kind.OVER_BATCH_SIZE, Kind.TRANSPOSED, Kind.REVERSED, Kind.SHIFTED,
    Kind.PERMUTED, Kind.BLOCKS_SWAPPED, Kind.ONLY_LAST, Kind.ONLY_FIRST, Kind.PARTLY,
)  # fmt: skip


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
    about: Mapping[str, Any] | None,
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
    about: Mapping[str, Any] | None,
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
    about = {"noise": tiny * tolerance} | dict(about or {})
    _compare_arrays(finding, labels, result, reference, tolerance, about, tiny)
    return finding


def compare_pair(
    mine: Callable[..., Any],
    inputs: Sequence[Any],
    forward: Callable[..., Any],
    params: Parameters,
    tolerance: float,
    about: Mapping[str, Any] | None,
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
    rng = np.random.default_rng(SEED)
    report = check_gradients(mine, *inputs, params=params, rng=rng, tolerance=tolerance)
    finding.worst = max(finding.worst, report.error)
    finding.values += [row.gradients[0] for row in report.rows if row.gradients]
    if report.passed:
        return finding
    finding.wrong.append(_table([(f"d{row.name}", row) for row in report.rows], tolerance))
    for row in report.rows:
        if row.diagnosis is not None and row.gradients is not None:
            found = diagnosis(*row.gradients, about) if about else _sentence(row.diagnosis)
            finding.wrong += [f"d{row.name}: {found}"] if found else []
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


def diagnosis(mine: Array, reference: Array, about: Mapping[str, Any] | None) -> str:
    """What is wrong with an array, in one sentence; empty where it has no name.

    Arguments
        about: what `diagnose` is told; None: the array is no gradient, only plain mistakes count
    """
    found = diagnose(mine, reference, **(about or {}))
    return _sentence(found) if about is not None or found.kind in PLAIN else ""


def _sentence(found: Diagnosis) -> str:
    return "" if found.kind in (Kind.CORRECT, Kind.UNRELATED) else str(found)


def known_mistake(
    values: Sequence[Any], inputs: Sequence[Any], mistakes: Mapping[str, Callable[..., Any]]
) -> str:
    """The sentence of the known mistake that gives just these values; empty if none does.

    A mistake that is a pair (y, backward) is compared in y and in the gradients of the inputs.
    """
    mine = list(flat(values))
    for sentence, mistake in mistakes.items():
        copies = _copies(inputs)
        result = as_tuple(mistake(*copies))
        if len(result) == 2 and callable(result[1]):
            rng = np.random.default_rng(SEED)
            y = as_tuple(result[0])
            dys = [np.asarray(rng.standard_normal(np.shape(part))) for part in y]
            result = (*y, *(g for _, _, g in gradients(mistake, result[1], copies, dys, {})))
            theirs = list(flat(result))[: len(mine)]
            ours = mine[: len(theirs)]
        else:
            theirs, ours = list(flat(result)), mine
        if ours and _same(ours, theirs):
            return sentence
    return ""


def _same(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return len(a) == len(b) and all(
        x.shape == y.shape and np.allclose(x, y, rtol=1e-6, atol=1e-12)
        for x, y in zip(a, b, strict=True)
    )


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
    about: Mapping[str, Any] | None,
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
            f"it must return {len(reference)} array(s), {', '.join(names)}; this is "
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
    lines = [HEAD, *(_cells(name, row, tolerance) for name, row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(name: str, row: ArrayCheck, tolerance: float) -> tuple[str, ...]:
    return (
        name,
        str(row.shape),
        f"{row.error:.1e}",
        "-" if not row.worst else str(list(row.worst)),
        _number(row.analytic),
        _number(row.numeric),
        "" if row.error <= tolerance else f"<- {row.note.removeprefix('gradient has ') or 'wrong'}",
    )


def _number(x: float) -> str:
    return "-" if np.isnan(x) else f"{x:+.6g}"


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


def described(function: Callable[..., Any], inputs: Sequence[Any]) -> str:
    """The arguments of a call: "x (5, 3), w (3,), b a float"."""
    names = input_names(function, len(inputs))
    shapes = [str(x.shape) if isinstance(x, np.ndarray) else _describe(x) for x in inputs]
    return ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True))


def flat(values: Sequence[Any]) -> Iterator[Array]:
    """The numeric arrays of nested results, for comparing two runs."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from flat(value)
        elif value is not None and np.asarray(value).dtype.kind in "fiub":
            yield np.asarray(value, np.float64)
