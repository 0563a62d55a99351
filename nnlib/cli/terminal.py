"""What the commands share in speaking: sentences on standard error, tables or JSON on output."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]

PIPE_WIDTH = 120  # columns when the output is no terminal


class Stop(Exception):
    """Ends the command: `sentence` for the user, and the exit code."""

    def __init__(self, sentence: str, code: int = 2) -> None:
        super().__init__(sentence)
        self.code = code


def check_seed(seed: int) -> None:
    """Raise unless a generator can be made of it."""
    if seed < 0:
        raise Stop(f"--seed {seed}: a whole number of at least 0")


def say(sentence: str) -> None:
    """One line on standard error, "nnlib: " before it."""
    print(f"nnlib: {' '.join(sentence.split())}", file=sys.stderr)


def print_json(value: dict[str, Any]) -> None:
    """The one object that `--json` promises on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def console() -> "Console":
    """Standard output, as wide as the terminal."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def progress_wanted(as_json: bool) -> bool:
    """Bars are for people who watch, not for log files."""
    return not as_json and sys.stderr.isatty()


@contextmanager
def status(as_json: bool) -> Iterator[Callable[[str], None]]:
    """A line that says what is at work, for people who watch."""
    from rich.console import Console

    if not progress_wanted(as_json):
        yield lambda text: None
        return
    with Console(stderr=True).status("") as line:
        yield lambda text: line.update(f"{text} ...")


def table(columns: Sequence[str], rows: "Sequence[Sequence[str | Text]]") -> "Table":
    """A table without a frame; the first column is left-aligned, numbers follow.

    Cells are shown as they stand: an item may well be called "[bold]".
    """
    from rich.table import Table
    from rich.text import Text

    result = Table(box=None, pad_edge=False)
    for i, name in enumerate(columns):
        result.add_column(name, justify="right" if i else "left", header_style="dim")
    for row in rows:
        result.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return result
