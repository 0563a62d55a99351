"""The command `python -m lessons`."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from lessons.engine import exercises, progress
from lessons.engine.notebooks import is_worked_on, notebook_path, notebooks
from lessons.engine.running import code_cells, run_checks
from lessons.engine.source import ROOT, Lesson, LessonError, find_lesson, lesson_files, read_lesson

app = typer.Typer(
    name="python -m lessons",
    help="Take the course: list, run and check its lessons.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

LessonName = Annotated[str, typer.Argument(metavar="LESSON", help="Its number, such as 05.")]
ExerciseId = Annotated[str, typer.Argument(metavar="EXERCISE", help="Its id, such as 05.2.")]
LessonOrId = Annotated[str, typer.Argument(metavar="LESSON", help="05, or one exercise: 05.2.")]
OtherFile = Annotated[
    Path | None, typer.Option("--file", help="A notebook or .py file other than the lesson's own.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.callback()
def overview(context: typer.Context) -> None:
    """Take the course: list, run and check its lessons."""
    if context.invoked_subcommand is None:
        table()


@app.command("list")
def table() -> None:
    """All lessons: minutes, and how many exercises are done."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    entries = progress.read_progress()
    to_do: list[tuple[str, str]] = []
    result = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("lesson", "", "minutes", "exercises done"):
        result.add_column(name, justify="right" if name == "minutes" else "left")
    for path in lesson_files():
        lesson = read_lesson(path)
        states = [entries.get(exercise.id, {}).get("state") for exercise in lesson.exercises]
        done = states.count("passed")
        bar = Text("".join({"passed": "●", "wrong": "✗"}.get(str(s), "○") for s in states))
        bar.append(f"  {done}/{len(states)}")
        bar.stylize("green" if done == len(states) else "yellow" if any(states) else "dim")
        result.add_row(lesson.number, Text(lesson.title), str(lesson.minutes), bar)
        to_do += [
            (path.stem, e.id)
            for e, s in zip(lesson.exercises, states, strict=True)
            if s != "passed"
        ]
    Console(highlight=False).print(result)
    if to_do:
        stem, id = to_do[0]
        print(f"\nnext: exercise {id}, in notebooks/{stem}.ipynb")


@app.command()
def run(
    name: LessonName,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Folder to save the figures in.")
    ] = None,
) -> None:
    """Run a lesson, solutions included, as a plain script."""
    lesson = _lesson(name)
    environment = {"MPLBACKEND": "agg", **os.environ}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    if figures is not None:
        environment["NNLIB_FIGURES"] = str(figures.resolve())
    start = time.perf_counter()
    code = subprocess.run([sys.executable, str(lesson.path)], env=environment).returncode
    print(f"lesson {lesson.number} took {time.perf_counter() - start:.0f} s")
    raise typer.Exit(code)


@app.command()
def check(name: LessonOrId, file: OtherFile = None) -> None:
    """Check the exercises in your notebook of a lesson, or one of them."""
    raise typer.Exit(0 if _check(name, file) else 1)


@app.command()
def hint(id: ExerciseId) -> None:
    """The next hint to an exercise."""
    exercises.hint(_known(id))


@app.command()
def solution(
    id: ExerciseId,
    force: Annotated[bool, typer.Option("--force", help="Even if it is not passed.")] = False,
) -> None:
    """The lesson's own answer to an exercise, once yours has passed."""
    id = _known(id)
    if not force and not progress.has_passed(id):
        raise LessonError(f"{id} is not passed yet: take a hint, or see it all the same by --force")
    exercises.solution(id, force=True)


@app.command()
def reset(name: LessonName, yes: Yes = False) -> None:
    """Make the notebook of a lesson blank again; the old one is kept as .bak."""
    lesson = _lesson(name)
    book = next(notebooks(lesson))
    if not book.is_stale:
        progress.forget(lesson.number)
        print(f"{_short(book.path)} is blank already")
        return
    if not yes and book.path.exists():
        typer.confirm(f"Replace {_short(book.path)} by a blank one?", abort=True)
    if book.path.exists():
        kept = _free(book.path)
        book.path.replace(kept)
        print(f"the old notebook is {_short(kept)}")
    book.write()
    progress.forget(lesson.number)
    print(f"{_short(book.path)} is blank again (in Jupyter, reload it: File > Reload)")


@app.command()
def watch(name: LessonOrId, file: OtherFile = None) -> None:
    """Check again whenever the notebook is saved, until Ctrl-C."""
    path = file or notebook_path(_lesson(name))
    if not path.is_file():
        raise LessonError(f"{_short(path)} is not there")
    print(f"watching {_short(path)}; Ctrl-C ends it")
    for _ in saves(path):
        print(f"\n{time.strftime('%H:%M:%S')}")
        try:
            _check(name, path)
        except LessonError as error:  # perhaps it was read while it was being saved
            print(f"lessons: {error}", file=sys.stderr)


@app.command()
def build(
    names: Annotated[list[str] | None, typer.Argument(metavar="[LESSON]...")] = None,
    only_check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a notebook is stale.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Even over filled-in blanks.")] = False,
) -> None:
    """Write the notebooks of all lessons, or of some, from their source."""
    failed = False
    for path in [find_lesson(name) for name in names or []] or lesson_files():
        lesson = read_lesson(path)
        for book in notebooks(lesson):
            if not book.is_stale:
                continue
            if only_check:
                failed = True
                print(f"{_short(book.path)} is stale: python -m lessons build")
            elif not force and book.path == notebook_path(lesson) and is_worked_on(book.path):
                failed = True
                print(f"{_short(book.path)} has answers in it and stays: see reset, or --force")
            else:
                book.write()
                print(f"wrote {_short(book.path)}")
    raise typer.Exit(int(failed))


def saves(path: Path, pause: float = 0.5) -> Iterator[None]:
    """Once at the start, then after every change of the file."""
    last: tuple[int, int] | None = None
    while True:
        if path.is_file():
            status = path.stat()
            if (now := (status.st_mtime_ns, status.st_size)) != last:
                last = now
                yield
        time.sleep(pause)


def main(args: Sequence[str] | None = None) -> int:
    """Run one command: 0, 1 for what is not passed or stale, 2 for bad input."""
    try:
        app(args)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except LessonError as error:
        print(f"lessons: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"lessons: {error.strerror}: {error.filename}", file=sys.stderr)
        return 2
    return 0


def _check(name: str, file: Path | None) -> bool:
    lesson = _lesson(name)
    ids = [_known(name)] if "." in name else [exercise.id for exercise in lesson.exercises]
    path = file or notebook_path(lesson)
    if file is None and not path.is_file():
        raise LessonError(f"{_short(path)} is not there: python -m lessons build {lesson.number}")
    os.environ.setdefault("MPLBACKEND", "agg")
    found = run_checks(code_cells(path), ids, path.name)
    for outcome in found:
        _print(outcome, brief=len(found) > 1)
    done = sum(outcome.state == exercises.PASSED for outcome in found)
    print(f"{done} of {len(found)} passed ({_short(path)})")
    return done == len(found)


def _print(outcome: exercises.Outcome, brief: bool) -> None:
    """An outcome in colour; `brief` leaves out how to fill in a blank."""
    from rich.console import Console
    from rich.text import Text

    head, _, rest = outcome.text.partition("\n")
    colours = {exercises.PASSED: "green", exercises.WRONG: "bold red"}
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(head, style=colours.get(outcome.state, "dim")))
    if rest and not (brief and rest.lstrip().startswith("replace the line")):
        console.print(Text(rest))


def _free(path: Path) -> Path:
    """A name for the copy of a notebook that no earlier copy has."""
    kept = path.with_name(f"{path.name}.bak")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.{number}.bak")
    return kept


def _lesson(name: str) -> Lesson:
    return read_lesson(find_lesson(name))


def _known(id: str) -> str:
    """The id as the lesson writes it: 5.2 is 05.2."""
    number, _, position = id.partition(".")
    if not position:
        raise LessonError(f"{id}: an exercise is named like 05.2")
    id = f"{number.zfill(2)}.{position}"
    return _lesson(id).exercise(id).id


def _short(path: Path) -> str:
    resolved = path.resolve()
    return str(resolved.relative_to(ROOT)) if resolved.is_relative_to(ROOT) else str(path)
