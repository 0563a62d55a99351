"""Losses and optimizer steps at GRU4Rec's sizes: the fast form against the textbook form.

    OMP_NUM_THREADS=1 python tests/benchmarks/losses_and_optimizers.py [runs]

Both sides take turns of ten calls in one process and compute the same numbers; medians of CPU
time.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from nnlib.functional import updates
from nnlib.functional.ranking import bpr_max_in_logs
from nnlib.losses import bpr_max, cross_entropy
from nnlib.optim import SGD, Adagrad, Adam, Optimizer
from nnlib.parameter import Parameter

Run = Callable[[], object]
N, D = 37_000, 100


def compare(title: str, slow: Run, fast: Run, runs: int) -> None:
    times: list[list[float]] = [[], []]
    for _ in range(runs // 10):
        for f, taken in zip((slow, fast), times, strict=True):
            for _ in range(10):
                start = time.process_time_ns()
                f()
                taken.append((time.process_time_ns() - start) / 1e6)
    a, b = (float(np.median(taken)) for taken in times)
    print(f"{title:<56} {a:8.3f} ms {b:8.3f} ms   {a / b:5.2f}")


def cross_entropy_textbook(s: np.ndarray, target: np.ndarray, c: np.ndarray) -> np.ndarray:
    rows = np.arange(len(s))
    a = s + c
    a -= a.max(axis=1, keepdims=True)
    p = np.exp(a)
    p /= p.sum(axis=1, keepdims=True)
    _loss = (-np.log(p[rows, target]) + c[target]).mean()
    p[rows, target] -= 1
    return p / len(s)


def losses(rng: np.random.Generator, runs: int) -> None:
    for B, U in ((32, 2080), (64, 2112), (240, 2288), (80, 2128)):
        s = rng.standard_normal((B, U)).astype(np.float32)
        target, count = rng.integers(U, size=B), rng.integers(1, 3, U).astype(np.float32)
        log_count = np.log(count)
        if B != 80:
            compare(
                f"cross_entropy {B} x {U}",
                lambda s=s, t=target, c=log_count: cross_entropy_textbook(s, t, c),
                lambda s=s, t=target, c=log_count: cross_entropy(s, t, c)[1](),
                runs,
            )
        else:
            compare(
                f"bpr_max {B} x {U}",
                lambda s=s, t=target, n=count: bpr_max_in_logs(s, t, n, 1.95).G / len(s),
                lambda s=s, t=target, n=count: bpr_max(s, t, n, 1.95)[1](),
                runs,
            )


def dense_step(opt: Optimizer, g: np.ndarray, chunk: int) -> Run:
    def run() -> None:
        updates.CHUNK = chunk
        opt.params[0].accumulate(g)
        opt.step()

    return run


def row_step(opt: Optimizer, batches: list[np.ndarray], g: np.ndarray, dense: bool) -> Run:
    (p,), turn = opt.params, iter(batches * 100)

    def run() -> None:
        updates.CHUNK = 32_768
        p.accumulate_rows(next(turn), g, distinct=True)
        if dense:
            p.grad, p.rows = p.dense_grad(), []
        opt.step()

    return run


def optimizers(rng: np.random.Generator, runs: int) -> None:
    makers: dict[str, Callable[[list[Parameter]], Optimizer]] = {
        "SGD": lambda p: SGD(p, 0.01),
        "Adagrad": lambda p: Adagrad(p, 0.01, initial=1e-6, eps=0.0),
        "Adagrad, momentum": lambda p: Adagrad(p, 0.01, 0.2, initial=1e-6, eps=0.0),
        "Adam": Adam,
    }
    g = rng.standard_normal((512, 1536)).astype(np.float32)
    for name, make in makers.items():
        slow, fast = (make([Parameter(np.zeros_like(g))]) for _ in range(2))
        compare(
            f"{name}: dense 512 x 1536, whole and in chunks",
            dense_step(slow, g, 10**9),
            dense_step(fast, g, 32_768),
            runs,
        )
    g = rng.standard_normal((2176, D)).astype(np.float32)
    batches = [rng.choice(N, len(g), replace=False) for _ in range(20)]
    for name, make in makers.items():
        slow, fast = (make([Parameter(np.zeros((N, D), np.float32))]) for _ in range(2))
        compare(
            f"{name}: 2176 of {N} rows, dense and rows",
            row_step(slow, batches, g, dense=True),
            row_step(fast, batches, g, dense=False),
            max(20, runs // 4),
        )


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{'':<56} {'textbook':>11} {'nnlib':>11}   ratio")
    losses(np.random.default_rng(0), n)
    optimizers(np.random.default_rng(1), n)
