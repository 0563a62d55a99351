"""GRU4Rec on a GPU: steps a second without kernels, with, and by a graph; bandwidth of kernels.

    python tests/benchmarks/gpu.py steps [--config b ...] [--steps 300]
    python tests/benchmarks/gpu.py kernels

Steps are timed by the clock, from one update to the next, after a warm-up that compiles; a step's
launches are queued, so the time is taken between two waits for the device.  Kernels are timed by
CUDA's events over 200 launches; GB/s count each element that must be read or written once.
"""

import argparse
import contextlib
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from author import CONFIGS, ours
from gru4rec import Enough, click_log, interactions

from nnlib.array import FUSED, check_device, gpu_problem, to_device
from nnlib.cuda import cuda_kernels
from nnlib.functional import gru_step, ranking, rows, softmax, updates
from nnlib.models import epochs

WARM_UP = 50


def steps_per_second(
    config: dict[str, Any], n_steps: int, with_kernels: bool, graph: bool = False
) -> float:
    import cupy

    log = interactions(click_log(n_steps + WARM_UP + 16, config["batch_size"]))
    model = ours(config, lr=0.05)
    model.device, model.graph = "cuda", graph
    seen, begin, first = 0, 0.0, 0
    record, kernels = epochs.Epochs.record, epochs.cuda_kernels

    def timed(run: Any, loss: Any, events: int, steps: int = 1) -> None:
        nonlocal seen, begin, first
        record(run, loss, events, steps)
        seen += steps
        if seen >= WARM_UP and (not first or seen >= first + n_steps):
            cupy.cuda.get_current_stream().synchronize()
            if first:
                raise Enough
            first, begin = seen, time.perf_counter()

    epochs.Epochs.record = timed  # type: ignore[method-assign, assignment]
    if not with_kernels:
        epochs.cuda_kernels = contextlib.nullcontext  # type: ignore[assignment]
    try:
        model.fit(log)
    except Enough:
        return (seen - first) / (time.perf_counter() - begin)
    finally:
        epochs.Epochs.record = record  # type: ignore[method-assign]
        epochs.cuda_kernels = kernels
    raise SystemExit(f"the log ended after {seen} steps: ask for fewer")


def steps(options: argparse.Namespace) -> None:
    print(f"{'config':8}{'CuPy/s':>10}{'kernels/s':>11}{'ratio':>7}{'graph/s':>10}{'ratio':>7}")
    for name in options.config or CONFIGS:
        plain, kernel, graph = (
            steps_per_second(CONFIGS[name], options.steps, *how)
            for how in ((False,), (True,), (True, True))
        )
        print(
            f"{name:8}{plain:10.0f}{kernel:11.0f}{kernel / plain:7.2f}"
            f"{graph:10.0f}{graph / plain:7.2f}",
            flush=True,
        )


def microseconds(f: Any, n: int = 200) -> float:
    import cupy

    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    for _ in range(10):
        f()
    start.record()
    for _ in range(n):
        f()
    end.record()
    end.synchronize()
    return 1e3 * cupy.cuda.get_elapsed_time(start, end) / n


def kernels(options: argparse.Namespace) -> None:
    """Each operation at the sizes of configuration b: B = 240, H = 512, 2,048 samples."""
    B, H, U, N = 240, 512, 2300, 37_483
    rng = np.random.default_rng(0)
    put = lambda x: to_device(x, "cuda")
    draw = lambda *shape: put(rng.standard_normal(shape, dtype=np.float32))
    x, h, W, b, s = draw(B, 3 * H), draw(B, H), draw(H, 3 * H), draw(3 * H), draw(B, U)
    target, count = put(rng.integers(U, size=B)), put(np.ones(U, np.float32))
    theta, G, v, g = draw(N, H), put(np.ones((N, H), np.float32)), draw(N, H), draw(U, H)
    ids, values = put(rng.integers(N, size=B)), draw(B, H)
    some, scratch = put(rng.permutation(N)[:U]), put(np.zeros(N, np.int32))
    settings = {"lr": 0.05, "momentum": 0.2, "eps": 0.0}
    _, saved = gru_step.gru_step_after(x, h, W, b, b)
    BH, BU, UH = B * H, B * U, U * H
    cases: list[tuple[Any, tuple[Any, ...], dict[str, float], int]] = [
        (gru_step.gru_step_after, (x, h, W, b, b), {}, 13 * BH),  # and a product, not counted
        (gru_step.gru_step_after_backward, (h, saved), {}, 12 * BH),  # likewise
        (softmax.cross_entropy, (s, target, count), {}, 2 * BU),
        (ranking.bpr_max, (s, target, count, 1.0), {}, 2 * BU),
        (rows.distinct, (some, scratch), {}, 10 * U),
        (rows.coalesce, (ids, values), {}, 2 * BH),
        (updates.adagrad, (theta, v, G, None), settings, 5 * N * H),
        (updates.adagrad_rows, (theta, some, g, G, v), settings, 7 * UH),
    ]
    print(f"{'operation':28}{'CuPy us':>10}{'kernel us':>11}{'ratio':>7}{'GB/s':>8}")
    for op, arguments, keywords, elements in cases:
        with cuda_kernels():
            kernel = FUSED[op.__name__]
        plain, fused = (
            microseconds(partial(f, *arguments, **keywords)) for f in (op.__wrapped__, kernel)
        )
        rate = 4e-3 * elements / fused
        print(f"{op.__name__:28}{plain:10.1f}{fused:11.1f}{plain / fused:7.2f}{rate:8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("steps")
    command.set_defaults(run=steps)
    command.add_argument("--config", choices=sorted(CONFIGS), action="append")
    command.add_argument("--steps", type=int, default=300)
    commands.add_parser("kernels").set_defaults(run=kernels)
    options = parser.parse_args()
    if problem := gpu_problem():
        print(f"nothing measured: {problem}")
        return
    check_device("cuda")
    import cupy

    device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{device}, CuPy {cupy.__version__}")
    options.run(options)


if __name__ == "__main__":
    main()
