"""What holds for every lesson: it parses, runs, can be passed, and a broken answer is noticed."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lessons.engine.compare import flat
from lessons.engine.exercises import NOT_ATTEMPTED, PASSED, WRONG, Outcome
from lessons.engine.mutants import mutants
from lessons.engine.notebooks import notebooks
from lessons.engine.progress import read_progress
from lessons.engine.running import code_cells, needed_cells, run_checks
from lessons.engine.source import ROOT, LessonError, blank, checked_ids, lesson_files, read_lesson

FILES = lesson_files()
SECONDS = 60  # that a lesson may take as a script


def _exercises() -> Iterator[tuple[Path, str]]:
    """All exercises; a lesson that cannot be read has none here and fails in test_head."""
    for path in FILES:
        with contextlib.suppress(LessonError):
            yield from ((path, exercise.id) for exercise in read_lesson(path).exercises)


EXERCISES = list(_exercises())
every_lesson = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
every_exercise = pytest.mark.parametrize(("path", "id"), EXERCISES, ids=[id for _, id in EXERCISES])


@every_lesson
def test_head_and_exercises(path: Path) -> None:
    lesson = read_lesson(path)
    assert 10 <= lesson.minutes <= 180
    assert lesson.prerequisites
    assert len(lesson.exercises) >= 3
    assert "from lessons import" in lesson.text
    assert "library says the same" in lesson.text


@every_lesson
def test_its_solutions_pass_and_are_not_recorded_as_the_students(path: Path) -> None:
    found = run_checks(code_cells(path), [e.id for e in read_lesson(path).exercises])
    assert {o.id: o.text for o in found if o.state != PASSED} == {}
    assert read_progress() == {}


@every_lesson
def test_every_blank_is_not_attempted(path: Path) -> None:
    cells = [blank(cell) for cell in code_cells(path)]
    found = run_checks(cells, [e.id for e in read_lesson(path).exercises])
    assert {o.id: o.text for o in found if o.state != NOT_ATTEMPTED} == {}


@every_exercise
def test_one_blank_among_solutions_is_not_attempted(path: Path, id: str) -> None:
    cells = code_cells(path)
    cell = _cell_of(path, id, cells)
    cells[cell] = blank(cells[cell])
    [outcome] = run_checks(cells, [id])
    assert outcome.state == NOT_ATTEMPTED, outcome.text


@pytest.mark.slow
@every_exercise
def test_a_solution_with_one_term_removed_is_wrong(path: Path, id: str) -> None:
    cells = code_cells(path)
    cell = _cell_of(path, id, cells)
    [right] = _run(cells, id)
    noticed, survivors = 0, []
    for what, code in mutants(cells[cell]):
        [outcome] = _run([*cells[:cell], code, *cells[cell + 1 :]], id)
        noticed += outcome.state == WRONG
        if outcome.state != WRONG and _differs(right, outcome):
            survivors.append(f"{what}: {outcome.text}")
    assert not survivors
    assert noticed, "no mutant of the solution is wrong"


@every_lesson
def test_notebooks_are_not_stale(path: Path) -> None:
    pytest.importorskip("jupytext")
    stale = [str(book.path.name) for book in notebooks(read_lesson(path)) if book.is_stale]
    assert not stale, "python -m lessons build"


@pytest.mark.slow
@every_lesson
def test_runs_as_a_script_in_time(path: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "NNLIB_FIGURES": str(tmp_path / "figures"),
        "OMP_NUM_THREADS": "1",  # idle BLAS threads wait busily and would count
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=5 * SECONDS,
    )
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)  # CPU time: the machine may be busy
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS
    assert list((tmp_path / "figures").glob("*.png"))


@pytest.mark.slow
@every_lesson
def test_solved_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("MPLBACKEND")
    [_, solved] = notebooks(read_lesson(path))
    book = nbformat.reads(solved.text, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own
        nbclient.NotebookClient(book, timeout=5 * SECONDS, kernel_name="python3").execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    for exercise in read_lesson(path).exercises:
        assert f"✓ {exercise.id} " in text
    assert any("image/png" in output.get("data", {}) for output in outputs)


def _cell_of(path: Path, id: str, cells: list[str]) -> int:
    """The position of an exercise among the code cells."""
    return next(i for i, cell in enumerate(cells) if f"### BEGIN SOLUTION {id}\n" in cell)


def _run(cells: list[str], id: str) -> list[Outcome]:
    with _time_limit(20), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run_checks(cells, [id])


@contextlib.contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    """A mutant may never end: it is interrupted, which counts as an error in it."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _differs(right: Outcome, other: Outcome) -> bool:
    """Whether two answers differ by more than rounding."""
    a, b = list(flat(right.values)), list(flat(other.values))
    return len(a) != len(b) or any(
        x.shape != y.shape or not np.allclose(x, y, rtol=1e-9, atol=1e-12)
        for x, y in zip(a, b, strict=True)
    )


@every_lesson
def test_a_check_depends_on_few_cells(path: Path) -> None:
    cells = code_cells(path)
    for i, cell in enumerate(cells):
        for id in checked_ids(cell):
            needed = needed_cells(cells, i)
            assert all(not checked_ids(cells[j]) or j == i for j in needed), id
