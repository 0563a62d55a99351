"""An answer against an independent one: numbers, gradients, (y, backward) pairs, claims.

Every function here returns what is wrong, as lines for the student (`wording` makes them); no line
means: right.  The arrays that the student's code returned are kept beside it.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lessons.engine.wording import (
    NONE,
    about_shapes,
    describe,
    diagnosis,
    grouped,
    plain,
    sentence_of,
    table,
    told,
)
from nnlib.array import Array
from nnlib.check import check_gradients
from nnlib.check.diagnosis import Diagnosis, Kind
from nnlib.check.gradients import differences, gradients, rounding
from nnlib.check.report import compare
from nnlib.check.subject import Parameters, as_tuple, cast_copy, input_names

EPS = 1e-6
SEED = 20170821  # of the dy that a backward is given


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
    if problem := _no_pair(result):
        finding.wrong.insert(0, problem)
        finding.values = []  # no mistake with numbers
        return finding
    reference = as_tuple(forward(*_copies(inputs)))
    _compare_arrays(finding, "y", result[0], reference, 1e-9, about, gradient=False)
    if finding.wrong:
        return finding
    if problem := _uncallable(result[1], reference):
        finding.wrong.append(problem)
        finding.values = []
        return finding
    rng = np.random.default_rng(SEED)
    report = check_gradients(mine, *inputs, params=params, rng=rng, tolerance=tolerance)
    finding.worst = max(finding.worst, report.error)
    # what cannot be compared must not look like any known mistake
    finding.values += [row.gradients[0] if row.gradients else np.nan for row in report.rows]
    if not report.passed:
        finding.wrong += told(report, about, input_names(mine, len(inputs)))
    return finding


def _no_pair(result: Any) -> str:
    """Why a result is not (y, backward); empty if it is."""
    if result is None:
        return NONE
    if not isinstance(result, tuple | list) or len(result) != 2:
        return f"it must return (y, backward), this is {describe(result)}"
    if callable(result[1]):
        return ""
    if callable(result[0]):
        return "it must return (y, backward), in this order: the function comes second"
    return (
        "it must return (y, backward), and backward must be a function, not what it returns; "
        f"this is {describe(result[1])}"
    )


def _uncallable(backward: Callable[..., Any], outputs: Sequence[Any]) -> str:
    """Why backward cannot be called as it will be; empty if it can."""
    try:
        signature = inspect.signature(backward)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*outputs)
    except TypeError:
        takes = "one argument, as in def backward(dy)"
        if len(outputs) > 1:
            takes = f"{len(outputs)} arguments, one for each output"
        return f"backward must take {takes}; what else it needs, it sees in the function around it"
    try:
        signature.bind(*([] if len(outputs) == 1 and np.ndim(outputs[0]) == 0 else outputs))
    except TypeError:
        return "a loss is where the chain begins, backward() must do: def backward(dloss=1.0)"
    return ""


def compare_claims(
    mine: Callable[..., Any], inputs: Sequence[Any], claims: Callable[..., Mapping[str, Any]]
) -> Finding:
    """Sentences about the result of mine(*inputs) that must all be true."""
    result, finding = _call(mine, inputs)
    if result is None:
        finding.wrong.append(NONE)
        return finding
    parts = as_tuple(result)
    try:
        inspect.signature(claims).bind(*parts)
    except TypeError:
        names = ", ".join(inspect.signature(claims).parameters)
        finding.wrong.append(f"it must return {names}; this is {describe(result)}")
        return finding
    try:
        found = {sentence: bool(true) for sentence, true in claims(*parts).items()}
    except NotImplementedError:
        raise
    except Exception as error:
        given = ", ".join(describe(part) for part in parts)
        finding.wrong += [f"what it returned does not fit: {plain(error)}", f"it is {given}"]
        return finding
    finding.wrong += [f"not so: {sentence}" for sentence, true in found.items() if not true]
    return finding


def known_mistake(
    values: Sequence[Any], inputs: Sequence[Any], mistakes: Mapping[str, Callable[..., Any]]
) -> str:
    """The sentence of the known mistake that gives just these values; empty if none does.

    A mistake that is a pair (y, backward) is compared in y and in the gradients of the inputs.
    """
    mine = list(flat(values))
    for sentence, mistake in mistakes.items():
        try:
            result = as_tuple(mistake(*_copies(inputs)))
            pair = len(result) == 2 and callable(result[1])
            theirs = list(flat(_with_gradients(mistake, inputs) if pair else result))
        except Exception:  # it may call what the student wrote
            continue
        ours = mine
        if pair:  # of a wrong y there is only y; of parameters the mistake has no gradient
            theirs = theirs[: len(mine)]
            ours = mine[: len(theirs)]
        if ours and _same(ours, theirs):
            return sentence
    return ""


def _with_gradients(mistake: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    """y of `y, backward = mistake(*inputs)` and the gradients, from the dy that students get."""
    copies = [cast_copy(x, np.float64) for x in inputs]
    y, backward = mistake(*copies)
    rng = np.random.default_rng(SEED)
    dys = [np.asarray(rng.standard_normal(np.shape(part))) for part in as_tuple(y)]
    return [*as_tuple(y), *(g for _, _, g in gradients(mistake, backward, copies, dys, {}))]


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
    gradient: bool = True,
) -> None:
    """Add to the finding what is wrong with the result: None, count, type, shape, numbers."""
    parts = as_tuple(result)
    if isinstance(names, str):
        one = len(reference) == 1
        names = [names] if one else [f"{names}[{i}]" for i in range(len(reference))]
    if result is None:
        finding.wrong.append(NONE)
        return
    if len(parts) != len(reference):
        wanted = f"{len(reference)} results, {', '.join(names)}"
        if len(reference) == 1:
            wanted = "an array, np.array(...)" if isinstance(result, list) else "one array"
        finding.wrong.append(f"it must return {wanted}; this is {describe(result)}")
        return
    rows, shapes = [], dict[str, tuple[str, tuple[int, ...]]]()
    sentences, said = list[str](), list[tuple[str, str]]()
    for name, part, expected in zip(names, parts, reference, strict=True):
        try:
            mine = np.asarray(part, np.float64)
        except (TypeError, ValueError):
            finding.wrong.append(f"{name} must be an array, this is {describe(part)}")
            continue
        expected = np.asarray(expected, np.float64)
        row = compare(name, expected, mine, expected, tiny)
        rows.append((name, row))
        finding.worst = max(finding.worst, row.error) if row.error == row.error else np.inf
        if mine.shape != expected.shape:
            shapes[name] = str(mine.shape), expected.shape
        elif not np.isfinite(mine).all():
            sentences.append(f"{name} has values that are not finite (NaN or infinity)")
        elif not row.error <= tolerance:
            if row.error <= 1e-6:  # less than what `diagnose` looks at
                said.append((name, sentence_of(Diagnosis(Kind.FLOAT32, ""), part)))
            else:
                found = diagnosis(_with_dtype(mine, part), expected, about, gradient)
                said.append((name, found))
    wrong = [row for _, row in rows if not row.error <= tolerance]
    if any(row.worst is not None or not row.shape for row in wrong if row.error != np.inf):
        finding.wrong.append(table(rows, tolerance))
    if wrong:
        finding.wrong += [*about_shapes(shapes), *sentences, *grouped(said)]


def _with_dtype(mine: Array, part: Any) -> Array:
    """`mine` in single precision where `part` was."""
    return mine.astype(np.float32) if np.asarray(part).dtype == np.float32 else mine


def _copies(inputs: Sequence[Any]) -> list[Any]:
    return [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]


def _changed(a: Any, b: Any) -> bool:
    return isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _is_float(x: Any) -> bool:
    return isinstance(x, float) or (hasattr(x, "dtype") and x.dtype.kind == "f")


def flat(values: Sequence[Any]) -> Iterator[Array]:
    """The numeric arrays of nested results, for comparing two runs."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from flat(value)
        elif value is not None and np.asarray(value).dtype.kind in "fiub":
            yield np.asarray(value, np.float64)
