"""The command line run in this process, and small files for it to work on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnlib.cli import main
from nnlib.data.synthetic import HMMClicks

WORLD = HMMClicks(n_items=40, n_categories=3, n_stages=2, n_emit=8, n_pool=20, mean_length=5.0)


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@pytest.fixture
def nnlib(capfd) -> Callable[..., Outcome]:
    def run(*args: object) -> Outcome:
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as stop:  # main returns, whatever typer does
            pytest.fail(f"main left by SystemExit({stop.code})")
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(code, captured.out, captured.err)

    return run


def write_log(path: Path, n_sessions: int, seed: int, first_session: int = 0) -> Path:
    clicks = WORLD.sample(n_sessions, np.random.default_rng(seed))
    rows = zip(clicks.user + first_session, clicks.item_ids[clicks.item], clicks.time, strict=True)
    lines = "".join(f"{session}\t{item}\t{time:.3f}\n" for session, item, time in rows)
    path.write_text("SessionId\tItemId\tTime\n" + lines)
    return path


@pytest.fixture(scope="session")
def logs(tmp_path_factory) -> tuple[Path, Path]:
    """(training, test) clicks of the same small world."""
    folder = tmp_path_factory.mktemp("logs")
    return (
        write_log(folder / "train.tsv", 150, seed=1),
        write_log(folder / "test.tsv", 40, seed=2, first_session=1000),
    )


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Options of a GRU4Rec that trains in no time."""
    return ["--epochs", "2", "-s", "hidden=[8]", "-s", "n_sample=16", "-s", "batch_size=8"]


@pytest.fixture(scope="session")
def gru_file(logs, small, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("models") / "gru.safetensors"
    assert main(["train", str(logs[0]), "--out", str(out), *small]) == 0
    return out


@pytest.fixture
def refused(nnlib, tmp_path) -> Callable[..., str]:
    """Runs a command on bad input: exit code 2, one sentence, which is returned, and no trace.

    Files that the test needs belong in `tmp_path` too: none of them may change.
    """

    def run(*args: object) -> str:
        before = _files(tmp_path)
        outcome = nnlib(*args)
        assert outcome.code == 2, outcome
        assert outcome.out == ""
        assert _files(tmp_path) == before
        assert outcome.err.startswith("nnlib: "), outcome.err
        assert outcome.err.count("\n") == 1, outcome.err
        return outcome.err.removeprefix("nnlib: ").strip()

    return run


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
