"""Time per pair of the full and the hierarchical softmax against the number of items.

    OMP_NUM_THREADS=1 python tests/benchmarks/hierarchical_softmax.py [rounds] [figure.png]

One pair is one row of h (D = 100) and its target: loss, and gradients of h and of the output table,
in float32, batches of 1024 rows (of 128 for the full softmax, whose (B, V) scores would take 0.5 GB
otherwise).  Targets follow Zipf's law, f_v ∝ 1 / v.  Forms take turns; CPU time, the least of the
rounds.

Then what it costs to rank all items and to find the ten best by branch and bound, in a model that
is sure (O large) and in one that is not.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nnlib.array import keep_freed_memory
from nnlib.functional import softmax
from nnlib.functional.hierarchical_softmax import (
    hierarchical_softmax,
    hierarchical_softmax_backward,
    log_probabilities,
    top_k,
)
from nnlib.functional.rows import coalesce
from nnlib.functional.trees import Tree, balanced, huffman, mean_code_length
from nnlib.init import normal
from nnlib.layers import HierarchicalSoftmax
from nnlib.plot import BLUE, GREEN, GREY, INK, ORANGE

SIZES = tuple(2**i for i in range(10, 18))
D, BATCH, FULL_BATCH = 100, 1024, 128
Step = Callable[[], object]
NAMES = {
    "full": "full softmax",
    "paths": "Huffman, padded paths",
    "huffman": "Huffman, top as a block",
    "balanced": "balanced, top as a block",
}


def full_step(h: np.ndarray, O: np.ndarray, target: np.ndarray) -> Step:
    s, dO = np.empty((len(h), len(O)), np.float32), np.empty_like(O)  # fresh pages cost as much

    def step() -> object:
        losses, G, scale = softmax.cross_entropy(np.matmul(h, O.T, out=s), target)
        G *= scale[:, None]
        return losses, G @ O, np.matmul(G.T, h, out=dO)

    return step


def paths_step(h: np.ndarray, O: np.ndarray, tree: Tree, target: np.ndarray) -> Step:
    ones = np.ones(len(h), np.float32)

    def step() -> object:
        deepest = tree.depth[target].max()
        path, sign = tree.path[target, :deepest], tree.sign[target, :deepest]
        losses, saved = hierarchical_softmax(h, O, path, sign)
        dh, values = hierarchical_softmax_backward(ones, saved)
        return losses, dh, coalesce(path.ravel(), values.reshape(-1, D))

    return step


def layer_step(h: np.ndarray, layer: HierarchicalSoftmax, target: np.ndarray) -> Step:
    def step() -> object:
        _, backward = layer(h, target)
        dh = backward()
        layer.O.clear()
        return dh

    return step


def steps(
    V: int, rng: np.random.Generator
) -> tuple[dict[str, tuple[Step, int]], tuple[float, int]]:
    """name → (step, pairs in it); mean code length of the Huffman and depth of the other tree."""
    share = 1 / np.arange(1, V + 1)
    share /= share.sum()
    target = rng.choice(V, BATCH, p=share)
    h = rng.standard_normal((BATCH, D), np.float32)
    O = 0.1 * rng.standard_normal((V, D), np.float32)
    by_count, even = huffman(share), balanced(V)
    layers = [HierarchicalSoftmax(t, D, rng=rng, init=normal(0.1)) for t in (by_count, even)]
    few, few_targets = h[:FULL_BATCH], target[:FULL_BATCH]
    return {
        "full": (full_step(few, O, few_targets), FULL_BATCH),
        "paths": (paths_step(h, O, by_count, target), BATCH),
        "huffman": (layer_step(h, layers[0], target), BATCH),
        "balanced": (layer_step(h, layers[1], target), BATCH),
    }, f"{mean_code_length(by_count, share):.1f}, {mean_code_length(even, share):.0f}"


def timed(step: Step) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def slope(times: list[float]) -> float:
    """Of log time over log V."""
    return float(np.polyfit(np.log(SIZES), np.log(times), 1)[0])


def measure_training(rounds: int) -> dict[str, list[float]]:
    """name → µs a pair for each size."""
    rng = np.random.default_rng(0)
    best: dict[str, list[float]] = {name: [] for name in NAMES}
    print("µs a pair  |  " + "  |  ".join(NAMES.values()) + "  |  bits (Huffman, balanced)")
    for V in SIZES:
        forms, bits = steps(V, rng)
        fastest = dict.fromkeys(forms, np.inf)
        for _ in range(rounds):
            for name, (step, n) in forms.items():
                fastest[name] = min(fastest[name], timed(step) / n * 1e6)
        for name, us in fastest.items():
            best[name].append(us)
        row = "  ".join(f"{us:9.2f}" for us in fastest.values())
        ratio = fastest["full"] / fastest["huffman"]
        print(f"V = {V:7}  {row}  {bits:>8}  full / block {ratio:.0f}")
    for name, times in best.items():
        each = np.diff(times).mean()
        r2 = np.corrcoef(np.log(SIZES), times)[0, 1] ** 2
        power, line = f"∝ V^{slope(times):.2f}", f"{each:+.2f} µs each time V doubles"
        print(f"{NAMES[name]:26} {power};  {line} (r² of a line in log V {r2:.2f})")
    return best


def ranking_steps(V: int, size: float) -> tuple[Step, Step]:
    rng = np.random.default_rng(1)
    tree = huffman(1 / np.arange(1, V + 1))
    h = rng.standard_normal((16, D), np.float32)
    O = np.float32(size) * rng.standard_normal((V - 1, D), np.float32)
    return lambda: log_probabilities(h, O, tree), lambda: top_k(h, O, tree, 10)


def measure_ranking(rounds: int) -> None:
    print("\nms for 16 rows: all items level by level, the ten best by branch and bound")
    for V in SIZES[::3]:
        for name, size in (("unsure", 0.02), ("sure", 0.5)):
            both = ranking_steps(V, size)
            every, ten = (1e3 * min(timed(step) for _ in range(rounds)) for step in both)
            print(f"V = {V:7}  {name:6}  {every:8.2f}  {ten:8.2f}")


def draw(best: dict[str, list[float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.8), dpi=150, layout="constrained", facecolor="white")
    ax = figure.subplots()
    ax.spines[["top", "right"]].set_visible(False)
    colours = {"full": ORANGE, "paths": GREY, "huffman": BLUE, "balanced": GREEN}
    for name, times in best.items():
        ax.plot(SIZES, times, color=colours[name], marker="o", markersize=4)
        ax.annotate(
            f"{NAMES[name]}, ∝ V^{slope(times):.2f}",
            (SIZES[-1], times[-1]),
            xytext=(0, -24 if name == "huffman" else 6),
            textcoords="offset points",
            ha="right",
            color=colours[name],
            fontsize=9,
        )
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.grid(axis="y", color=GREY, linewidth=0.4, alpha=0.3)
    ax.set_xlabel("items V", color=INK)
    ax.set_ylabel("µs a pair, loss and gradients", color=INK)
    figure.savefig(path)
    print(f"\nfigure: {path}")


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    target = Path(sys.argv[2] if len(sys.argv) > 2 else "hierarchical_softmax.png")
    keep_freed_memory()
    draw(measure_training(n), target)
    measure_ranking(n)
