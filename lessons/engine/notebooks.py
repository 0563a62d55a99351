"""The two notebooks of a lesson: with blanks for students, and solved.

A rebuild is byte-identical: cells are numbered, nothing is stamped, no output is kept.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lessons.engine.running import code_cells
from lessons.engine.source import ROOT, Lesson, LessonError, blank, checked_ids

FOLDER = ROOT / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


@dataclass(frozen=True)
class Notebook:
    """A notebook file as it must be."""

    path: Path
    text: str

    @property
    def is_stale(self) -> bool:
        """The file is missing or differs."""
        return not self.path.is_file() or self.path.read_bytes() != self.text.encode()

    def write(self) -> None:
        """Replace the file."""
        from nnlib.storage import replacing

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary:
            temporary.write_bytes(self.text.encode())


def notebook_path(lesson: Lesson, folder: Path = FOLDER) -> Path:
    """Where the student's notebook is."""
    return folder / f"{lesson.path.stem}.ipynb"


def notebooks(lesson: Lesson, folder: Path = FOLDER) -> Iterator[Notebook]:
    """The student's notebook, then the solved one."""
    path = notebook_path(lesson, folder)
    yield Notebook(path, as_notebook(lesson.number, blank(lesson.text)))
    yield Notebook(folder / "solved" / path.name, as_notebook(lesson.number, lesson.text))


def as_notebook(number: str, text: str) -> str:
    """A percent-format file as the text of a notebook.

    Raises
        LessonError: jupytext is not installed.
    """
    try:
        import jupytext
    except ImportError:
        raise LessonError(
            "building notebooks needs jupytext: pip install -e '.[notebooks]'"
        ) from None
    cells = []
    for i, cell in enumerate(jupytext.reads(text, fmt="py:percent").cells):
        entry = {"cell_type": cell.cell_type, "id": f"{number}-{i:03d}", "metadata": {}}
        if cell.cell_type == "code":
            entry |= {"execution_count": None, "outputs": []}
        cells.append(entry | {"source": cell.source.splitlines(keepends=True)})
    book = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def is_worked_on(path: Path) -> bool:
    """Whether a blank of the student's notebook has been filled in."""
    if not path.is_file():
        return False
    try:
        cells = code_cells(path)
    except LessonError:
        return False  # not a notebook: nothing to lose
    code = "\n".join(cells)
    ids = [id for cell in cells for id in checked_ids(cell)]
    return any(f'NotImplementedError("{id}")' not in code for id in ids)
