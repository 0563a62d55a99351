"""CUDA graphs: work that is captured once and repeated in one launch.

What may be captured: launches whose shapes, addresses and numbers are the same each time.  So no
looking at a result from the host, no shape that depends on data, no product of CuPy's (cuBLAS takes
its place here, `nnlib.cuda.cublas`) and no random number of CuPy's (`nnlib.cuda.philox`).

A captured launch writes to the addresses that its arrays had, long after those are gone.  So
the work has a memory pool of its own, which lives as long as the graph and from which nobody else
gets a block.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from nnlib.cuda.cublas import WORKSPACE, Cublas, find_cublas


class CaptureError(RuntimeError):
    """Work that cannot be captured; the message says what stood against it."""


class GraphRunner:
    """Runs a function of nothing, `times` times at a time, as it is or as a graph.

        runner = GraphRunner(times=8)
        with runner.working():
            runner.run(step)            # as it is: compiles what it needs
            runner.capture(step)
            runner.run(step)            # one launch for 8 steps
    The work gets and leaves everything in arrays that stay where they are.

    Arguments
        times: calls of the work in a run, ≥ 1

    Raises
        CublasError: cuBLAS is not found or cannot start.
    """

    def __init__(self, times: int) -> None:
        cuda = sys.modules["cupy"].cuda
        self.times = times
        self.graph: Any = None
        self.stream = cuda.Stream(non_blocking=True)  # one that blocks the default stream may not
        self._pool = cuda.MemoryPool()
        with cuda.using_allocator(self._pool.malloc):
            workspace = sys.modules["cupy"].empty(WORKSPACE, np.uint8)
        self._cublas = Cublas(find_cublas(), self.stream.ptr, workspace)

    @contextmanager
    def working(self) -> Iterator[None]:
        """The stream, memory and products of the work; waits for the device on both ends."""
        cuda = sys.modules["cupy"].cuda
        cuda.get_current_stream().synchronize()
        with self.stream, cuda.using_allocator(self._pool.malloc), self._cublas.products():
            try:
                yield
            finally:
                self.stream.synchronize()

    def run(self, work: Callable[[], object]) -> None:
        """The work, or the graph of it; the device may not be done with it yet."""
        if self.graph is not None:
            self.graph.launch(self.stream)
            return
        for _ in range(self.times):
            work()

    def capture(self, work: Callable[[], object]) -> None:
        """From here on the work is a graph; the device does nothing of it yet.

        What the work changes on the host, it changes here, and no more when the graph is launched.

        Raises
            CaptureError: it cannot be captured; it can still be run as it is.
        """
        try:
            self.stream.begin_capture()
            for _ in range(self.times):
                work()
            self.graph = self.stream.end_capture()
        except BaseException as error:
            with suppress(RuntimeError):  # nothing is left of a capture that was refused
                self.stream.end_capture()
            if isinstance(error, RuntimeError):
                raise CaptureError(str(error)) from error
            raise
