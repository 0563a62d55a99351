"""An answer against an independent one: numbers, gradients, (y, backward) pairs, claims.

Every function here returns what is wrong, as lines for the student; no line means: right.  The
arrays that the student's code returned are kept beside it.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnlib.array import Array
from nnlib.check import check_gradients
from nnlib.check.diagnose import diagnose
from nnlib.check.diagnosis import Diagnosis, Kind
from nnlib.check.gradients import differences, gradients, rounding
from nnlib.check.report import ArrayCheck, GradientReport, compare
from nnlib.check.subject import Parameters, as_tuple, cast_copy, input_names

EPS = 1e-6
NONE = "it returned None: is a return missing?"
NOT_LINEAR = "backward is not linear in dy"  # as nnlib.check says it
MATMUL = re.compile(r"size (\d+) is different from (\d+)")
SEED = 20170821  # of the dy that a backward is given
HEAD = ("array", "shape", "error", "worst at", "yours", "expected", "")
PLAIN = (  # mistakes that are told of any array, be it a gradient or not
    Kind.FLOAT32, Kind.ZERO, Kind.FACTOR, Kind.TWICE, Kind.HALF, Kind.SIGN,
    Kind.BATCH_SIZE, Kind.OVER_BATCH_SIZE, Kind.TRANSPOSED, Kind.REVERSED, Kind.SHIFTED,
    Kind.PERMUTED, Kind.BLOCKS_SWAPPED, Kind.ONLY_LAST, Kind.ONLY_FIRST, Kind.PARTLY,
)  # fmt: skip
OF_GRADIENTS = (Kind.DERIVATIVE, Kind.ELEMENTWISE, Kind.ACCUMULATED, Kind.DUPLICATES)
NUMBER = (  # those that a single number can show; any two numbers are a factor apart
    Kind.FLOAT32, Kind.ZERO, Kind.NOT_ZERO, Kind.TWICE, Kind.HALF, Kind.SIGN,
    Kind.BATCH_SIZE, Kind.OVER_BATCH_SIZE,
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
        finding.wrong += _told(report, about, input_names(mine, len(inputs)))
    return finding


def _no_pair(result: Any) -> str:
    """Why a result is not (y, backward); empty if it is."""
    if result is None:
        return NONE
    if not isinstance(result, tuple | list) or len(result) != 2:
        return f"it must return (y, backward), this is {_describe(result)}"
    if callable(result[1]):
        return ""
    if callable(result[0]):
        return "it must return (y, backward), in this order: the function comes second"
    return (
        "it must return (y, backward), and backward must be a function, not what it returns; "
        f"this is {_describe(result[1])}"
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


def _told(
    report: GradientReport, about: Mapping[str, Any] | None, inputs: Sequence[str]
) -> list[str]:
    """A failed check of gradients in the words of the course, the worst problem first."""
    problems = list(report.problems)
    if counts := [p for p in problems if p.startswith("backward returns ")]:
        if f"the gradient of {inputs[0]} is None" in problems:
            return ["backward returned None: is a return missing?"]
        names = ", ".join(f"d{name}" for name in inputs)
        return [f"{counts[0]}; it must return {names}"]
    shapes = {
        f"d{row.name}": (row.note.removeprefix("gradient has shape "), row.shape)
        for row in report.rows
        if row.note.startswith("gradient has shape ")
    }
    lines = _about_shapes(shapes)
    missing = [row.name for row in report.rows if row.note == "no gradient"]
    lines += [f"d{name} is None: is a return missing?" for name in missing]
    wrong = [row for row in report.rows if not row.error <= report.tolerance]
    said: list[tuple[str, str]] = []
    for row in wrong:
        if row.diagnosis is not None and row.gradients is not None and row.name not in missing:
            found = diagnosis(*row.gradients, about) if about else ""
            said.append((f"d{row.name}", found or _sentence(row.diagnosis, row.gradients[0])))
    lines += _grouped(said)
    for problem in problems:
        if problem == NOT_LINEAR:
            lines.append(f"{problem}: every term must have dy in it as a factor, and once")
        elif not wrong:
            lines.append(problem)
    comparable = any(row.gradients is not None and row.name not in missing for row in wrong)
    table = [_table([(f"d{row.name}", row) for row in report.rows], report.tolerance)]
    return [*(table if comparable else []), *lines]


def _about_shapes(shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[str]:
    """Sentences about arrays whose shape is not what it must be: {name: (shape, expected)}."""
    if len(shapes) > 1 and sorted(s for s, _ in shapes.values()) == sorted(
        str(expected) for _, expected in shapes.values()
    ):
        return [f"{', '.join(shapes)} have each other's shapes: are they returned in this order?"]
    lines = []
    for name, (shape, expected) in shapes.items():
        line = f"{name} has shape {shape}, it must be {expected}"
        if len(expected) == 2 and shape == str(expected[::-1]):
            line += ": it is transposed"
        lines.append(line)
    return lines


def _grouped(said: Sequence[tuple[str, str]]) -> list[str]:
    """ "dw, db: ..." where the same is said of several arrays."""
    names: dict[str, list[str]] = {}
    for name, sentence in said:
        if sentence:
            names.setdefault(sentence, []).append(name)
    return [f"{', '.join(of)}: {sentence}" for sentence, of in names.items()]


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
        finding.wrong.append(f"it must return {names}; this is {_describe(result)}")
        return finding
    try:
        found = {sentence: bool(true) for sentence, true in claims(*parts).items()}
    except NotImplementedError:
        raise
    except Exception as error:
        given = ", ".join(_describe(part) for part in parts)
        finding.wrong += [f"what it returned does not fit: {plain(error)}", f"it is {given}"]
        return finding
    finding.wrong += [f"not so: {sentence}" for sentence, true in found.items() if not true]
    return finding


def diagnosis(
    mine: Array, reference: Array, about: Mapping[str, Any] | None, gradient: bool = True
) -> str:
    """What is wrong with an array, in one sentence; empty where it has no name.

    Arguments
        about: what `diagnose` is told; None: only plain mistakes count
        gradient: False: it is no gradient, although `about` is given
    """
    found = diagnose(mine, reference, **(about or {}))
    if np.size(reference) == 1 and found.kind not in NUMBER:
        return ""
    if not gradient and found.kind in OF_GRADIENTS:
        return ""
    return _sentence(found, mine) if about is not None or found.kind in PLAIN else ""


def _sentence(found: Diagnosis, mine: Any) -> str:
    if found.kind is Kind.FLOAT32:
        if np.asarray(mine).dtype.itemsize < 8:
            return f"right, but only to the digits of {np.asarray(mine).dtype}: compute in float64"
        return "nearly right, but not exact: is something rounded, or only approximately so?"
    return "" if found.kind in (Kind.CORRECT, Kind.UNRELATED) else str(found)


def plain(error: Exception) -> str:
    """An error's message, in words where NumPy has none for beginners."""
    if "matmul" in str(error) and (sizes := MATMUL.search(str(error))):
        right, left = sizes.groups()
        return (
            f"the shapes do not fit: left of @ a row has {left} entries, right of @ a column has "
            f"{right}"
        )
    return str(error)


def known_mistake(
    values: Sequence[Any], inputs: Sequence[Any], mistakes: Mapping[str, Callable[..., Any]]
) -> str:
    """The sentence of the known mistake that gives just these values; empty if none does.

    A mistake that is a pair (y, backward) is compared in y and in the gradients of the inputs.
    """
    mine = list(flat(values))
    for sentence, mistake in mistakes.items():
        copies = _copies(inputs)
        try:
            result = as_tuple(mistake(*copies))
        except Exception:  # it may call what the student wrote
            continue
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
        finding.wrong.append(f"it must return {wanted}; this is {_describe(result)}")
        return
    rows, shapes = [], dict[str, tuple[str, tuple[int, ...]]]()
    sentences, said = list[str](), list[tuple[str, str]]()
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
            shapes[name] = str(mine.shape), expected.shape
        elif not np.isfinite(mine).all():
            sentences.append(f"{name} has values that are not finite (NaN or infinity)")
        elif not row.error <= tolerance:
            if row.error <= 1e-6:  # less than what `diagnose` looks at
                said.append((name, _sentence(Diagnosis(Kind.FLOAT32, ""), part)))
            else:
                found = diagnosis(_with_dtype(mine, part), expected, about, gradient)
                said.append((name, found))
    wrong = [row for _, row in rows if not row.error <= tolerance]
    if any(row.worst is not None or not row.shape for row in wrong if row.error != np.inf):
        finding.wrong.append(_table(rows, tolerance))
    if wrong:
        finding.wrong += [*_about_shapes(shapes), *sentences, *_grouped(said)]


def _with_dtype(mine: Array, part: Any) -> Array:
    """`mine` in single precision where `part` was."""
    return mine.astype(np.float32) if np.asarray(part).dtype == np.float32 else mine


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
