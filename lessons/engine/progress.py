"""What a student has done so far: a small file in the repository, read and sent by nobody else."""

import json
import os
from pathlib import Path
from typing import Any

from lessons.engine.source import ROOT

NAME = ".nnlib-progress.json"


def progress_file() -> Path:
    """Where progress is kept: $NNLIB_PROGRESS, or .nnlib-progress.json beside lessons/."""
    return Path(os.environ.get("NNLIB_PROGRESS") or ROOT / NAME)


def read_progress() -> dict[str, dict[str, Any]]:
    """By exercise: "state" ("passed" or "wrong") and "hints" (how many were seen).

    A damaged file counts as none and is replaced by the next write.
    """
    try:
        entries = json.loads(progress_file().read_text(encoding="utf-8"))["exercises"]
        return {str(id): dict(entry) for id, entry in entries.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def record(id: str, **changes: Any) -> None:
    """Change the entry of one exercise; a pass stays a pass."""
    entries = read_progress()
    entry = entries.setdefault(id, {})
    if entry.get("state") == "passed":
        changes.pop("state", None)
    entry.update(changes)
    _write(entries)


def forget(number: str) -> None:
    """Remove the entries of one lesson."""
    entries = read_progress()
    kept = {id: entry for id, entry in entries.items() if not id.startswith(f"{number}.")}
    if kept != entries:
        _write(kept)


def has_passed(id: str) -> bool:
    """Whether the exercise was passed at some time."""
    return read_progress().get(id, {}).get("state") == "passed"


def hints_seen(id: str) -> int:
    """How many hints to the exercise have been shown."""
    seen = read_progress().get(id, {}).get("hints", 0)
    return seen if isinstance(seen, int) else 0


def _write(entries: dict[str, dict[str, Any]]) -> None:
    from nnlib.storage import replacing

    text = json.dumps({"version": 1, "exercises": dict(sorted(entries.items()))}, indent=1)
    try:
        with replacing(progress_file()) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        print(f"(progress could not be kept: {error.strerror}: {progress_file()})")
