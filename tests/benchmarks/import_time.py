"""How long `import nnlib` takes, beside `import numpy` alone: the best of several fresh processes.

    python tests/benchmarks/import_time.py [runs]

Exit status 1 if nnlib takes more than 2.2 times as long.
"""

import subprocess
import sys

LIMIT = 2.2
PROGRAM = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module: str) -> float:
    command = [sys.executable, "-c", PROGRAM.format(module)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times: dict[str, list[float]] = {"numpy": [], "nnlib": []}
    for _ in range(runs):  # taking turns, so that both see the same machine
        for module, measured in times.items():
            measured.append(seconds(module))
    numpy, nnlib = min(times["numpy"]), min(times["nnlib"])
    print(f"import numpy {1e3 * numpy:.0f} ms, import nnlib {1e3 * nnlib:.0f} ms", end="")
    print(f", ratio {nnlib / numpy:.2f} (limit {LIMIT}), best of {runs}")
    return int(nnlib / numpy > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
