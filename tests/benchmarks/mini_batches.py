"""Time per example of a training step against the batch size: why there are mini-batches.

    OMP_NUM_THREADS=1 python tests/benchmarks/mini_batches.py [repeats]

Least squares on 10 inputs as in lesson 07, and a network 64-64-1 with Adam.  The best of some
repeats of about 2000 examples' steps; sizes take turns.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from nnlib import SGD, Adam, Dense, Sequential, squared, tanh
from nnlib.layer import Layer
from nnlib.optim import Optimizer

SIZES = (1, 8, 32, 128, 512, 2048)
Step = Callable[[np.ndarray, np.ndarray], None]


def plain_step() -> Step:
    """Least squares in five lines of NumPy."""
    w = np.zeros(10, np.float32)

    def step(x: np.ndarray, t: np.ndarray) -> None:
        error = x @ w - t[:, 0]
        w[...] -= 0.01 * (error @ x) / len(x)

    return step


def library_step(model: Layer, optimizer: Optimizer) -> Step:
    def step(x: np.ndarray, t: np.ndarray) -> None:
        y, back_model = model(x)
        _, back_loss = squared(y, t)
        back_model(back_loss())
        optimizer.step()

    return step


def measure(title: str, step: Step, n_in: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8192, n_in)).astype(np.float32)
    t = rng.standard_normal((8192, 1)).astype(np.float32)
    order = rng.permutation(len(x))
    taken: dict[int, list[float]] = {B: [] for B in SIZES}
    for _ in range(repeats):
        for B in SIZES:
            batches = [order[i : i + B] for i in range(0, max(2048, 2 * B), B)]
            start = time.perf_counter()
            for ids in batches:
                step(x[ids], t[ids])
            taken[B].append((time.perf_counter() - start) / (B * len(batches)) * 1e6)
    best = {B: min(times) for B, times in taken.items()}
    print(title)
    for B, us in best.items():
        print(f"  B = {B:5}  {us:9.3f} µs per example   {best[1] / us:6.1f} × B = 1")


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rng = np.random.default_rng(1)
    measure("least squares, NumPy", plain_step(), 10, n)
    linear = Dense(10, 1, rng=rng)
    measure("least squares, nnlib", library_step(linear, SGD(linear.parameters(), 0.01)), 10, n)
    net = Sequential(Dense(64, 64, rng=rng), tanh, Dense(64, 1, rng=rng))
    measure("64-64-1 with Adam, nnlib", library_step(net, Adam(net.parameters())), 64, n)
