"""Streams and graphs for the double of CuPy: what a capture refuses, records and repeats.

While a stream is captured its work is not done: it is written down and done by `Graph.launch`, on
the same addresses.  Here the work has to be done once to know the shapes, so when the capture ends
memory is put back as it was, and what the capture itself made is filled with NaN: a replay that
does not compute everything anew shows.

Refused within a capture, as by CUDA or CuPy: reading from the device and writing to it from the
host (`refuse`, called by the double), waiting, CuPy's own products and random numbers, results
whose shape depends on data.  Refused here although CuPy lets it pass: a capture without a memory
pool of its own, whose blocks would go to others while the graph still writes to them; and work on a
stream while another has work that nobody has waited for.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


class Recording:
    """Work written down, and what is needed to undo that it was done."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []
        self.made: list[np.ndarray] = []
        self.before: list[tuple[int, bytes]] = []
        self.invalid = False

    def keep(self, address: int, n_bytes: int) -> None:
        self.before.append((address, ctypes.string_at(address, n_bytes)))

    def undo(self) -> None:
        for address, content in reversed(self.before):
            ctypes.memmove(address, content, len(content))
        for array in self.made:
            if array.dtype.kind in "fiu":
                array.fill(np.nan if array.dtype.kind == "f" else 99)


class State:
    recording: Recording | None = None  # of the capture that is under way
    busy: "Stream | None" = None  # a stream with work that nobody has waited for
    launches = 0  # of graphs
    failing = ""  # what every capture shall fail with, to test what is done then


def reset() -> None:
    """As at the start of the process."""
    State.recording, State.busy, State.launches, State.failing = None, None, 0, ""
    Stream.stack, Pool.in_use = [Stream.null], None


def refuse(what: str) -> None:
    """`what` is asked for, which a capture does not allow."""
    if State.recording is not None:
        State.recording.invalid = True
        raise RuntimeError(f"the current stream is capturing: {what} is not allowed")


def host_reads() -> None:
    """The host waits for the current stream to read from the device."""
    refuse("reading from the device")
    _only_on_current_stream()
    State.busy = None


def run(compute: Callable[[], Any], *read: np.ndarray, written: tuple[np.ndarray, ...] = ()) -> Any:
    """compute(), whose results come as arrays; recorded if the current stream is captured."""
    _only_on_current_stream()
    State.busy = Stream.stack[-1]
    recording = State.recording
    if recording is None:
        return compute()
    for array in written:
        low, high = np.lib.array_utils.byte_bounds(array)
        recording.keep(low, high - low)
    result = _arrays(compute())
    recording.made += [
        a for a in _leaves(result)
        if a.base is None and not any(np.may_share_memory(a, b) for b in (*read, *written))
    ]  # fmt: skip

    def again() -> None:
        for old, new in zip(_leaves(result), _leaves(_arrays(compute())), strict=True):
            if not np.may_share_memory(old, new):
                np.copyto(old, new)

    recording.work.append(again)
    return result


def run_at(work: Callable[[], None], address: int, n_bytes: int) -> None:
    """`work`, which writes n_bytes at an address, recorded if the current stream is captured."""
    _only_on_current_stream()
    State.busy = Stream.stack[-1]
    if State.recording is not None:
        State.recording.keep(address, n_bytes)
        State.recording.work.append(work)
    work()


def _only_on_current_stream() -> None:
    if State.busy is not None and State.busy is not Stream.stack[-1]:
        raise AssertionError("work on a stream while another one has not been waited for")


def _arrays(x: Any) -> Any:
    if isinstance(x, tuple | list):
        return type(x)(map(_arrays, x))
    return x if x is None else np.asarray(x)


def _leaves(x: Any) -> list[np.ndarray]:
    if isinstance(x, tuple | list):
        return [a for part in x for a in _leaves(part)]
    return [] if x is None else [x]


class Stream:
    """`cupy.cuda.Stream`."""

    null: "Stream"
    stack: "list[Stream]"
    made = 0

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        Stream.made += 1
        self.ptr, self.non_blocking = 0 if null else 64 * Stream.made, non_blocking

    def __enter__(self) -> "Stream":
        Stream.stack.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        Stream.stack.pop()

    def synchronize(self) -> None:
        if State.recording is not None:
            State.recording.invalid = True
            raise RuntimeError("cudaErrorStreamCaptureUnsupported")
        if State.busy is self:
            State.busy = None

    def is_capturing(self) -> bool:
        return State.recording is not None and Stream.stack[-1] is self

    def begin_capture(self, mode: Any = None) -> None:
        if not self.non_blocking:
            raise RuntimeError("cannot capture on the default (legacy) stream, or with it blocked")
        assert Stream.stack[-1] is self, "this double captures the current stream only"
        assert Pool.in_use is not None, "a capture without a memory pool of its own"
        assert State.recording is None
        State.recording = Recording()
        if State.failing:
            refuse(State.failing)

    def end_capture(self) -> "Graph":
        recording, State.recording = State.recording, None
        assert recording is not None
        recording.undo()
        if recording.invalid:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        assert Pool.in_use is not None
        return Graph(recording, Pool.in_use)


class Graph:
    """`cupy.cuda.Graph`."""

    def __init__(self, recording: Recording, pool: "Pool") -> None:
        self._work, self._kept = recording.work, recording
        pool.graphs += 1

    def launch(self, stream: Stream | None = None) -> None:
        refuse("launching a graph")
        with Stream.stack[-1] if stream is None else stream:
            _only_on_current_stream()
            State.busy = Stream.stack[-1]
        State.launches += 1
        with np.errstate(all="ignore"):  # a GPU warns of nothing
            for again in self._work:
                again()


class Pool:
    """`cupy.cuda.MemoryPool`: here only whether it is in use."""

    in_use: "Pool | None" = None

    def __init__(self) -> None:
        self.graphs = 0

    def malloc(self, size: int) -> Any:
        raise AssertionError("the double's memory comes from NumPy")


@contextmanager
def using_allocator(malloc: Any) -> Iterator[None]:
    """`cupy.cuda.using_allocator`."""
    before, Pool.in_use = Pool.in_use, malloc.__self__
    try:
        yield
    finally:
        Pool.in_use = before


Stream.null = Stream(null=True)
Stream.stack = [Stream.null]
