"""Layers over time, forward and backward: against the repetition of their cells, and torch.

    python tests/benchmarks/gru_over_time.py [rounds]

One thread, float32, gradients of the input, the weights and the first state.  All take turns in
one process; the ratios are of the best CPU times.  *kernels*: inside `compiled_kernels()`.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from nnlib.array import keep_freed_memory
from nnlib.compiled import compiled_kernels
from nnlib.layer import Layer
from nnlib.layers import GRU, LSTM, RNN, Scan

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None

SIZES = ((20, 64, 128, 128), (20, 32, 100, 100), (20, 128, 256, 256), (100, 8, 32, 32))  # T B I H
LAYERS: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "RNN": (RNN, {}, "RNN"),
    "GRU before": (GRU, {"reset": "before"}, "GRU"),
    "GRU after": (GRU, {"reset": "after"}, "GRU"),
    "LSTM": (LSTM, {}, "LSTM"),
}


def ours(layer: Layer, x: np.ndarray, dh: np.ndarray) -> None:
    states, backward = layer(x)
    backward(*(states if isinstance(states, tuple) and isinstance(layer, Scan) else (dh,)))
    for p in layer.parameters():
        p.clear()


def theirs(layer: Any, x: Any, dh: Any) -> None:
    layer(x)[0].backward(dh)
    x.grad = None
    for p in layer.parameters():
        p.grad = None


def cpu_ms(step: Callable[[], None], seconds: float = 0.15) -> float:
    """The best of as many runs as fit into the time, at least one."""
    best, end = np.inf, time.perf_counter() + seconds
    while True:
        start = time.process_time()
        step()
        best = min(best, time.process_time() - start)
        if time.perf_counter() > end:
            return 1e3 * best


def contestants(layer: Any, peer: str, x: np.ndarray, dh: np.ndarray) -> list[Callable[[], None]]:
    """Cell by cell, over time, over time with kernels, torch if it is there."""
    scan = Scan(layer.cell)

    def kernels() -> None:
        with compiled_kernels():
            ours(layer, x, dh)

    steps = [lambda: ours(scan, x, dh), lambda: ours(layer, x, dh), kernels]
    if torch is not None:
        other = getattr(torch.nn, peer)(x.shape[2], dh.shape[2])
        x_t, dh_t = torch.tensor(x, requires_grad=True), torch.tensor(dh)
        steps.append(lambda: theirs(other, x_t, dh_t))
    return steps


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rng = np.random.default_rng(0)
    keep_freed_memory()  # as fit does; for torch's arrays too
    print("T    B    I    H    layer        cells    ours  kernels   torch ms   ", end="")
    print("ours/cells  ours/torch  kernels/torch")
    for T, B, n_in, H in SIZES:
        x, dh = (rng.standard_normal((T, B, n)).astype(np.float32) for n in (n_in, H))
        for name, (make, options, peer) in LAYERS.items():
            steps = contestants(make(n_in, H, rng=rng, **options), peer, x, dh)
            for step in steps:
                step()  # kernels are compiled
            best = [np.inf] * len(steps)
            for _ in range(rounds):
                best = [min(b, cpu_ms(step)) for b, step in zip(best, steps, strict=True)]
            cells, fast, compiled, *rest = best
            peer_ms = rest[0] if rest else np.nan
            print(f"{T:<4} {B:<4} {n_in:<4} {H:<4} {name:<10} {cells:7.2f} {fast:7.2f}", end=" ")
            print(f"{compiled:8.2f} {peer_ms:7.2f}      {fast / cells:10.2f}", end=" ")
            print(f"{fast / peer_ms:11.2f} {compiled / peer_ms:14.2f}", flush=True)


if __name__ == "__main__":
    main()
