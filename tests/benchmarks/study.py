"""Five losses with 0 to 2,048 extra samples, against six baselines, on two logs of clicks.

    python tests/benchmarks/study.py FOLDER [--rows study.tsv] [--processes 2]

FOLDER holds rsc15-100k and globo.  Three parts, one after another:
    tune    learning rate and dropout of each loss, by MRR@20 with 512 samples on the validation
            part of rsc15-100k, seed 0: 12 fits a loss
    rsc15   every loss with every number of samples at those settings, seeds 1 to 5, on its test day
    globo   the number of samples that was best for each loss on rsc15, all else as it was, on the
            day after the three days of news that are trained on: nothing is chosen on this log
Cross-entropy is there twice, with and without the logQ correction.  The rest is the same
everywhere (`SAME`).  Every fit adds a line to the file of rows, and a run that
was cut off goes on where it stopped; delete the file to begin anew.  At the end the tables are
printed and study.png is drawn beside this file.
"""

import argparse
import csv
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from nnlib.array import Array
from nnlib.data import Interactions
from nnlib.metrics import evaluate
from nnlib.models import (
    VSKNN,
    GRU4Rec,
    ItemKNN,
    Markov,
    Popularity,
    Recommender,
    SessionKNN,
    SessionPopularity,
)
from nnlib.plot import BLUE, GREEN, GREY, INK, ORANGE, PURPLE

SKY = "#56B4E9"  # one more of Okabe and Ito's
SAME: dict[str, Any] = dict(
    hidden=(100,), batch_size=32, embedding="shared", sample_alpha=0.5, epochs=10
)
LOSSES: dict[str, tuple[dict[str, Any], str, str]] = {
    "cross-entropy": ({"loss": "cross-entropy", "logq": 1.0}, BLUE, "o"),
    "cross-entropy, logq 0": ({"loss": "cross-entropy"}, SKY, "P"),
    "bpr-max": ({"loss": "bpr-max"}, ORANGE, "s"),  # with ELU .5 and bpreg 1, the defaults
    "top1-max": ({"loss": "top1-max"}, GREEN, "^"),
    "top1": ({"loss": "top1"}, PURPLE, "D"),  # of tanh scores, as in 2016
    "bpr": ({"loss": "bpr"}, GREY, "v"),
}
SAMPLES = (0, 32, 512, 2048)
GRID = [(lr, dropout) for lr in (0.02, 0.05, 0.1, 0.2) for dropout in (0.0, 0.2, 0.4)]
BASELINES: dict[str, type[Recommender]] = {
    "Popularity": Popularity,
    "Session popularity": SessionPopularity,
    "Item-KNN": ItemKNN,
    "Markov": Markov,
    "S-KNN": SessionKNN,
    "V-S-KNN": VSKNN,
}
GLOBO_TEST = 1_507_161_600  # 5 October 2017, 00:00 UTC: sessions that start later are test
GLOBO_EPOCHS = 3  # the log is ten times as long: three times the updates of rsc15
GLOBO_SEEDS = 3


@dataclass(frozen=True)
class Job:
    """One fit; a baseline has its name for a loss."""

    part: str
    model: str
    n_sample: int = 0
    seed: int = 0
    lr: float = 0.0
    dropout: float = 0.0


@dataclass(frozen=True)
class Row(Job):
    recall: float = 0.0
    mrr: float = 0.0
    recall_error: float = 0.0  # standard error of the test set
    mrr_error: float = 0.0
    seconds: float = 0.0  # CPU, of the fit


@cache
def logs(folder: Path, part: str) -> tuple[Interactions, Interactions]:
    if part == "globo":
        log = Interactions.from_tsv(folder / "globo" / "clicks_4days.tsv.gz").drop_short(2)
        test = log.time[log.offsets[:-1]] >= GLOBO_TEST
        return log.select_users(~test), log.select_users(test)
    names = ("train_tr", "train_valid") if part == "tune" else ("train_full", "test")
    train, test = (Interactions.from_tsv(folder / "rsc15-100k" / f"{n}.tsv") for n in names)
    return train, test


def run(folder: Path, job: Job) -> Row:
    train, test = logs(folder, job.part)
    begin = time.process_time()
    if job.model in BASELINES:
        model: Recommender = BASELINES[job.model]()
    else:
        model = GRU4Rec(
            n_sample=job.n_sample,
            lr=job.lr,
            dropout_hidden=job.dropout,
            seed=job.seed,
            **{**SAME, **({"epochs": GLOBO_EPOCHS} if job.part == "globo" else {})},
            **LOSSES[job.model][0],
        )
    model.fit(train)
    seconds = time.process_time() - begin
    result = evaluate(model, test, k=(20,))
    keys = ("recall@20", "mrr@20")
    measured = [result[k] for k in keys] + [result.stderr[k] for k in keys]
    return Row(*astuple(job), *(round(x, 5) for x in measured), round(seconds, 1))


class Rows:
    """What was measured so far, in a file that every result is added to at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        if path.exists():
            kinds = [f.type for f in fields(Row)]
            with path.open(newline="") as file:
                lines = list(csv.reader(file, delimiter="\t"))
            self.rows = [Row(*(k(v) for k, v in zip(kinds, line, strict=True))) for line in lines]

    def of(self, part: str, model: str | None = None, n_sample: int | None = None) -> list[Row]:
        return [
            r
            for r in self.rows
            if r.part == part
            and (model is None or r.model == model)
            and (n_sample is None or r.n_sample == n_sample)
        ]

    def complete(self, folder: Path, jobs: Iterable[Job], processes: int) -> None:
        """Run the jobs of which there is no row yet."""
        done = {astuple(r)[: len(fields(Job))] for r in self.rows}
        missing = [job for job in jobs if astuple(job) not in done]
        with ProcessPoolExecutor(processes) as pool:
            for future in as_completed([pool.submit(run, folder, job) for job in missing]):
                self.rows.append(row := future.result())
                with self.path.open("a", newline="") as file:
                    csv.writer(file, delimiter="\t").writerow(astuple(row))
                print(*astuple(row), flush=True)


def best(rows: list[Row]) -> Row:
    return max(rows, key=lambda r: r.mrr)


def mean(rows: list[Row]) -> tuple[Array, Array]:
    """(recall, MRR) over seeds and their standard deviation."""
    values = np.array([(r.recall, r.mrr) for r in rows])
    return values.mean(axis=0), values.std(axis=0, ddof=min(1, len(rows) - 1))


def study(folder: Path, rows: Rows, processes: int) -> dict[str, int]:
    """Everything, in its order; returns the number of samples chosen for each loss."""
    rows.complete(folder, (Job("tune", m, 512, 0, *s) for m in LOSSES for s in GRID), processes)
    chosen = {m: best(rows.of("tune", m)) for m in LOSSES}
    again = {m: (r.lr, r.dropout) for m, r in chosen.items()}
    rows.complete(
        folder,
        [Job("rsc15", m) for m in BASELINES]
        + [
            Job("rsc15", m, n, seed, *again[m])
            for seed in range(1, 6)
            for m in LOSSES
            for n in SAMPLES
        ],
        processes,
    )
    n_best = {m: max(SAMPLES, key=lambda n: mean(rows.of("rsc15", m, n))[0][1]) for m in LOSSES}
    rows.complete(
        folder,
        [Job("globo", m) for m in BASELINES]
        + [
            Job("globo", m, n_best[m], seed, *again[m])
            for seed in range(1, GLOBO_SEEDS + 1)
            for m in LOSSES
        ],
        processes,
    )
    return n_best


def cell(rows: list[Row], metric: int) -> str:
    center, spread = mean(rows)
    digits = f"{center[metric]:.4f}".lstrip("0")
    return digits if len(rows) == 1 else f"{digits} ± {spread[metric]:.4f}".replace("± 0", "± ")


def tables(rows: Rows, n_best: dict[str, int]) -> Iterator[str]:
    yield "| loss | lr | dropout |" + "".join(f" {n} samples |" for n in SAMPLES)
    yield "|---" * (3 + len(SAMPLES)) + "|"
    for metric, name in enumerate(("recall@20", "MRR@20")):
        for m in LOSSES:
            s = best(rows.of("tune", m))
            cells = (cell(rows.of("rsc15", m, n), metric) for n in SAMPLES)
            yield f"| {m}, {name} | {s.lr} | {s.dropout} | " + " | ".join(cells) + " |"
    yield ""
    yield "| | rsc15-100k recall@20 | MRR@20 | globo recall@20 | MRR@20 |"
    yield "|---|---|---|---|---|"
    for m in (*BASELINES, *LOSSES):
        n = n_best.get(m, 0)
        name = f"GRU4Rec, {m}, {n} samples" if m in LOSSES else m
        cells = (cell(rows.of(part, m, n), k) for part in ("rsc15", "globo") for k in (0, 1))
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield f"\nCPU minutes of all fits: {sum(r.seconds for r in rows.rows) / 60:.0f}"
    for part in ("rsc15", "globo"):
        r = best(rows.of(part))
        yield f"\nstandard errors of the test set, {part}: {r.recall_error}, {r.mrr_error}"


def figure(rows: Rows, path: Path) -> None:
    from matplotlib.figure import Figure

    picture = Figure(figsize=(9, 4.2), dpi=150, layout="constrained")
    for metric, (ax, name) in enumerate(
        zip(picture.subplots(1, 2), ("recall@20", "MRR@20"), strict=True)
    ):
        for i, (m, (_, colour, marker)) in enumerate(LOSSES.items()):
            points = [mean(rows.of("rsc15", m, n)) for n in SAMPLES]
            ax.errorbar(
                np.arange(len(SAMPLES)) + 0.05 * (i - 2),  # so that the bars can be told apart
                [c[metric] for c, _ in points],
                [s[metric] for _, s in points],
                color=colour,
                marker=marker,
                markersize=5,
                capsize=2,
                label=m,
            )
        for m, style in (("V-S-KNN", "--"), ("S-KNN", ":")):
            value = mean(rows.of("rsc15", m))[0][metric]
            ax.axhline(value, color=INK, linestyle=style, linewidth=1, label=m)
        ax.set_xticks(range(len(SAMPLES)), [str(n) for n in SAMPLES])
        ax.set_xlabel("extra samples beside the 31 targets of the others")
        ax.set_title(f"{name}, rsc15-100k", loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8)
    picture.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=Path, default=Path("study.tsv"))
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    rows = Rows(options.rows)
    n_best = study(options.folder, rows, options.processes)
    print("\n".join(tables(rows, n_best)))
    figure(rows, Path(__file__).with_name("study.png"))


if __name__ == "__main__":
    main()
