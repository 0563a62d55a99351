"""The table of `nnlib demo` over several seeds, each with a world, sessions and weights of its own.

python tests/benchmarks/demo_seeds.py [seed ...]        default: 1 2 3 4 5
"""

import json
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np


def demo(seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nnlib.cli", "demo", "--json", "--out", folder]
        command += ["--seed", str(seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["models"]


def main() -> None:
    runs = [demo(int(seed)) for seed in sys.argv[1:] or range(1, 6)]
    print(f"mean ± standard deviation over {len(runs)} seeds")
    for name in runs[0]:
        values = np.array([[run[name][key] for key in ("recall@20", "mrr@20")] for run in runs])
        (recall, mrr), (d_recall, d_mrr) = values.mean(axis=0), values.std(axis=0, ddof=1)
        print(f"{name:20} {recall:.4f} ± {d_recall:.4f}   {mrr:.4f} ± {d_mrr:.4f}")


if __name__ == "__main__":
    main()
