"""GRU4Rec on a stream of made-up clicks, none of which is stored: memory, speed and recall.

    python tests/benchmarks/stream.py [--events 10000000] [--chunk 10000] [--hidden 64]

Chunks of `HMMClicks` come one after another and go to `GRU4Rec.partial_fit`.  After every tenth of
the events a line says what the process has in memory now and at most so far, the events per second
of training and of making the clicks up, the loss, and recall@20 on sessions put aside, beside the
best possible one.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from nnlib.data.synthetic import HMMClicks
from nnlib.metrics import evaluate
from nnlib.models import BayesCeiling, GRU4Rec


def megabytes() -> tuple[float, float]:
    """Memory of this process in RAM: now, and at most so far (Linux)."""
    status = Path("/proc/self/status").read_text()
    now, most = (int(status.partition(f"{key}:")[2].split()[0]) for key in ("VmRSS", "VmHWM"))
    return now / 1e3, most / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--chunk", type=int, default=10_000, help="sessions")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    world = HMMClicks()
    test = world.sample(1_000, np.random.default_rng((args.seed, 1)))
    best = evaluate(BayesCeiling(world=world).fit(test), test)["recall@20"]
    model = GRU4Rec(
        hidden=(args.hidden,), batch_size=64, n_sample=128, sample_alpha=0.0, dropout_hidden=0.1,
        lr=0.1, seed=args.seed,
    )  # fmt: skip
    print(f"{'events':>12} {'MB now':>8} {'at most':>8} {'trained/s':>10} {'made/s':>10} "
          f"{'loss':>7} {'recall@20':>10}  (best possible {best:.4f})")  # fmt: skip

    done, shown, training, making = 0, 0, 0.0, 0.0
    begin = time.perf_counter()
    for clicks in world.stream(args.events, np.random.default_rng(args.seed), args.chunk):
        made = time.perf_counter()
        model.partial_fit(clicks, item_ids=range(world.n_items))
        end = time.perf_counter()
        making, training = making + made - begin, training + end - made
        done += clicks.n_events
        if done * 10 // args.events > shown:
            shown = done * 10 // args.events
            recall, (now, most) = evaluate(model, test)["recall@20"], megabytes()
            print(f"{done:12,} {now:8.1f} {most:8.1f} "
                  f"{done / training:10,.0f} {done / making:10,.0f} {model.losses_[-1]:7.4f} "
                  f"{recall:10.4f}", flush=True)  # fmt: skip
        begin = time.perf_counter()


if __name__ == "__main__":
    main()
