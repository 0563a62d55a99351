"""How a training step of GRU4Rec grows with batch, hidden size, samples and number of items.

    python tests/benchmarks/growth.py AUTHOR [--rounds 3] [--what batch ...]

One thing grows at a time, the rest is as in configuration d (100 units, batch 64, cross-entropy, a
shared table, 2,048 samples, 37,483 items).  Our step, the author's with what refilling his store of
samples costs, and the time of the step's products alone, all CPU milliseconds as in gru4rec.py.
The last line of a table is the exponent: the slope of a line through log time over log size.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported

import numpy as np
from author import CONFIGS, load_author
from gru4rec import N_ITEMS, author_steps, click_log, floor, interactions, our_steps, store_step

SIZES = {
    "batch_size": (16, 32, 64, 128, 256, 512),
    "layers": (50, 100, 200, 400, 800),
    "n_sample": (0, 128, 512, 2_048, 8_192),
    "n_items": (1_000, 10_000, 100_000, 1_000_000),
}
NAMES = {"batch_size": "batch", "layers": "hidden", "n_sample": "samples", "n_items": "items"}


def measure(author: object, what: str, size: int, rounds: int) -> list[float]:
    """[ours, author's, floor] in milliseconds a step, medians of `rounds` in turns."""
    config, n_items = dict(CONFIGS["d"]), N_ITEMS
    if what == "n_items":
        n_items = size
    else:
        config[what] = [size] if what == "layers" else size
    n_steps = 150
    log = click_log(n_steps + 2, config["batch_size"], n_items=n_items)
    mine = interactions(log)
    rows = [
        (our_steps(mine, config, n_steps), author_steps(author, log, config, n_steps))
        for _ in range(rounds)
    ]
    own, theirs = np.median(rows, axis=0)
    return [own, theirs + store_step(author, config, n_items), floor(config)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("author", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--what", choices=SIZES, action="append")
    options = parser.parse_args()
    author = load_author(options.author)
    for what in options.what or SIZES:
        print(f"\n| {NAMES[what]} | ours | floor | author | author / ours |\n|---|---|---|---|---|")
        rows = []
        for size in SIZES[what]:
            own, theirs, products = row = measure(author, what, size, options.rounds)
            rows.append(row)
            cells = f"{own:.3g} | {products:.2g} | {theirs:.3g} | {theirs / own:.1f}"
            print(f"| {size:,} | {cells} |", flush=True)
        grown = [i for i, size in enumerate(SIZES[what]) if size]  # log 0 has no slope
        slopes = np.polyfit(np.log(np.array(SIZES[what])[grown]), np.log(np.array(rows)[grown]), 1)[
            0
        ]
        own, theirs, products = slopes
        print(f"| exponent | {own:.2f} | {products:.2f} | {theirs:.2f} | |", flush=True)


if __name__ == "__main__":
    main()
