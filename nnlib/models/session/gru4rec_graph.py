"""GRU4Rec's training steps as a CUDA graph: on a GPU, many steps in one launch.

The step is that of every fit, on blocks of one size (`GRU4RecNetwork.block`, `padded`).  What
differs from step to step is read on the device: its number t, and by t its row of the schedule; the
states stay in one place.  Only steps with all B rows are captured; the last ones of an epoch, whose
batch shrinks, go as without a graph.
"""

import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from nnlib.array import Array, array_module, to_device
from nnlib.cuda.cublas import CublasError
from nnlib.cuda.graph import CaptureError, GraphRunner
from nnlib.cuda.kernel import fits
from nnlib.cuda.philox import CounterRandom
from nnlib.data.batches import SessionParallel
from nnlib.functional.fixed_shapes import NOBODY, coalesce_padded
from nnlib.models.epochs import Epochs
from nnlib.models.session.gru4rec_bptt import Step, back_through_time
from nnlib.models.session.gru4rec_training import Start, Training
from nnlib.parameter import Parameter, RowGradient

TIMES = 8  # steps of a graph: Ctrl-C waits for them, and their losses are read together


class GraphSteps:
    """The steps of an epoch that have all rows, and the random numbers of all its steps.

    Raises
        CublasError: there is no cuBLAS to make products within a graph.
    """

    def __init__(self, training: Training) -> None:
        xp, schedule, net = array_module(training.items), training.schedule, training.net
        self.training = training
        width = np.diff(schedule.step)
        self.B, n_full = int(width[0]), int((width == width[0]).sum())
        self.n_steps = n_full // TIMES * TIMES
        at, carried = rectangles(schedule, self.n_steps)
        self.at, self.carried = to_device(at, "cuda"), to_device(carried, "cuda")
        self.t = xp.zeros(1, np.int64)
        self.rng = CounterRandom(self.t, (training.model.seed, 0))
        self.states = net.start(self.B + 1)  # the last row, which NOBODY means, stays 0
        self.losses = xp.zeros(self.n_steps, net.W.value.dtype)
        self.runner = GraphRunner(TIMES)
        self.refused = False

    def start(self, epoch: int, run: Epochs) -> Start:
        """Makes the first steps of an epoch: the start of those that are left."""
        optimizer = self.training.optimizer
        self.rng.seed((self.training.model.seed, epoch))
        for array in (self.t, *self.states):
            array.fill(0)
        with self.runner.working():
            for done in range(0, self.n_steps, TIMES):
                t = optimizer.t
                if done and self.runner.graph is None and not self.refused:
                    self._capture()
                self.runner.run(self._step)
                optimizer.t = t + TIMES  # a launch does not count on the host, a capture does
                run.record(self.losses[done : done + TIMES], self.B, TIMES)
        return Start([h[:-1] for h in self.states], self.n_steps, self.rng, self._negatives())

    def _capture(self) -> None:
        try:
            self.runner.capture(self._step)
        except CaptureError as error:
            self.refused = True
            for p in self.training.net.parameters():
                p.clear()
            _warn(error)

    def _step(self) -> None:
        """Step t of the schedule, as in `GRU4Rec.fit`; what it reads and writes stays in place."""
        training, t = self.training, self.t
        negative = self._negative()
        at, carried = self.at.take(t, axis=0)[0], self.carried.take(t, axis=0)[0]
        (loss, states), backward = training.forward(
            at, carried, self.states, negative, self.rng, padded=True
        )
        back_through_time([Step(backward, carried, self.B)], training.model.batch_size)
        sum_equal_rows(training.net.parameters())
        training.optimizer.step()
        for h, new in zip(self.states, states, strict=True):
            h[:-1] = new
        self.losses[t] = loss
        self.t += 1

    def _negatives(self) -> Iterator[Array]:
        """Negatives of the steps after those; asking for them begins a step."""
        while True:
            yield self._negative()
            self.t += 1

    def _negative(self) -> Array:
        self.rng.start()
        return self.training.sampler.draw(self.rng, self.training.model.n_sample)  # type: ignore[arg-type]


def graph_steps(training: Training) -> GraphSteps | None:
    """`GraphSteps`; None, after a warning that says why, where there can be no graph."""
    if not all(fits(p.value) for p in training.net.parameters()):
        _warn("a table has 2³¹ elements or more, which the kernels do not take")
        return None
    try:
        return GraphSteps(training)
    except CublasError as error:
        _warn(error)
        return None


def sum_equal_rows(parameters: Iterable[Parameter]) -> None:
    """Make the ids of every row gradient distinct, NOBODY behind them, as its optimizer needs."""
    for p in parameters:
        if p.rows and not p.rows[0].distinct:
            [part] = p.rows
            p.rows = [RowGradient(*coalesce_padded(part.ids, part.values), distinct=True)]


def rectangles(schedule: SessionParallel, n_steps: int) -> tuple[Array, Array]:
    """The first n steps, all of B rows, as arrays: (at, carried), (n, B); NOBODY: a fresh row."""
    B = int(schedule.step[1])
    at = schedule.at[: n_steps * B].reshape(n_steps, B).astype(np.int64)
    n_carried = np.diff(schedule.carry[: n_steps + 1])
    carried = np.full((n_steps, B), NOBODY, np.int64)
    carried[np.arange(B) < n_carried[:, None]] = schedule.carried[: schedule.carry[n_steps]]
    return at, carried


def _warn(why: object) -> None:
    warnings.warn(f"training goes on without a CUDA graph: {why}", stacklevel=3)
