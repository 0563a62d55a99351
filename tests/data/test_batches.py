"""Session-parallel schedules: every pair once, states from the right rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.data import Histories
from nnlib.data.batches import batches, session_parallel


def histories(lengths):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Histories.from_offsets(np.arange(offsets[-1]), offsets)


def lanes_by_hand(lengths, lanes):
    """The algorithm in words: (session, event) of every lane at every step, in lane order."""
    queue = [s for s, n in enumerate(lengths) if n > 1]
    active = [[queue.pop(0), 0] for _ in range(min(lanes, len(queue)))]
    steps = []
    while active:
        steps.append([tuple(lane) for lane in active])
        for lane in active:
            lane[1] += 1
            if lane[1] == lengths[lane[0]] - 1:
                lane[:] = [queue.pop(0), 0] if queue else [-1, 0]
        active = [lane for lane in active if lane[0] >= 0]
    return steps


@given(
    lengths=st.lists(st.integers(0, 6), max_size=30),
    lanes=st.integers(1, 6),
)
def test_steps_are_those_of_the_algorithm(lengths, lanes):
    sessions = histories(lengths)
    schedule = session_parallel(sessions, lanes)
    expected = lanes_by_hand(lengths, lanes)
    assert len(schedule) == len(expected)
    for (at, _), rows in zip(schedule, expected, strict=True):
        assert sorted(at.tolist()) == sorted(int(sessions.start[s]) + t for s, t in rows)


@given(lengths=st.lists(st.integers(0, 6), max_size=30), lanes=st.integers(1, 6))
def test_every_pair_once_and_states_from_the_row_that_read_the_event_before(lengths, lanes):
    sessions = histories(lengths)
    seen, previous = [], np.array([], int)
    for at, carried in session_parallel(sessions, lanes):
        n = len(carried)
        np.testing.assert_array_equal(previous[carried] + 1, at[:n])
        assert np.isin(at[n:], sessions.start).all()
        assert len(np.unique(carried)) == n
        assert len(at) <= lanes
        seen += at.tolist()
        previous = at
    assert sorted(seen) == sessions.points().tolist()


def test_more_lanes_than_sessions_cost_nothing():
    sessions = histories([3, 0, 2, 5])
    some, many = session_parallel(sessions, 3), session_parallel(sessions, 10**15)
    np.testing.assert_array_equal(some.at, many.at)
    np.testing.assert_array_equal(some.carried, many.carried)


def test_min_rows_cuts_the_tail():
    schedule = session_parallel(histories([2, 9, 3]), 2, min_rows=2)
    assert [len(at) for at, _ in schedule] == [2, 2, 2]
    assert len(schedule.at) == 6
    assert len(schedule.carried) == sum(len(c) for _, c in schedule)


def test_sessions_start_in_their_order():
    sessions = histories([3, 2, 2, 4, 2])
    started = [a for at, carried in session_parallel(sessions, 2) for a in at[len(carried) :]]
    assert started == sessions.start.tolist()


@pytest.mark.parametrize(("n", "size"), [(10, 3), (4, 4), (3, 5), (0, 2)])
def test_batches_partition_the_numbers(n, size):
    parts = list(batches(n, size, np.random.default_rng(0)))
    assert sorted(np.concatenate([*parts, np.array([], int)]).tolist()) == list(range(n))
    assert all(len(p) == size for p in parts[:-1])
