"""What a gradient check found, as a table."""

from dataclasses import dataclass, field

import numpy as np

from nnlib.array import Array
from nnlib.check.diagnosis import Diagnosis


@dataclass(frozen=True)
class ArrayCheck:
    """One array's gradient: how far the backward's is from the numeric one, and where."""

    name: str
    shape: tuple[int, ...]
    error: float  # max |analytic − numeric| / max(|analytic|, |numeric|) over the array
    worst: tuple[int, ...] | None  # where that maximum is; None: it belongs to the whole array
    analytic: float  # the two numbers there
    numeric: float
    note: str = ""  # what is wrong, where that can be said in the table
    diagnosis: Diagnosis | None = None  # of a gradient that failed
    gradients: tuple[Array, Array] | None = field(default=None, compare=False, repr=False)
    # (analytic, numeric), all of them; None if the shapes differ or they were not computed


@dataclass(frozen=True)
class GradientReport:
    """The outcome of a gradient check; `print` shows it as a table."""

    rows: tuple[ArrayCheck, ...]
    problems: tuple[str, ...]  # broken clauses of the contract, one sentence each
    tolerance: float
    name: str = "gradients"

    @property
    def passed(self) -> bool:
        """Every error is within the tolerance and the contract is kept."""
        return not self.problems and all(row.error <= self.tolerance for row in self.rows)

    @property
    def error(self) -> float:
        """The largest error of all arrays; NaN if one is NaN."""
        return float(np.max([row.error for row in self.rows], initial=0.0))

    def __str__(self) -> str:
        lines = [f"{self.name}: {'passed' if self.passed else 'FAILED'}"]
        head = ("array", "shape", "error", "worst at", "analytic", "numeric", "")
        table = [head] + [_cells(row, self.tolerance) for row in self.rows]
        widths = [max(len(line[i]) for line in table) for i in range(len(head))]
        for line in table if self.rows else []:
            lines.append(
                "  " + "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
            )
        lines += [f"  {row.name}: {row.diagnosis}" for row in self.rows if row.diagnosis]
        return "\n".join(lines + [f"  contract: {problem}" for problem in self.problems])


def compare(name: str, x: Array, analytic: Array | None, numeric: Array, tiny: float) -> ArrayCheck:
    """One row of the table.

    Arguments
        x: the array that was moved
        analytic: its gradient by the backward; None if there is none
        numeric: its gradient by differences, of x's shape
        tiny: least denominator of the error, below which `numeric` is only rounding
    """
    note = ""
    if analytic is None:
        analytic, note = np.zeros(x.shape), "no gradient"
    elif analytic.shape != x.shape:
        return ArrayCheck(
            name, x.shape, np.inf, None, np.nan, np.nan, f"gradient has shape {analytic.shape}"
        )
    if x.size == 0:
        return ArrayCheck(name, x.shape, 0.0, None, 0.0, 0.0)
    difference = np.abs(analytic - numeric)
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(difference), x.shape))
    scale = max(np.abs(analytic).max(), np.abs(numeric).max(), tiny) or 1.0
    error = float(difference[worst] / scale) if np.isfinite(scale) else np.nan
    return ArrayCheck(
        name,
        x.shape,
        error,
        worst,
        float(analytic[worst]),
        float(numeric[worst]),
        note,
        gradients=(analytic, numeric),
    )


def _cells(row: ArrayCheck, tolerance: float) -> tuple[str, ...]:
    wrong = not row.error <= tolerance
    return (
        row.name,
        str(row.shape),
        f"{row.error:.1e}",
        "-" if row.worst is None else str(list(row.worst)),
        f"{row.analytic:+.6g}",
        f"{row.numeric:+.6g}",
        f"<- {_note(row)}" if wrong else "",
    )


def _note(row: ArrayCheck) -> str:
    return row.note or (f"wrong: {row.diagnosis.kind}" if row.diagnosis else "wrong")
