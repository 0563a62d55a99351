"""Ctrl-C that waits for the end of a training step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self


class CtrlC:
    """While open, a first Ctrl-C is only noted, so that no step is left half done.

    Whoever trains looks at `pressed` between steps and stops there.  A second Ctrl-C does not wait:
    it raises a `KeyboardInterrupt` wherever the program is.  Outside the main thread, or where the
    program has a handler of its own, nothing changes.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._waiting = False

    def __enter__(self) -> Self:
        self.pressed = False
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._waiting = True
        return self

    def __exit__(self, *error: object) -> None:
        if self._waiting:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._waiting = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True


@contextmanager
def before_training(model: object, what: str) -> Iterator[None]:
    """Around the training of `what`, another model that `model` cannot begin without.

    That one could be used after Ctrl-C, but nobody will ever hold it, so the sentence is another.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        name = type(model).__name__
        stop.args = (f"interrupted while {what} was trained: the {name} itself has not begun",)
        raise
