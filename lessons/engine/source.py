"""Lessons as they are written: percent-format Python files, their cells and exercises.

A lesson is the single source of its two notebooks.  What marks an exercise stands in the file:

    ### BEGIN SOLUTION 01.2
    ### HINT One sentence.
    ...                             what the student is to write
    ### END SOLUTION
"""

import ast
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
ROOT = FOLDER.parent

CELL = re.compile(r"# %%(?P<markdown> \[markdown\])?\s*$")
HEADING = re.compile(r"^#+ Exercise (?P<id>\d\d\.\d+) · (?P<title>.+?)\s*$", re.MULTILINE)
BEGIN = re.compile(r"(?P<indent>\s*)### BEGIN SOLUTION (?P<id>\d\d\.\d+)\s*$")
END = re.compile(r"\s*### END SOLUTION\s*$")
HINT = re.compile(r"\s*### HINT (?P<text>.+?)\s*$")
MORE = re.compile(r"\s*###\s{2,}(?P<text>.+?)\s*$")
MARKER = "### BEGIN SOLUTION"


class LessonError(ValueError):
    """A lesson file that is not written as lessons/README.md says."""


@dataclass(frozen=True)
class Cell:
    """One cell: code, or markdown without the comment signs; `line` is its first in the file."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Exercise:
    """What the student writes: where it is, what it is called, and the hints to it."""

    id: str
    title: str
    cell: int  # position of the cell with the blank
    check: int  # position of the cell that calls check
    name: str  # the function or class that it is the body of
    hints: tuple[str, ...]
    solution: str  # the cell without markers and hints


@dataclass(frozen=True)
class Lesson:
    """A parsed lesson."""

    path: Path
    text: str
    title: str
    minutes: int
    prerequisites: str
    cells: tuple[Cell, ...]
    exercises: tuple[Exercise, ...]

    @property
    def number(self) -> str:
        """The two digits in front of the name."""
        return self.path.stem[:2]

    def exercise(self, id: str) -> Exercise:
        """The exercise with this id.

        Raises
            LessonError: there is none.
        """
        for exercise in self.exercises:
            if exercise.id == id:
                return exercise
        known = ", ".join(exercise.id for exercise in self.exercises)
        raise LessonError(f"exercise {id}: there is none, lesson {self.number} has {known}")


def lesson_files(folder: Path = FOLDER) -> list[Path]:
    """The lesson files of a folder, in order."""
    return sorted(folder.glob("[0-9][0-9]_*.py"))


def find_lesson(name: str, folder: Path = FOLDER) -> Path:
    """The file of lesson "05", "5" or "05_activations", or of exercise "05.2".

    Raises
        LessonError: there is none.
    """
    number = name.partition(".")[0].partition("_")[0].zfill(2)
    for path in lesson_files(folder):
        if path.stem.startswith(f"{number}_"):
            return path
    known = ", ".join(path.stem[:2] for path in lesson_files(folder))
    raise LessonError(f"{name}: no such lesson, there are {known or 'none'}")


def read_lesson(path: Path) -> Lesson:
    """Parse a lesson file.

    Raises
        LessonError: something is missing or out of place; the message says what and where.
    """
    return parse_lesson(path, path.read_text(encoding="utf-8"))


def parse_lesson(path: Path, text: str) -> Lesson:
    """Parse the text of a lesson file; see `read_lesson`."""
    cells = split_cells(text)
    head = cells[0] if cells else Cell("code", "", 1)
    title = re.match(r"# (\d\d) · (.+)", head.text) if head.kind == "markdown" else None
    if title is None or title[1] != path.stem[:2]:
        raise LessonError(
            f"{path.name}: the first cell must be markdown and begin '# {path.stem[:2]} · Title'"
        )
    minutes = _field(path, head, "Minutes")
    if not minutes.isdigit():
        raise LessonError(f"{path.name}: Minutes must be a whole number, not {minutes!r}")
    return Lesson(
        path=path,
        text=text,
        title=title[2].strip(),
        minutes=int(minutes),
        prerequisites=_field(path, head, "Prerequisites"),
        cells=cells,
        exercises=_exercises(path, cells),
    )


def split_cells(text: str) -> tuple[Cell, ...]:
    """The cells of a percent-format file, blank lines around each removed."""
    cells: list[Cell] = []
    kind, start, lines = "code", 1, list[str]()

    def close() -> None:
        body = [re.sub(r"^# ?", "", line) for line in lines] if kind == "markdown" else lines
        if cell := "\n".join(body).strip("\n"):
            cells.append(Cell(kind, cell, start))

    for number, line in enumerate(text.splitlines(), start=1):
        if mark := CELL.match(line):
            close()
            kind, start, lines = ("markdown" if mark["markdown"] else "code"), number + 1, []
        else:
            lines.append(line)
    close()
    return tuple(cells)


def blank(text: str) -> str:
    """Code with every solution replaced by `raise NotImplementedError("01.2")`."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if mark := BEGIN.match(line):
            inside = True
            lines.append(f'{mark["indent"]}raise NotImplementedError("{mark["id"]}")')
        elif END.match(line):
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def checked_ids(code: str) -> list[str]:
    """The ids of all `check("01.2", ...)` calls in a cell; none if it is not Python."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return []
    return [
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "check"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    ]


def _field(path: Path, head: Cell, name: str) -> str:
    found = re.search(rf"\*\*{name}:\*\*\s*(.+)", head.text)
    if found is None:
        raise LessonError(f"{path.name}: the first cell must have a line '- **{name}:** ...'")
    return found[1].strip()


def _exercises(path: Path, cells: Sequence[Cell]) -> tuple[Exercise, ...]:
    titles: dict[str, str] = {}
    checks: dict[str, int] = {}
    for i, cell in enumerate(cells):
        if cell.kind == "markdown":
            titles |= {mark["id"]: mark["title"] for mark in HEADING.finditer(cell.text)}
        else:
            for id in checked_ids(cell.text):
                if id in checks:
                    raise LessonError(f"{path.name}:{cell.line}: {id} is checked a second time")
                checks[id] = i
    found = [
        exercise
        for i, cell in enumerate(cells)
        if cell.kind == "code" and "### " in cell.text
        for exercise in _exercise(path, i, cell, titles, checks)
    ]
    ids = [exercise.id for exercise in found]
    expected = [f"{path.stem[:2]}.{i}" for i in range(1, len(found) + 1)]
    if ids != expected:
        raise LessonError(f"{path.name}: exercises are numbered {ids}, expected {expected}")
    if strays := sorted((titles.keys() | checks.keys()) - set(ids)):
        raise LessonError(f"{path.name}: {strays[0]} has a heading or a check, but no solution")
    return tuple(found)


def _exercise(
    path: Path, position: int, cell: Cell, titles: dict[str, str], checks: dict[str, int]
) -> list[Exercise]:
    """The exercise of a cell, in a list; an empty one for a cell without."""
    ids, hints, kept, begins = list[str](), list[str](), list[str](), list[int]()
    inside = in_hint = False
    for number, line in enumerate(cell.text.splitlines(), start=cell.line):
        if mark := BEGIN.match(line):
            if inside or not mark["indent"]:
                raise LessonError(f"{path.name}:{number}: a solution is the body of a function")
            inside, in_hint = True, False
            ids.append(mark["id"])
            begins.append(number - cell.line + 1)
        elif END.match(line):
            if not inside:
                raise LessonError(f"{path.name}:{number}: END SOLUTION without a BEGIN")
            inside = False
        elif inside and (mark := HINT.match(line)):
            in_hint = True
            hints.append(mark["text"])
        elif inside and in_hint and (mark := MORE.match(line)):
            hints[-1] += f" {mark['text']}"
        elif line.lstrip().startswith("### "):
            raise LessonError(
                f"{path.name}:{number}: {line.strip()!r} is no marker, those are "
                "'### BEGIN SOLUTION 01.2', '### HINT ...', '### END SOLUTION'"
            )
        else:
            in_hint = False
            kept.append(line)
    if not ids:
        return []
    id = ids[0]
    names = [
        node.name
        for node in ast.parse(cell.text).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and node.lineno <= begins[0] <= (node.end_lineno or 0)
    ]
    problems = {
        "a solution has no END": inside,
        "one cell holds one exercise": len(set(ids)) > 1,
        "a solution is the body of a function": not names,
        f"no markdown cell has the heading '### Exercise {id} · Title'": id not in titles,
        f"no later cell calls check({id!r}, ...)": checks.get(id, -1) <= position,
        "there is no '### HINT'": not hints,
    }
    for problem, applies in problems.items():
        if applies:
            raise LessonError(f"{path.name}:{cell.line}: {id}: {problem}")
    solution = textwrap.dedent("\n".join(kept)).strip("\n")
    return [Exercise(id, titles[id], position, checks[id], names[0], tuple(hints), solution)]
