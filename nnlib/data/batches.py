"""Mini-batches: rows in any order, and sessions side by side."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nnlib.array import Array, Device, to_device
from nnlib.data.histories import Histories


def batches(n: int, batch_size: int, rng: np.random.Generator) -> Iterator[Array]:
    """The numbers 0…n−1 in random order, `batch_size` at a time; the last batch may be smaller."""
    order = rng.permutation(n)
    for i in range(0, n, batch_size):
        yield order[i : i + batch_size]


@dataclass(frozen=True)
class SessionParallel:
    """The steps of an epoch in which B sessions are read side by side, one event a step.

    At step t the net reads item `at` of every row and predicts item `at + 1`.  When a session has
    no event left to predict, the next unused one takes its place; when none is left, the batch
    shrinks.  So every event that has a successor is read exactly once and no padding exists.

    Rows of a step are ordered so that the C rows which continue a session of the step before come
    first: their states are `states[carried]`, (C, H), and the fresh rows after them start at zero.
    One gather thus resets, reorders and shrinks.

    Shapes
        at (P,) int, concatenated over steps · step (T+1,) offsets into `at`
        carried (P−S,) int, concatenated over steps · carry (T+1,) offsets into `carried`
    Source
        Hidasi et al. 2016, section 3.1.1.  Differs in the order of the rows within a step, which
        no equation depends on.
    """

    at: Array
    step: Array
    carried: Array
    carry: Array

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """(at, carried) of every step."""
        step, carry = self.step.tolist(), self.carry.tolist()
        for t in range(len(step) - 1):
            yield self.at[step[t] : step[t + 1]], self.carried[carry[t] : carry[t + 1]]

    def __len__(self) -> int:
        return len(self.step) - 1

    def to(self, device: Device) -> "SessionParallel":
        """The schedule with its per-row arrays on a device."""
        at, carried = to_device(self.at, device), to_device(self.carried, device)
        return SessionParallel(at, self.step, carried, self.carry)


def session_parallel(sessions: Histories, lanes: int, min_rows: int = 1) -> SessionParallel:
    """Schedule `sessions`, in their order, on `lanes` lanes, as array operations once per fit.

    Arguments
        sessions: rows of at least 2 events are read, shorter ones have nothing to predict
        lanes: nominal batch size B ≥ 1; with fewer sessions the batch is smaller
        min_rows: stop when fewer rows are left (2 where the other rows are the only negatives)
    """
    sessions = sessions.take(np.flatnonzero(sessions.lengths > 1))
    n_points = sessions.lengths - 1
    begin, lane = _assign(n_points, min(lanes, len(sessions)))

    first = np.cumsum(n_points) - n_points
    session = np.repeat(np.arange(len(sessions)), n_points)
    within = np.arange(len(session)) - first[session]
    step_of = begin[session] + within
    order = np.lexsort((lane[session], within == 0, step_of))
    width = np.bincount(step_of)
    step = np.concatenate([[0], np.cumsum(width)])

    # Where a point stands among the rows of its step; point p − 1 is its predecessor's.
    row = np.empty(len(order), np.int32)
    row[order] = np.arange(len(order)) - step[step_of[order]]
    ordered = order[within[order] > 0]
    carry = np.concatenate([[0], np.cumsum(np.bincount(step_of[ordered], minlength=len(width)))])

    at = sessions.points()[order].astype(np.int32 if len(sessions.items) < 2**31 else np.int64)
    carried = row[ordered - 1]
    n_steps = int(np.searchsorted(-width, -min_rows, side="right"))
    step, carry = step[: n_steps + 1], carry[: n_steps + 1]
    return SessionParallel(at[: step[-1]], step, carried[: carry[-1]], carry)


def _assign(n_points: Array, lanes: int) -> tuple[Array, Array]:
    """First step and lane of every session: the lane that is free first takes the next one."""
    free = [(0, lane) for lane in range(lanes)]
    begin = np.empty(len(n_points), np.int64)
    lane_of = np.empty(len(n_points), np.int64)
    for k, n in enumerate(n_points.tolist()):
        time, lane = free[0]
        begin[k], lane_of[k] = time, lane
        heapq.heapreplace(free, (time + n, lane))
    return begin, lane_of
