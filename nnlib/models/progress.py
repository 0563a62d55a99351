"""A progress bar for training: events a second, loss and the time left."""

import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress


class Silence:
    """The bar that shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def start(self, epoch: int) -> None:
        """Epoch number `epoch` (from 0) begins."""

    def advance(self, events: int, loss: float) -> None:
        """`events` more training points were read; `loss` is the epoch's mean so far."""


class Bar(Silence):
    """One line on the terminal, drawn by rich on standard error."""

    def __init__(self, name: str, events: int, epochs: int) -> None:
        self.name, self.events, self.epochs = name, events, epochs
        self.progress: Progress | None = None

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.task = self.progress.add_task(
            self.name, total=self.events * self.epochs, rate="", loss="–"
        )
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        assert self.progress is not None
        self.progress.stop()

    def start(self, epoch: int) -> None:
        assert self.progress is not None
        self.began, self.done = time.monotonic(), 0
        self.progress.update(
            self.task,
            completed=self.events * epoch,
            description=f"{self.name}  epoch {epoch + 1}/{self.epochs}",
        )

    def advance(self, events: int, loss: float) -> None:
        assert self.progress is not None
        self.done += events
        rate = self.done / max(time.monotonic() - self.began, 1e-9)
        self.progress.update(
            self.task, advance=events, rate=f"{rate:,.0f} events/s", loss=f"{loss:.4f}"
        )
