"""`check`, `hint` and `solution`: what a lesson calls, in a notebook and as a script."""

import contextlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lessons.engine import compare, progress, wording
from lessons.engine.source import MARKER, Exercise, find_lesson, read_lesson
from nnlib.check.subject import Parameters

NOT_ATTEMPTED, WRONG, PASSED = "not attempted", "wrong", "passed"
SIGNS = {NOT_ATTEMPTED: "·", WRONG: "✗", PASSED: "✓"}


@dataclass(frozen=True)
class Outcome:
    """What a check found: `state`, and `text` for the student."""

    id: str
    state: str
    text: str
    values: tuple[Any, ...] = ()  # what the student's code returned


_listeners: list[list[Outcome]] = []


@contextlib.contextmanager
def outcomes() -> Iterator[list[Outcome]]:
    """A list that receives every check's outcome inside the block, instead of it being printed."""
    found: list[Outcome] = []
    _listeners.append(found)
    try:
        yield found
    finally:
        _listeners.remove(found)


def check(
    id: str,
    mine: Any,
    *inputs: Any,
    expected: Any = None,
    gradient_of: Callable[..., Any] | None = None,
    by: Sequence[str] = (),
    forward: Callable[..., Any] | None = None,
    params: Parameters = (),
    claims: Callable[..., Mapping[str, Any]] | None = None,
    tolerance: float | None = None,
    mistakes: Mapping[str, Callable[..., Any]] | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Say whether exercise `id` is not attempted, wrong (and how), or passed.

    `mine` is called with copies of the inputs.  One of four keywords says what it must return:

        expected=reference      the same arrays as reference(*inputs), or as `reference` itself
        gradient_of=loss        the gradients of the number loss(*inputs), by central differences
        forward=reference       (y, backward): y as reference(*inputs), backward as differences say
        claims=function         anything for which function(*result) returns {sentence: true}

    Arguments
        id: of the exercise, "01.2"
        mine: the student's function
        inputs: arrays in float64, seeded, random, away from kinks; others go in as they are
        by: with gradient_of, the names of those arguments of `loss` whose gradients are wanted,
            in this order; all floating-point ones if empty
        params: with forward, the Parameters that mine uses; a Layer's own are found
        tolerance: on the relative error of an array: 1e-9 for values, 1e-6 for gradients
        mistakes: what is often done instead: {sentence: function of the inputs}, the sentence is
            shown to whom it happened; with forward, a function that returns (y, backward)
        about: keywords for nnlib.check.diagnose, such as {"batch_size": 5}; with expected, {} says
            that the result is a gradient, without it only plain mistakes are named
    """
    chosen = [x is not None for x in (expected, gradient_of, forward, claims)]
    if sum(chosen) != 1:
        raise TypeError("check needs exactly one of expected, gradient_of, forward and claims")
    exercise = read_lesson(find_lesson(id)).exercise(id)
    function = mine if callable(mine) else lambda *_: mine
    values: tuple[Any, ...] = ()
    try:
        if gradient_of is not None:
            limit = tolerance or 1e-6
            found = compare.compare_gradients(function, inputs, gradient_of, by, limit, about)
        elif forward is not None:
            limit = tolerance or 1e-6
            found = compare.compare_pair(function, inputs, forward, params, limit, about)
        elif claims is not None:
            found = compare.compare_claims(function, inputs, claims)
        else:
            limit = tolerance or 1e-9
            found = compare.compare_values(function, inputs, expected, limit, about)
        if found.wrong and mistakes:
            known = compare.known_mistake(found.values, inputs, mistakes)
            if known:
                found.wrong = [w for w in found.wrong if w.startswith(wording.HEAD[0])] + [known]
    except NotImplementedError as error:
        state, lines = NOT_ATTEMPTED, _waiting(id, error)
    except Exception as error:
        state, lines = WRONG, [*_raised(error), _called(function, inputs), _pointer(exercise)]
    else:
        state = WRONG if found.wrong else PASSED
        values = tuple(found.values)
        lines = [*found.wrong, _pointer(exercise)] if found.wrong else [_praise(id, found.worst)]
    if state != NOT_ATTEMPTED and not _is_lessons_own(exercise):
        progress.record(id, state=state)
    _tell(Outcome(id, state, _text(exercise, state, lines), values))


def hint(id: str) -> None:
    """Print the next hint to exercise `id`; after the last one, that again."""
    hints = read_lesson(find_lesson(id)).exercise(id).hints
    seen = min(progress.hints_seen(id) + 1, len(hints))
    progress.record(id, hints=seen)
    print(f"hint {seen} of {len(hints)} to {id}: {hints[seen - 1]}")
    if seen == len(hints):
        print(f'(that is all; solution("{id}", force=True) shows the answer)')


def solution(id: str, force: bool = False) -> None:
    """Print the lesson's own answer to exercise `id`: after a pass, or with force=True."""
    exercise = read_lesson(find_lesson(id)).exercise(id)
    if force or progress.has_passed(id):
        print(exercise.solution)
    else:
        print(
            f'{id} is not passed yet: hint("{id}") helps, '
            f'solution("{id}", force=True) shows the answer all the same'
        )


def _tell(outcome: Outcome) -> None:
    if _listeners:
        _listeners[-1].append(outcome)
    else:
        print(outcome.text)


def _text(exercise: Exercise, state: str, lines: Sequence[str]) -> str:
    head = f"{SIGNS[state]} {exercise.id} {exercise.title}: {state}"
    return "\n".join([head, *("    " + part for line in lines for part in line.splitlines())])


def _waiting(id: str, error: NotImplementedError) -> list[str]:
    """Which blank was met: this exercise's, or one that it calls."""
    other = str(error)
    if other and other != id:
        return [f"it calls exercise {other}, which is still blank: do that first"]
    then = "save and check again" if _listeners else "run its cell, then this one"
    return [f'replace the line raise NotImplementedError("{id}") by your code, {then}']


def _raised(error: Exception) -> list[str]:
    """The error, and the deepest line of the student's own code that led to it."""
    lines = [f"it raised {type(error).__name__}: {wording.plain(error)}"]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.name != "<module>" and not _is_foreign(frame.filename)
    ]
    if frames and frames[-1].line:
        lines.append(f"in {frames[-1].name}, at: {frames[-1].line}")
    return lines


def _called(function: Callable[..., Any], inputs: Sequence[Any]) -> str:
    return f"it was called with {wording.described(function, inputs)}" if inputs else ""


def _is_foreign(filename: str) -> bool:
    return any(part in filename for part in ("/engine/", "/nnlib/", "site-packages", "\\engine\\"))


def _praise(id: str, worst: float) -> str:
    error = f"largest relative error {worst:.0e}; " if worst else ""
    return f"{error}the lesson's own answer: {_call('solution', id)}"


def _pointer(exercise: Exercise) -> str:
    return f"stuck? {_call('hint', exercise.id)}"


def _call(name: str, id: str) -> str:
    """How to ask for a hint or a solution: in a terminal, or in a notebook."""
    if _listeners:
        return f"python -m lessons {name} {id}"
    known = name in getattr(sys.modules.get("__main__"), "__dict__", {})
    return f'{name}("{id}")' if known else f'from lessons import {name}; {name}("{id}")'


def _is_lessons_own(exercise: Exercise) -> bool:
    """Whether the code that is checked still has the lesson's markers: a script, a solved notebook.

    Those must not count as the student's work.
    """
    frame = sys._getframe(2)
    defined = frame.f_globals.get(exercise.name)
    candidates = [defined]
    if isinstance(defined, type):
        candidates += [f for f in vars(defined).values() if inspect.isfunction(f)]
    for candidate in candidates:
        with contextlib.suppress(OSError, TypeError):
            if candidate is not None and MARKER in inspect.getsource(candidate):
                return True
    return False
