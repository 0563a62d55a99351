"""Epochs: what every training loop needs around its steps, and nothing of the steps themselves.

    run = Epochs(model, net, optimizer, train, progress=progress, checkpoint=checkpoint)
    with run.leaving(model, net_=net, losses_=run.losses):
        for epoch in run:
            for batch in batches(...):
                ...
                optimizer.step()
                run.record(loss, len(batch))

The loop belongs to the model.  This gives it a progress bar, the mean loss of each epoch, a
checkpoint after each epoch with resume, a stop when the loss or a parameter is not finite, and a
Ctrl-C that ends it between two steps and leaves a model that can be used.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from nnlib.array import Array, array_module, to_host
from nnlib.compiled import compiled_kernels
from nnlib.cuda import cuda_kernels
from nnlib.data import Interactions
from nnlib.layer import Layer
from nnlib.models.base import Recommender, set_weights
from nnlib.models.interrupt import CtrlC
from nnlib.models.progress import Bar, Silence
from nnlib.optim import Optimizer
from nnlib.storage import read_arrays, write_arrays
from nnlib.threads import one_blas_thread

CHECK_EVERY = 64  # steps between looks at the losses, so that a GPU is not waited for at each


class DivergedError(ArithmeticError):
    """Training met a loss or a parameter that is not finite."""


class Epochs:
    """Iterates over the epochs of one fit, from the last checkpoint on when resuming.

    Arguments
        model: gives `epochs`, its settings (a checkpoint belongs to one model) and its name
        net, optimizer: what a checkpoint holds; no optimizer where each epoch solves anew
        train: its fingerprint must be that of the data the checkpoint was trained on
        events: how many training points an epoch has, for the progress bar
        progress: show a bar with the loss, events per second and the time left
        checkpoint: file written after every epoch; None writes none
        resume: go on from `checkpoint` if it exists; a setting that is newer than the checkpoint
            had its default then, which is chosen so that old calls go on to mean what they meant
        losses: of earlier epochs; then this is one more, and they keep their numbers
    Raises
        ValueError: the checkpoint is of another model, other settings or other data.
        FileExistsError: a checkpoint is there and `resume` is False: nothing is overwritten.
        DivergedError: while iterating; names the step, the array and the last checkpoint.
        KeyboardInterrupt: while iterating, after Ctrl-C: from `record`, when a step is done, or
            between epochs.
    """

    def __init__(
        self,
        model: Recommender,
        net: Layer,
        optimizer: Optimizer | None,
        train: Interactions,
        *,
        events: int,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        losses: Sequence[float] | None = None,
    ) -> None:
        self.net, self.optimizer = net, optimizer
        settings, self._defaults = _as_json(model.settings()), _as_json(_defaults(model))
        self.epochs: int = settings.pop("epochs")  # more of them may be asked for on resuming
        if losses is not None:
            self.epochs = len(losses) + 1
        self.header: dict[str, Any] = {
            "checkpoint": type(model).__name__,
            "settings": settings,
            "data": train.fingerprint(),
        }
        self.path = None if checkpoint is None else Path(checkpoint)
        self.losses: list[float] = list(losses or [])
        self.step = 0
        self._pending: list[tuple[Array, int]] = []
        self._unread = 0  # steps whose losses are pending
        self._sum, self._n = 0.0, 0
        self._ctrl_c, self._between_steps = CtrlC(), False
        name = type(model).__name__
        self._bar = Bar(name, events, self.epochs) if progress else Silence()
        if self.path is not None and self.path.exists():
            if not resume:
                raise FileExistsError(
                    f"{self.path}: the checkpoint of an interrupted run is here; "
                    "resume it or delete it"
                )
            self._read(self.path)

    def __iter__(self) -> Iterator[int]:
        with self._ctrl_c, self._bar, one_blas_thread(), compiled_kernels(), cuda_kernels():
            for epoch in range(len(self.losses), self.epochs):
                self._bar.start(epoch)
                yield epoch
                self._look()
                self._check_parameters()
                self.losses.append(self._sum / max(self._n, 1))
                self._sum, self._n = 0.0, 0
                if self.path is not None:
                    self._write(self.path)
                self._stop_if_asked()

    def record(self, loss: Array, events: int, steps: int = 1) -> None:
        """A step is done: note its loss, a 0-d array, the mean over its `events` points.

        Several `steps` that were done in one: their losses, (steps,), of `events` points each.
        """
        self.step += steps
        self._unread += steps
        self._pending.append((loss, events))
        if self._unread >= CHECK_EVERY:
            self._look()
        self._stop_if_asked()

    @contextmanager
    def leaving(
        self, model: Recommender, finish: Callable[[], object] = lambda: None, **learned: Any
    ) -> Iterator[None]:
        """Gives `model` the attributes `learned` when the loop has ended, or Ctrl-C has ended it.

        After Ctrl-C the last step is a whole one, and the `KeyboardInterrupt`, which goes on its
        way, says that the model can be used.  After any other error the model stays as it was.

        Arguments
            finish: sets the attributes that are made of the last weights
        """
        try:
            yield
        except KeyboardInterrupt as error:
            if self._between_steps:
                self._leave(model, finish, learned)
                name = type(model).__name__
                error.args = (f"{error}: the {name} has the weights of that step, it can be used",)
            raise
        self._leave(model, finish, learned)
        if self._ctrl_c.pressed:
            name = type(model).__name__
            raise KeyboardInterrupt(f"interrupted after the last epoch: the {name} is trained")

    def _leave(
        self, model: Recommender, finish: Callable[[], object], learned: dict[str, Any]
    ) -> None:
        with self._ctrl_c:  # not left half done either
            finish()
            vars(model).update(learned)

    def _stop_if_asked(self) -> None:
        if not self._ctrl_c.pressed:
            return
        self._look()  # the last losses must be finite too
        self._between_steps = True
        epoch = min(len(self.losses) + 1, self.epochs)
        raise KeyboardInterrupt(
            f"interrupted in epoch {epoch} of {self.epochs}, after step {self.step:,}"
        )

    def _look(self) -> None:
        """Add up the noted losses; the one place where a GPU is waited for."""
        first, self._unread = self.step - self._unread + 1, 0
        seen = 0
        for i, (value, events) in enumerate(_one_by_one(self._pending)):
            if not math.isfinite(value):
                raise DivergedError(self._story(f"the loss of step {first + i} is {value}"))
            self._sum += value * events
            self._n += events
            seen += events
        self._pending.clear()
        if seen:
            self._bar.advance(seen, self._sum / self._n)

    def _check_parameters(self) -> None:
        if name := self._bad_parameter():
            raise DivergedError(self._story(f"after step {self.step}, {name} is not finite"))

    def _bad_parameter(self) -> str | None:
        for name, p in self.net.named_parameters():
            if not bool(array_module(p.value).isfinite(p.value).all()):
                return name
        return None

    def _story(self, what: str) -> str:
        epoch = len(self.losses) + 1
        array = self._bad_parameter()
        where = f"; first array with such values: {array}" if array else "; all parameters finite"
        if self.path is None or not self.losses:
            good = "no checkpoint was written"
        else:
            good = f"the last good checkpoint is {self.path} (epoch {len(self.losses)})"
        return f"epoch {epoch}: {what}{where}; {good}; lower lr and start again"

    def _write(self, path: Path) -> None:
        arrays = {f"net.{name}": p.value for name, p in self.net.named_parameters()}
        if self.optimizer is not None:
            arrays |= {f"optimizer.{name}": a for name, a in self.optimizer.arrays().items()}
        write_arrays(path, arrays, {**self.header, "losses": self.losses, "step": self.step})

    def _read(self, path: Path) -> None:
        arrays, header = read_arrays(path)
        other = self._other_settings(header.get("settings", {}))
        for differs, what in (
            (header.get("checkpoint") != self.header["checkpoint"], "another kind of model"),
            (other, f"other settings ({', '.join(other)})"),
            (header.get("data") != self.header["data"], "other training data"),
        ):
            if differs:
                raise ValueError(f"{path}: a checkpoint of {what}: delete it or train as before")
        done = len(header.get("losses", []))
        if done > self.epochs:
            raise ValueError(
                f"{path}: a checkpoint after {done} epochs, more than epochs={self.epochs}: "
                f"set epochs to {done} or more, or delete the checkpoint to start anew"
            )
        try:
            self.losses, self.step = list(header["losses"]), int(header["step"])
            set_weights(self.net, arrays)
            prefix = "optimizer."
            state = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
            if self.optimizer is not None:
                self.optimizer.restore(state)
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{path}: a damaged checkpoint ({error}): delete it") from error

    def _other_settings(self, saved: dict[str, Any]) -> list[str]:
        """Names of the settings that differ; one newer than the checkpoint had its default."""
        mine, saved = self.header["settings"], {**self._defaults, **saved}
        names = sorted(mine.keys() | (saved.keys() - {"epochs"}))
        return [k for k in names if mine.get(k, MISSING) != saved.get(k, MISSING)]


def _defaults(model: Recommender) -> dict[str, Any]:
    """The settings that need not be given."""
    defaults = {f.name: f.default for f in fields(model)}  # type: ignore[arg-type]
    return {name: value for name, value in defaults.items() if value is not MISSING}


def _as_json(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as a checkpoint gives them back: tuples are lists."""
    back: dict[str, Any] = json.loads(json.dumps(settings))
    return back


def _one_by_one(pending: list[tuple[Array, int]]) -> Iterator[tuple[float, int]]:
    """The loss of every step, those of several steps in one copy from the device."""
    for loss, events in pending:
        for value in to_host(loss).tolist() if getattr(loss, "ndim", 0) else (float(loss),):
            yield value, events
