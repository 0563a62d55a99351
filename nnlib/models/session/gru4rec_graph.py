"""GRU4Rec's training steps as a CUDA graph: on a GPU, many steps in one launch.

The step is that of every fit, on blocks of one size (`GRU4RecNetwork.block`, `padded`).  What
differs from step to step is read on the device: its number t, and by t its row of the schedule; the
states stay in one place.  Only steps with all B rows are recorded; the last ones of an epoch, whose
batch shrinks, go as without a graph.
"""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from nnlib.array import Array, array_module, to_device
from nnlib.cuda.cublas import CublasError
from nnlib.cuda.graph import CaptureError, Recorded
from nnlib.cuda.philox import CounterRandom
from nnlib.data.batches import SessionParallel
from nnlib.functional.fixed_shapes import NOBODY, coalesce_padded
from nnlib.models.epochs import Epochs
from nnlib.models.session.gru4rec_training import Training
from nnlib.parameter import RowGradient

if TYPE_CHECKING:
    from nnlib.models.session.gru4rec import GRU4Rec

TIMES = 8  # steps of a graph: Ctrl-C waits for them, and their losses are read together


class GraphSteps:
    """The steps of an epoch that have all rows, and the random numbers of all its steps.

    Raises
        CublasError: there is no cuBLAS to make products within a graph.
    """

    def __init__(self, training: Training, model: "GRU4Rec") -> None:
        xp, schedule = array_module(training.items), training.schedule
        self.training, self.n_sample, self.seed = training, model.n_sample, model.seed
        width = np.diff(schedule.step)
        self.B, n_full = int(width[0]), int((width == width[0]).sum())
        self.n_steps = n_full // TIMES * TIMES
        self.share = self.B / model.batch_size  # of the loss, as in `back_through_time`
        at, carried = rectangles(schedule, self.n_steps)
        self.at, self.carried = to_device(at, "cuda"), to_device(carried, "cuda")
        self.t = xp.zeros(1, np.int64)
        self.rng = CounterRandom(self.t, (self.seed, 0))
        self.states = training.net.start(self.B + 1)  # the last row stays 0
        self.losses = xp.zeros(self.n_steps, training.net.W.value.dtype)
        self.recorded = Recorded(TIMES)
        self.refused = False

    def run(self, epoch: int, run: Epochs) -> tuple[list[Array], int]:
        """The first steps of an epoch: (states after them, their number)."""
        self.rng.seed((self.seed, epoch))
        for array in (self.t, *self.states):
            array.fill(0)
        with self.recorded.working():
            for done in range(0, self.n_steps, TIMES):
                if done and self.recorded.graph is None and not self.refused:
                    self._record()
                self.recorded.run(self._step)
                if self.recorded.graph is not None:
                    self.training.optimizer.t += TIMES
                run.record(self.losses[done : done + TIMES], self.B, TIMES)
        return [h[:-1] for h in self.states], self.n_steps

    def negatives(self) -> Iterator[Array]:
        """Negatives of the steps after those, and the numbers of these steps."""
        while True:
            self.rng.start()
            yield self.training.sampler.draw(self.rng, self.n_sample)  # type: ignore[arg-type]
            self.t += 1

    def _record(self) -> None:
        optimizer = self.training.optimizer
        before = optimizer.t
        try:
            self.recorded.record(self._step)
        except CaptureError as error:
            self.refused = True
            for p in self.training.net.parameters():
                p.clear()
            warnings.warn(f"training goes on without a CUDA graph: {error}", stacklevel=2)
        optimizer.t = before  # a recorded step is not done yet

    def _step(self) -> None:
        training, t = self.training, self.t
        self.rng.start()
        negative = training.sampler.draw(self.rng, self.n_sample)  # type: ignore[arg-type]
        at, carried = self.at.take(t, axis=0)[0], self.carried.take(t, axis=0)[0]
        (loss, states), backward = training.forward(
            at, carried, self.states, negative, self.rng, padded=True
        )
        backward(self.share)
        for p in training.net.parameters():
            if p.rows and not p.rows[0].distinct:
                (ids, g, _, _), *_ = p.rows
                p.rows = [RowGradient(*coalesce_padded(ids, g), distinct=True)]
        training.optimizer.step()
        for h, new in zip(self.states, states, strict=True):
            h[:-1] = new
        self.losses[t] = loss
        self.t += 1


def graph_steps(training: Training, model: "GRU4Rec") -> GraphSteps | None:
    """`GraphSteps`; None, after a warning that says why, where there can be no graph."""
    try:
        return GraphSteps(training, model)
    except CublasError as error:
        warnings.warn(f"training goes on without a CUDA graph: {error}", stacklevel=2)
        return None


def rectangles(schedule: SessionParallel, n_steps: int) -> tuple[Array, Array]:
    """The first n steps, all of B rows, as arrays: (at, carried), (n, B); NOBODY: a fresh row."""
    B = int(schedule.step[1])
    at = schedule.at[: n_steps * B].reshape(n_steps, B).astype(np.int64)
    n_carried = np.diff(schedule.carry[: n_steps + 1])
    carried = np.full((n_steps, B), NOBODY, np.int64)
    carried[np.arange(B) < n_carried[:, None]] = schedule.carried[: schedule.carry[n_steps]]
    return at, carried
