"""The engine: what a student and an author are told, and what happens to files."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lessons import check, hint, show, solution
from lessons.engine import notebooks as books
from lessons.engine import progress, source, terminal
from lessons.engine.exercises import NOT_ATTEMPTED, PASSED, WRONG, Outcome, outcomes
from lessons.engine.running import code_cells, needed_cells, run_checks

LESSON = '''# %% [markdown]
# # 01 · A lesson
#
# - **Minutes:** 10
# - **Prerequisites:** none

# %%
import numpy as np

from lessons import check

# %% [markdown]
# ### Exercise 01.1 · Double


# %%
def double(x):
    """2 x."""
    ### BEGIN SOLUTION 01.1
    ### HINT Twice
    ###      as much.
    ### HINT x + x.
    return x + x
    ### END SOLUTION


# %%
check("01.1", double, np.array([1.0, 2.0]), expected=lambda x: 2 * x)

# %% [markdown]
# ### Exercise 01.2 · Four times


# %%
def quadruple(x):
    """4 x."""
    ### BEGIN SOLUTION 01.2
    ### HINT double twice.
    return double(double(x))
    ### END SOLUTION


# %%
slow = quadruple(np.ones(3))
check("01.2", quadruple, np.array([1.0, 2.0]), expected=lambda x: 4 * x)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one lesson, with its notebooks built."""
    (tmp_path / "01_short.py").write_text(LESSON, encoding="utf-8")
    monkeypatch.setattr(source.lesson_files, "__defaults__", (tmp_path,))
    monkeypatch.setattr(source.find_lesson, "__defaults__", (tmp_path,))
    for function in (books.notebook_path, books.notebooks):
        monkeypatch.setattr(function, "__defaults__", (tmp_path / "notebooks",))
    assert terminal.main(["build"]) == 0
    return tmp_path


def answer(folder: Path, **bodies: str) -> Path:
    """Fill in the student's notebook: answer(folder, e1="return 2 * x")."""
    path = folder / "notebooks" / "01_short.ipynb"
    text = path.read_text(encoding="utf-8")
    for name, body in bodies.items():
        blank = f'raise NotImplementedError("01.{name[1:]}")'
        assert json.dumps(blank)[1:-1] in text
        text = text.replace(json.dumps(blank)[1:-1], json.dumps(body)[1:-1])
    path.write_text(text, encoding="utf-8")
    return path


def outcome(*inputs: object, **options: object) -> Outcome:
    """What check says of the first argument as an answer to 01.1."""
    with outcomes() as found:
        check("01.1", *inputs, **options)
    [only] = found
    return only


def test_notebooks_hold_blanks_or_solutions_and_nothing_else(folder: Path) -> None:
    blank = (folder / "notebooks" / "01_short.ipynb").read_text(encoding="utf-8")
    solved = (folder / "notebooks" / "solved" / "01_short.ipynb").read_text(encoding="utf-8")
    assert "x + x" not in blank
    assert "HINT" not in blank
    assert '"""2 x."""' in json.loads(blank)["cells"][3]["source"][1]
    assert "x + x" in solved
    for text in (blank, solved):
        book = json.loads(text)
        assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
        assert [cell["id"] for cell in book["cells"][:2]] == ["01-000", "01-001"]
        assert all(cell["metadata"] == {} for cell in book["cells"])


def test_build_is_repeatable_and_notices_stale_notebooks(folder: Path) -> None:
    path = folder / "notebooks" / "01_short.ipynb"
    before = path.read_bytes()
    assert terminal.main(["build", "--check"]) == 0
    path.write_bytes(before + b"\n")
    assert terminal.main(["build", "--check"]) == 1
    assert terminal.main(["build"]) == 0
    assert path.read_bytes() == before


def test_build_spares_answers_and_reset_keeps_a_copy(folder: Path) -> None:
    path = answer(folder, e1="return 2 * x")
    mine = path.read_bytes()
    assert terminal.main(["build"]) == 1
    assert path.read_bytes() == mine
    assert terminal.main(["check", "01.1"]) == 0
    assert progress.has_passed("01.1")
    assert terminal.main(["reset", "01", "--yes"]) == 0
    assert path.with_name("01_short.ipynb.bak").read_bytes() == mine
    assert terminal.main(["build", "--check"]) == 0
    assert not progress.has_passed("01.1")


def test_check_tells_the_three_states_apart(folder: Path) -> None:
    path = answer(folder, e2="return double(x)")
    one, two = run_checks(code_cells(path), ["01.1", "01.2"])
    assert (one.state, two.state) == (NOT_ATTEMPTED, NOT_ATTEMPTED)
    assert "needs exercise 01.1" in two.text
    path = answer(folder, e1="return 2 * x")
    one, two = run_checks(code_cells(path), ["01.1", "01.2"])
    assert (one.state, two.state) == (PASSED, WRONG)
    assert terminal.main(["check", "1"]) == 1
    assert {id: entry["state"] for id, entry in progress.read_progress().items()} == {
        "01.1": "passed",
        "01.2": "wrong",
    }


def test_a_cell_that_is_no_python_is_named(folder: Path) -> None:
    path = answer(folder, e1="return (2 * x")
    [found] = run_checks(code_cells(path), ["01.1"])
    assert found.state == WRONG
    assert "is no Python" in found.text


def test_only_the_cells_that_a_check_depends_on_run() -> None:
    cells = [
        "import numpy as np",
        "def f(x):\n    t = 1\n    return g(x) + t",
        "t = slow_experiment()",
        "def g(x):\n    return np.exp(x)",
        "a = {}\na['k'] = 1",
        "b = [t for t in range(3)]",
        "x = 1\ny = f(x)\ncheck('01.1', y, a)",
    ]
    assert needed_cells(cells, 6) == [0, 1, 3, 4, 6]


def test_hints_come_one_by_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for expected in ("hint 1 of 2 to 01.1: Twice as much.", "hint 2 of 2 to 01.1: x + x."):
        hint("01.1")
        assert expected in capsys.readouterr().out
    hint("01.1")
    assert "hint 2 of 2" in capsys.readouterr().out


def test_the_solution_is_shown_after_a_pass_or_on_request(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solution("01.1")
    assert "x + x" not in capsys.readouterr().out
    assert terminal.main(["solution", "01.1"]) == 2
    solution("01.1", force=True)
    shown = capsys.readouterr().out
    assert "return x + x" in shown
    assert "###" not in shown
    progress.record("01.1", state="passed")
    progress.record("01.1", state="wrong")  # a pass stays a pass
    solution("01.1")
    assert "return x + x" in capsys.readouterr().out


def test_a_damaged_progress_file_counts_as_none() -> None:
    progress.progress_file().write_text("[1, ", encoding="utf-8")
    assert progress.read_progress() == {}
    progress.record("01.1", state="passed")
    assert progress.has_passed("01.1")


def test_saves_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text("1", encoding="utf-8")
    events = terminal.saves(path, pause=0.001)
    next(events)
    path.write_text("12", encoding="utf-8")
    next(events)


def test_watching_goes_on_when_a_notebook_cannot_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "notebooks" / "01_short.ipynb"
    whole = path.read_text(encoding="utf-8")

    def saves(path: Path) -> Iterator[None]:
        for text in (whole[:50], whole):
            path.write_text(text, encoding="utf-8")
            yield

    monkeypatch.setattr(terminal, "saves", saves)
    assert terminal.main(["watch", "01"]) == 0
    shown = capsys.readouterr()
    assert "not a readable notebook" in shown.err
    assert "0 of 2 passed" in shown.out


def test_a_file_that_cannot_be_written_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise PermissionError(13, "Permission denied", "notebooks/01_short.ipynb")

    monkeypatch.setattr(books.Notebook, "write", refuse)
    assert terminal.main(["build", "--force"]) == 0
    answer(folder, e1="return 2 * x")
    assert terminal.main(["build", "--force"]) == 2
    assert "Permission denied: notebooks/01_short.ipynb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "77"], "no such lesson"),
        (["check", "01.9"], "there is none"),
        (["hint", "01"], "named like 05.2"),
        (["check", "01", "--file", "missing.ipynb"], "no such file"),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert terminal.main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("**Minutes:** 10", "10 minutes", "Minutes"),
        ("# # 01 ·", "# # 02 ·", "must be markdown"),
        ("    ### END SOLUTION\n\n\n# %%\ncheck", "\n\n# %%\ncheck", "no END"),
        ("### HINT double twice.", "# double twice.", "no '### HINT'"),
        ("Exercise 01.2 ·", "Exercise 01.3 ·", "heading"),
        ('check("01.2"', 'check("01.1"', "second time"),
        ("SOLUTION 01.2", "SOLUTION 01.4", "heading"),
        ("### HINT x + x.", "### TIP x + x.", "no marker"),
    ],
)
def test_a_badly_written_lesson_is_refused(old: str, new: str, words: str) -> None:
    assert old in LESSON
    with pytest.raises(source.LessonError, match=words):
        source.parse_lesson(Path("01_short.py"), LESSON.replace(old, new))


def test_values(folder: Path) -> None:
    x = np.array([1.0, 2.0, -0.5])
    double = lambda x: 2 * x
    assert outcome(double, x, expected=double).state == PASSED
    for wrong, words in (
        (lambda x: None, "is a return missing"),
        (lambda x: (x, x), "must return one array; this is a tuple of 2"),
        (lambda x: [1.0, 2.0, 3.0], "must return an array, np.array(...)"),
        (lambda x: (2 * x + 1e-7).astype(np.float32), "digits of float32"),
        (lambda x: np.round(2 * x + 1e-7, 6) + 1e-8, "nearly right"),
        (lambda x: (2 * x)[:, None], "it must be (3,)"),
        (lambda x: x / 0 if x is None else np.full(3, np.nan), "not finite"),
        (lambda x: 4 * x, "2 times too large"),
        (lambda x: x**2, "this is the square"),
        (lambda x: x @ np.ones(2), "it was called with x (3,)"),
        (lambda x: "two", "must be an array"),
    ):
        mistakes = {"this is the square": lambda x: x**2}
        found = outcome(wrong, x, expected=double, mistakes=mistakes)
        assert found.state == WRONG
        assert words in found.text

    def in_place(x: np.ndarray) -> np.ndarray:
        x *= 2
        return x

    assert "changes its arguments" in outcome(in_place, x, expected=double).text


def test_gradients(folder: Path) -> None:
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=3), rng.normal(size=(5, 3))
    loss = lambda w, x: 0.5 * np.mean((x @ w) ** 2)
    right = lambda w, x: x.T @ (x @ w) / 5
    assert outcome(right, w, x, gradient_of=loss, by=["w"]).state == PASSED
    found = outcome(
        lambda w, x: 5 * right(w, x), w, x, gradient_of=loss, by=["w"], about={"batch_size": 5}
    )
    assert found.state == WRONG
    assert "batch size" in found.text


def test_pairs(folder: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 3))
    pair = lambda factor: lambda x: (x**2, lambda dy: factor * dy * x)
    square = lambda x: x**2
    assert outcome(pair(2), x, forward=square).state == PASSED
    found = outcome(pair(1), x, forward=square)
    assert found.state == WRONG
    assert "2 times too small" in found.text
    found = outcome(pair(1), x, forward=square, mistakes={"the 2 is missing": pair(1)})
    assert "the 2 is missing" in found.text
    assert "must return (y, backward)" in outcome(square, x, forward=square).text
    found = outcome(lambda x: (x**3, lambda dy: 3 * dy * x**2), x, forward=square)
    assert found.state == WRONG  # a right derivative of the wrong function

    def blank(dy: np.ndarray) -> np.ndarray:
        raise NotImplementedError("01.1")

    assert outcome(lambda x: (x**2, blank), x, forward=square).state == NOT_ATTEMPTED


def test_claims(folder: Path) -> None:
    claims = lambda w, b: {"w is positive": w > 0, "b is 1": b == 1}
    assert outcome(lambda: (2.0, 1), claims=claims).state == PASSED
    found = outcome(lambda: (2.0, 3), claims=claims)
    assert found.state == WRONG
    assert "not so: b is 1" in found.text
    assert "positive" not in found.text
    found = outcome(lambda: np.ones(2), claims=claims)
    assert "it must return w, b; this is an array of shape (2,)" in found.text
    assert "does not fit" in outcome(lambda: (np.ones(2), "1"), claims=claims).text


def test_what_is_returned_in_place_of_a_pair_is_said(folder: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 3))
    square = lambda x: x**2
    slip = {"the 2 is missing": lambda x: (x**2, lambda dy: dy * x)}
    for wrong, words in (
        (lambda x: None, "it returned None"),
        (lambda x: (x**2, 2 * x), "must be a function"),
        (lambda x: (lambda dy: 2 * x * dy, x**2), "in this order"),
        (lambda x: (x**2, lambda: 2 * x), "must take one argument"),
        (lambda x: (x**2, lambda dy, x: 2 * x * dy), "must take one argument"),
        (lambda x: (x**2, lambda dy: None), "is a return missing"),
        (lambda x: (x**2, lambda dy: (2 * x * dy).T), "it is transposed"),
        (lambda x: (x**2, lambda dy: dy), "passed on unchanged"),
        (lambda x: (x**2, lambda dy: (2 * x * dy).astype(np.float32)), "is float32"),
    ):
        found = outcome(wrong, x, forward=square, mistakes=slip)
        assert found.state == WRONG
        assert words in found.text
        assert "the 2 is missing" not in found.text  # nobody is accused of what he has not done
    assert outcome(lambda x: [x**2, lambda dy: 2 * x * dy], x, forward=square).state == PASSED


def test_known_mistakes_of_a_pair(folder: Path) -> None:
    def slip(f: Callable[..., Any], *factors: float) -> Callable[..., Any]:
        u, v = factors
        return lambda x, a: (f(a * x), lambda dy: (u * a * dy, v * (dy * x).sum()))

    x, same = np.random.default_rng(0).normal(size=(5, 3)), lambda z: z
    mistakes = {
        "it fails": lambda x, a: (a * x, lambda dy: dy @ dy),  # and must not be heard of
        "dx is tripled": slip(same, 3, 1),
        "da is tripled": slip(same, 1, 3),
        "this is the square": slip(np.square, 1, 1),
    }
    for a in (0.5, np.array(0.5)):  # a plain float too
        for wrong, said in (
            (slip(same, 3, 1), "dx is tripled"),
            (slip(same, 1, 3), "da is tripled"),
            (slip(np.square, 7, 7), "this is the square"),
            (slip(same, 3, 3), ""),
        ):
            found = outcome(wrong, x, a, forward=lambda x, a: a * x, mistakes=mistakes)
            assert found.state == WRONG
            assert [m for m in mistakes if m in found.text] == ([said] if said else [])
            assert "it raised" not in found.text


def test_a_backward_that_overwrites_dy_is_told_so(folder: Path) -> None:
    def square(x: np.ndarray) -> tuple[np.ndarray, object]:
        def backward(dy: np.ndarray) -> np.ndarray:
            dy *= 2 * x
            return dy

        return x**2, backward

    x = np.random.default_rng(0).normal(size=(5, 3))
    assert "writes to dy: make a new array" in outcome(square, x, forward=lambda x: x**2).text


def test_of_a_wrong_y_nothing_is_said_that_holds_of_gradients(folder: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 3))
    found = outcome(
        lambda x: (x, lambda dy: dy), x, forward=lambda x: np.tanh(x), about={"batch_size": 5}
    )
    assert found.state == WRONG
    assert "derivative" not in found.text


def test_gradients_in_another_order_or_number(folder: Path) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 3)), rng.normal(size=(3, 2))
    product = lambda x, w: x @ w
    for wrong, words in (
        (lambda x, w: (x @ w, lambda dy: (x.T @ dy, dy @ w.T)), "dx, dw have each other's shapes"),
        (lambda x, w: (x @ w, lambda dy: dy @ w.T), "it must return dx, dw"),
        (lambda x, w: (x @ w, lambda dy: None), "backward returned None"),
    ):
        assert words in outcome(wrong, x, w, forward=product).text


def test_a_loss_is_where_the_chain_begins(folder: Path) -> None:
    s = np.random.default_rng(0).normal(size=5)
    loss = lambda s: np.mean(s**2)
    right = lambda s: (np.mean(s**2), lambda dloss=1.0: dloss * 2 * s / 5)
    assert outcome(right, s, forward=loss).state == PASSED
    found = outcome(lambda s: (right(s)[0], lambda d: d * 2 * s / 5), s, forward=loss)
    assert "def backward(dloss=1.0)" in found.text
    found = outcome(lambda s: (right(s)[0], lambda d=1.0: 2 * s / 5), s, forward=loss)
    assert "must have dy in it" in found.text
    assert "constant factor" not in found.text

    def in_place(s: np.ndarray) -> tuple[float, object]:
        ds = 2 * s / 5

        def backward(dloss: float = 1.0) -> np.ndarray:
            ds[:] *= dloss
            return ds.copy()

        return np.mean(s**2), backward

    assert "does it write to an array" in outcome(in_place, s, forward=loss).text


def test_two_numbers_are_always_a_factor_apart(folder: Path) -> None:
    x, about = np.array([1.0, 2.0, -0.5]), {"batch_size": 3}
    mean = lambda x: np.mean(x)
    assert "constant factor" not in outcome(lambda x: 0.77, x, expected=mean, about=about).text
    assert "3 is the batch size" in outcome(np.sum, x, expected=mean, about=about).text


def test_the_same_is_said_once_of_several_arrays(folder: Path) -> None:
    x = np.array([1.0, 2.0, -0.5])
    found = outcome(lambda x: (-x, -2 * x), x, expected=lambda x: (x, 2 * x))
    assert found.text.count("wrong sign") == 1
    assert "result[0], result[1]: every entry" in found.text


def test_shapes_that_do_not_fit_are_told_in_words(folder: Path) -> None:
    x, w = np.ones((5, 3)), np.ones(3)
    found = outcome(lambda x, w: w @ x, x, w, expected=lambda x, w: x @ w)
    assert "left of @ a row has 3 entries, right of @ a column has 5" in found.text


def test_help_is_named_as_it_can_be_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    double = lambda x: 2 * x
    check("01.1", lambda x: x, np.ones(2), expected=double)
    assert 'stuck? from lessons import hint; hint("01.1")' in capsys.readouterr().out
    assert "stuck? python -m lessons hint 01.1" in outcome(double, np.ones(2), expected=abs).text
    assert "python -m lessons solution 01.1" in outcome(double, np.ones(2), expected=double).text


def test_the_table_says_what_is_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for id in ("01.1", "01.2"):
        assert terminal.main([]) == 0
        assert f"next: exercise {id}, in notebooks/01_short.ipynb" in capsys.readouterr().out
        progress.record(id, state="passed")
    assert terminal.main([]) == 0
    assert "next:" not in capsys.readouterr().out


def test_reset_never_loses_an_older_copy(folder: Path) -> None:
    for _ in range(2):
        path = answer(folder, e1="return 2 * x")
        assert terminal.main(["reset", "01", "--yes"]) == 0
        assert terminal.main(["reset", "01"]) == 0  # blank already: nothing to ask or to keep
    assert sorted(p.name for p in path.parent.glob("*.bak")) == [
        "01_short.ipynb.2.bak",
        "01_short.ipynb.bak",
    ]


def test_a_notebook_finds_the_course_however_nnlib_was_installed(tmp_path: Path) -> None:
    code = "from lessons import check; import lessons.engine, lessons as l; print(l.__file__)"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    for folder in ("notebooks", "notebooks/solved"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=source.ROOT / folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == str(source.FOLDER / "__init__.py"), done.stderr


def test_exactly_one_keyword_says_what_is_right(folder: Path) -> None:
    with pytest.raises(TypeError, match="exactly one"):
        check("01.1", lambda: 1)


def test_figures_are_saved_where_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setenv("NNLIB_FIGURES", str(tmp_path / "figures"))
    plt.plot([1, 2])
    show("Two points")
    assert (tmp_path / "figures" / "two_points.png").is_file()
    assert not plt.get_fignums()
