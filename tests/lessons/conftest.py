"""Lessons under test: progress goes to a temporary file, figures nowhere."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from lessons.engine.exercises import outcomes
from lessons.engine.running import execute
from lessons.engine.source import find_lesson


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NNLIB_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.delenv("NNLIB_FIGURES", raising=False)
    matplotlib.use("agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="session")
def lesson() -> Callable[[str], dict[str, Any]]:
    """lesson("01"): the names that the whole lesson leaves, experiments included; run once."""

    @functools.cache
    def run(number: str) -> dict[str, Any]:
        path = find_lesson(number)
        namespace: dict[str, Any] = {"__name__": "__main__"}
        with outcomes():
            execute(path.read_text(encoding="utf-8"), namespace, str(path))
        return namespace

    return run
