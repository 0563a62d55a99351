"""What a comparison has found, in sentences and tables for the student."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nnlib.array import Array
from nnlib.check.diagnose import diagnose
from nnlib.check.diagnosis import Diagnosis, Kind
from nnlib.check.report import ArrayCheck, GradientReport
from nnlib.check.subject import input_names

NONE = "it returned None: is a return missing?"
NOT_LINEAR = "backward is not linear in dy"  # as nnlib.check says it
WRITES = "backward writes to dy"
NOT_TWICE = "a second call of backward gives another gradient"
MATMUL = re.compile(r"size (\d+) is different from (\d+)")
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
    return sentence_of(found, mine) if about is not None or found.kind in PLAIN else ""


def sentence_of(found: Diagnosis, mine: Any) -> str:
    """A diagnosis of `mine` as the student is told it; empty where nothing has been recognised."""
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


def told(
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
    lines = about_shapes(shapes)
    missing = [row.name for row in report.rows if row.note == "no gradient"]
    lines += [f"d{name} is None: is a return missing?" for name in missing]
    wrong = [row for row in report.rows if not row.error <= report.tolerance]
    if WRITES in problems:
        return [f"{WRITES}: make a new array, dx = dy * ..., not dy *= ..."]
    if NOT_TWICE in problems:  # nothing else can then be relied on
        return [
            f"{NOT_TWICE}: does it write to an array (a -= ..., a[i] = ...) that it needs again?"
        ]
    said: list[tuple[str, str]] = []
    for row in wrong:
        if NOT_LINEAR in problems and row.diagnosis and row.diagnosis.kind is Kind.FACTOR:
            continue  # it is dy that makes the factor
        if row.diagnosis is not None and row.gradients is not None and row.name not in missing:
            found = diagnosis(*row.gradients, about) if about else ""
            said.append((f"d{row.name}", found or sentence_of(row.diagnosis, row.gradients[0])))
    lines += grouped(said)
    for problem in problems:
        if problem == NOT_LINEAR:
            lines.append(f"{problem}: every term must have dy in it as a factor, and once")
        elif not wrong:
            lines.append(problem)
    comparable = any(row.gradients is not None and row.name not in missing for row in wrong)
    if comparable:
        lines.insert(0, table([(f"d{row.name}", row) for row in report.rows], report.tolerance))
    return lines


def about_shapes(shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[str]:
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


def grouped(said: Sequence[tuple[str, str]]) -> list[str]:
    """ "dw, db: ..." where the same is said of several arrays."""
    names: dict[str, list[str]] = {}
    for name, sentence in said:
        if sentence:
            names.setdefault(sentence, []).append(name)
    return [f"{', '.join(of)}: {sentence}" for sentence, of in names.items()]


def table(rows: Sequence[tuple[str, ArrayCheck]], tolerance: float) -> str:
    """Array by array: how far off it is, where most, and the two numbers there."""
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


def describe(value: Any) -> str:
    """What a value is: an array of shape (3,), a tuple of 2, a float."""
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return repr(value) if value is None else f"a {type(value).__name__}"


def described(function: Callable[..., Any], inputs: Sequence[Any]) -> str:
    """The arguments of a call: "x (5, 3), w (3,), b a float"."""
    names = input_names(function, len(inputs))
    shapes = [str(x.shape) if isinstance(x, np.ndarray) else describe(x) for x in inputs]
    return ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True))
