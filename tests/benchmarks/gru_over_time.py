"""GRU over time against the repetition of its cell: forward and backward, side by side.

    python tests/benchmarks/gru_over_time.py [runs]

Both compute the same numbers; the ratio says what taking products out of the loop is worth.
"""

import sys
import time

import numpy as np

from nnlib.layer import Layer
from nnlib.layers import GRU, Scan


def seconds(layer: Layer, x: np.ndarray) -> float:
    start = time.perf_counter()
    h, backward = layer(x)
    backward(h)
    elapsed = time.perf_counter() - start
    for p in layer.parameters():
        p.clear()
    return elapsed


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    rng = np.random.default_rng(0)
    print("T    B    I    H    reset     cell by cell    over time    ratio")
    for T, B, n_in, H in ((20, 32, 64, 100), (20, 128, 256, 256), (100, 8, 32, 32)):
        x = rng.standard_normal((T, B, n_in)).astype(np.float32)
        for reset in ("before", "after"):
            gru = GRU(n_in, H, rng=rng, reset=reset)
            scan = Scan(gru.cell)
            times = [(seconds(scan, x), seconds(gru, x)) for _ in range(runs + 1)][1:]
            slow, fast = (1e3 * min(column) for column in zip(*times, strict=True))
            sizes = f"{T:<4} {B:<4} {n_in:<4} {H:<4}"
            print(f"{sizes} {reset:<8} {slow:9.2f} ms  {fast:9.2f} ms   {slow / fast:5.2f}")


if __name__ == "__main__":
    main()
