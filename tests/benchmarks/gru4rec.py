"""GRU4Rec against its author's PyTorch implementation: time of a training step, memory, accuracy.

    python tests/benchmarks/gru4rec.py steps AUTHOR [--config a32 ...] [--rounds 5]
    python tests/benchmarks/gru4rec.py memory AUTHOR
    python tests/benchmarks/gru4rec.py evaluation AUTHOR
    python tests/benchmarks/gru4rec.py accuracy TRAIN.tsv TEST.tsv [--author AUTHOR] [--config d2]

AUTHOR is a checkout of the official code (see tests/benchmarks/README.md).  Both sides run their
whole `fit` on the same log, in turns, in one process with one BLAS thread; a step lasts from one
update to the next in CPU time, or by the clock with OMP_NUM_THREADS=2, which says something only
where nothing else runs.  The author's store of samples is filled before the clock starts; what
refilling it costs a step is measured by itself.  Ours draws its samples as it goes.  The floor is
the time of the step's matrix products alone.
"""

import argparse
import contextlib
import io
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, os.environ.get("OMP_NUM_THREADS", "1"))

import numpy as np
from author import CONFIGS, load_author, ours

from nnlib.cli.blas import loaded_blas
from nnlib.data import Interactions
from nnlib.metrics import evaluate
from nnlib.models.epochs import Epochs

N_ITEMS = 37_483  # as in RSC15
WARM_UP = 30  # steps that are not counted
THREADS = int(os.environ["OMP_NUM_THREADS"])
clock = time.process_time if THREADS == 1 else time.perf_counter


def click_log(n_steps: int, batch: int, seed: int = 0, n_items: int = N_ITEMS) -> dict[str, Any]:
    """Columns of random sessions over `n_items` items, Zipf-popular, for about `n_steps` steps."""
    rng = np.random.default_rng(seed)
    lengths = 1 + rng.geometric(1 / 3, size=n_steps * batch // 3 + batch)
    n = int(lengths.sum())
    weights = 1 / np.arange(1, n_items + 1) ** 0.9
    item = rng.choice(n_items, n, p=weights / weights.sum())
    session = np.repeat(np.arange(len(lengths)), lengths)
    every = np.arange(n_items)  # one last session has all items, so that both sides know them
    return {
        "SessionId": np.concatenate([session, np.full(n_items, len(lengths))]),
        "ItemId": np.concatenate([item, every]),
        "Time": np.arange(n + n_items, dtype=float),
    }


def interactions(log: dict[str, Any]) -> Interactions:
    return Interactions.from_arrays(log["SessionId"], log["ItemId"], log["Time"])


class Enough(Exception):
    """Raised inside a fit once as many steps were timed as were asked for."""


@contextlib.contextmanager
def stamps(owner: type, method: str, n_steps: int) -> Iterator[list[float]]:
    """Times at which `owner.method` returned; stops the fit after `n_steps` of them."""
    original = getattr(owner, method)
    times: list[float] = []

    def stamped(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        times.append(clock())
        if len(times) > n_steps:
            raise Enough
        return result

    setattr(owner, method, stamped)
    try:
        yield times
    except Enough:
        pass
    finally:
        setattr(owner, method, original)


def milliseconds(times: list[float]) -> float:
    """Mean time of the steps after the warm-up."""
    return 1e3 * (times[-1] - times[WARM_UP]) / (len(times) - 1 - WARM_UP)


def author_steps(author: Any, log: dict[str, Any], config: dict[str, Any], n_steps: int) -> float:
    import pandas as pd
    import torch

    torch.set_num_threads(THREADS)
    model = author.GRU4Rec(
        **{"logq": 0.0, **config}, learning_rate=0.05, n_epochs=1, device=torch.device("cpu")
    )
    store = (n_steps + 2) * max(config["n_sample"], 1)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        stamps(author.IndexedAdagradM, "step", n_steps) as times,
    ):
        model.fit(pd.DataFrame(log), sample_cache_max_size=store)
    return milliseconds(times)


def our_steps(log: Interactions, config: dict[str, Any], n_steps: int) -> float:
    with stamps(Epochs, "record", n_steps) as times:
        ours(config, lr=0.05, epochs=1).fit(log)
    return milliseconds(times)


def store_step(author: Any, config: dict[str, Any], n_items: int = N_ITEMS) -> float:
    """Milliseconds a step that refilling the author's default store of samples costs."""
    import torch

    if not config["n_sample"]:
        return 0.0
    cumulated = (1 / np.arange(1, n_items + 1) ** (0.9 * config["sample_alpha"])).cumsum()
    weights = torch.tensor(cumulated / cumulated[-1], dtype=torch.float32)
    weights[-1] = 1
    begin = clock()
    with contextlib.redirect_stdout(io.StringIO()):
        author.SampleCache(config["n_sample"], 10_000_000, weights, device=torch.device("cpu"))
    return 1e3 * (clock() - begin) / (10_000_000 // config["n_sample"])


def floor(config: dict[str, Any], n_steps: int = 100) -> float:
    """Milliseconds of the products of a step, operands ready, every row carried on."""
    B, H, S = config["batch_size"], config["layers"][0], config["n_sample"]
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape, dtype=np.float32)
    U, D = B + S, config["embedding"] if not config["constrained_embedding"] else H
    h, x, W, wide = draw(B, H), draw(B, D or 1), draw(U, H), draw(B, 3 * H)
    W_in, W_rec, ds = draw(D or 1, 3 * H), draw(H, 3 * H), draw(B, U)
    begin = clock()
    for _ in range(n_steps):
        if D:
            x @ W_in
            x.T @ wide
            wide @ W_in.T
        h @ W_rec
        h.T @ wide
        h @ W.T
        ds.T @ h
        ds @ W
    return 1e3 * (clock() - begin) / n_steps


def steps(options: argparse.Namespace) -> None:
    """Both sides in turns; "store" is what the author's refilling of samples adds to a step."""
    author = load_author(options.author)
    print(f"BLAS kernels: {loaded_blas().kernel}, threads: {THREADS}")
    print("config  author ms  + store   ours ms  floor ms   ratio  ratio with store", flush=True)
    for name in options.config or CONFIGS:
        config = CONFIGS[name]
        n_steps = options.steps or (600 if config["layers"][0] <= 100 else 120)
        log = click_log(n_steps + 2, config["batch_size"])
        mine = interactions(log)
        pairs = [
            (author_steps(author, log, config, n_steps), our_steps(mine, config, n_steps))
            for _ in range(options.rounds)
        ]
        (theirs, own), store = np.median(pairs, axis=0), store_step(author, config)
        ratio = np.median([a / b for a, b in pairs])
        filled = np.median([(a + store) / b for a, b in pairs])
        print(
            f"{name:6}{theirs:11.3f}{store:9.3f}{own:10.3f}{floor(config):10.3f}"
            f"{ratio:8.2f}{filled:18.2f}",
            flush=True,
        )


def memory(options: argparse.Namespace) -> None:
    print(f"{'config':8}{'author MB':>10}{'ours MB':>9}   peak of a process that trains 200 steps")
    for name in options.config or CONFIGS:
        row = []
        for side in ("author", "ours"):
            command = [sys.executable, __file__, "peak", str(options.author), side, name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row.append(float(done.stdout))
        print(f"{name:8}{row[0]:10.0f}{row[1]:9.0f}", flush=True)


def peak(options: argparse.Namespace) -> None:
    """Peak memory of this process after 200 steps of one side, in MB on standard output."""
    config = CONFIGS[options.name]
    log = click_log(202, config["batch_size"])
    if options.side == "author":
        author_steps(load_author(options.author), log, config, 200)
    else:
        our_steps(interactions(log), config, 200)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def evaluation(options: argparse.Namespace) -> None:
    """Full-ranking evaluation: events a second of both sides on the same untrained networks."""
    import pandas as pd
    import torch

    author = load_author(options.author)
    import evaluation as author_evaluation  # the author's module of that name

    torch.set_num_threads(THREADS)
    print(f"{'hidden':>7}{'items':>8}{'author/s':>10}{'ours/s':>9}{'ratio':>7}")
    for hidden, n_items in ((100, N_ITEMS), (100, 17_000), (512, N_ITEMS)):
        log = click_log(60, 512, seed=1, n_items=n_items)
        train, test = interactions(log), {k: v[:-n_items][:12_000] for k, v in log.items()}
        config = dict(CONFIGS["d"], layers=[hidden])
        theirs = author.GRU4Rec(**{"logq": 0.0, **config}, n_epochs=0, device=torch.device("cpu"))
        with contextlib.redirect_stdout(io.StringIO()):
            theirs.fit(pd.DataFrame(log), sample_cache_max_size=2048)
        model = ours(config, lr=0.05)
        model.item_ids_, model.net_ = train.item_ids, model._build(train.n_items)
        rates = []
        for _ in range(options.rounds):
            n = len(test["ItemId"]) - len(np.unique(test["SessionId"]))
            begin = clock()
            with contextlib.redirect_stdout(io.StringIO()):
                author_evaluation.batch_eval(theirs, pd.DataFrame(test), cutoff=[20])
            middle = clock()
            evaluate(model, interactions(test))
            rates.append((n / (middle - begin), n / (clock() - middle)))
        a, b = np.median(rates, axis=0)
        print(f"{hidden:7}{train.n_items:8}{a:10.0f}{b:9.0f}{b / a:7.2f}", flush=True)


ACCURACY = {
    "d2": dict(CONFIGS["d2"], learning_rate=0.2),
    "c2": dict(CONFIGS["c2"], learning_rate=0.05),
}


def accuracy(options: argparse.Namespace) -> None:
    """Recall@20 and MRR@20 over seeds 1-5, all items ranked, conservative ties."""
    train, test = (Interactions.from_tsv(path) for path in (options.train, options.test))

    def of_ours(config: dict[str, Any], seed: int) -> tuple[float, float]:
        lr = config["learning_rate"]
        model = replace(ours(config, lr=lr, epochs=10), seed=seed).fit(train)
        result = evaluate(model, test, k=(20,))
        return result["recall@20"], result["mrr@20"]

    sides = {"ours": of_ours}
    if options.author:
        sides["author"] = partial(author_accuracy, options)
    for name in options.config or ACCURACY:
        for side, measure in sides.items():
            rows = []
            for seed in range(1, 6):
                rows.append(measure(ACCURACY[name], seed))
                recall, mrr = rows[-1]
                print(f"{name} {side} seed {seed}: {recall:.4f} {mrr:.4f}", flush=True)
            (recall, mrr), (d_recall, d_mrr) = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
            print(
                f"{name} {side}: recall@20 {recall:.4f} ± {d_recall:.4f}  "
                f"MRR@20 {mrr:.4f} ± {d_mrr:.4f}  (mean, standard deviation over 5 seeds)"
            )


def author_accuracy(
    options: argparse.Namespace, config: dict[str, Any], seed: int
) -> tuple[float, float]:
    import pandas as pd
    import torch

    author = load_author(options.author)
    import evaluation as author_evaluation  # the author's module of that name

    torch.manual_seed(seed)
    torch.set_num_threads(THREADS)
    model = author.GRU4Rec(**{"logq": 0.0, **config}, n_epochs=10, device=torch.device("cpu"))
    train, test = (pd.read_csv(path, sep="\t") for path in (options.train, options.test))
    with contextlib.redirect_stdout(io.StringIO()):
        model.fit(train, compatibility_mode=False)
        recall, mrr = author_evaluation.batch_eval(model, test, cutoff=[20], mode="conservative")
    return float(recall[20]), float(mrr[20])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for function in (steps, memory, evaluation):
        command = commands.add_parser(function.__name__)
        command.set_defaults(run=function)
        command.add_argument("author", type=Path)
        command.add_argument("--config", choices=sorted(CONFIGS), action="append")
        command.add_argument("--rounds", type=int, default=5)
        command.add_argument("--steps", type=int)
    command = commands.add_parser("peak")
    command.set_defaults(run=peak)
    command.add_argument("author", type=Path)
    command.add_argument("side", choices=("author", "ours"))
    command.add_argument("name", choices=sorted(CONFIGS))
    command = commands.add_parser("accuracy")
    command.set_defaults(run=accuracy)
    command.add_argument("train", type=Path)
    command.add_argument("test", type=Path)
    command.add_argument("--author", type=Path)
    command.add_argument("--config", choices=sorted(ACCURACY), action="append")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
