"""GRU4Rec against its author's PyTorch implementation: time of a training step, memory, accuracy.

    python tests/benchmarks/gru4rec.py steps AUTHOR [--config a32 ...] [--rounds 5]
    python tests/benchmarks/gru4rec.py memory AUTHOR
    python tests/benchmarks/gru4rec.py evaluation AUTHOR
    python tests/benchmarks/gru4rec.py accuracy TRAIN.tsv TEST.tsv [--config d2 --config c2]

AUTHOR is a checkout of the official code (see tests/benchmarks/README.md).  Both sides run their
whole `fit` on the same log, in turns, in one process with one BLAS thread; a step lasts from one
update to the next in CPU time.  The author's store of samples is filled before the clock starts,
ours draws them as it goes.  The floor is the time of the step's matrix products alone.
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
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from author import CONFIGS, load_author, ours

from nnlib.data import Interactions
from nnlib.metrics import evaluate
from nnlib.models.epochs import Epochs
from nnlib.models.session.gru4rec import GRU4Rec

N_ITEMS = 37_483  # as in RSC15
WARM_UP = 30  # steps that are not counted


def click_log(n_steps: int, batch: int, seed: int = 0) -> dict[str, Any]:
    """Columns of random sessions over 37,483 items, Zipf-popular, for about `n_steps` steps."""
    rng = np.random.default_rng(seed)
    lengths = 1 + rng.geometric(1 / 3, size=n_steps * batch // 3 + batch)
    n = int(lengths.sum())
    weights = 1 / np.arange(1, N_ITEMS + 1) ** 0.9
    item = rng.choice(N_ITEMS, n, p=weights / weights.sum())
    session = np.repeat(np.arange(len(lengths)), lengths)
    every = np.arange(N_ITEMS)  # one last session has all items, so that both sides know them
    return {
        "SessionId": np.concatenate([session, np.full(N_ITEMS, len(lengths))]),
        "ItemId": np.concatenate([item, every]),
        "Time": np.arange(n + N_ITEMS, dtype=float),
    }


def interactions(log: dict[str, Any]) -> Interactions:
    return Interactions.from_arrays(log["SessionId"], log["ItemId"], log["Time"])


class Enough(Exception):
    """Raised inside a fit once as many steps were timed as were asked for."""


@contextlib.contextmanager
def stamps(owner: type, method: str, n_steps: int) -> Iterator[list[float]]:
    """CPU times at which `owner.method` returned; stops the fit after `n_steps` of them."""
    original = getattr(owner, method)
    times: list[float] = []

    def stamped(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        times.append(time.process_time())
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

    torch.set_num_threads(1)
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


def floor(config: dict[str, Any], n_steps: int = 100) -> float:
    """CPU milliseconds of the products of a step, operands ready, every row carried on."""
    B, H, S = config["batch_size"], config["layers"][0], config["n_sample"]
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape, dtype=np.float32)
    U, D = B + S, config["embedding"] if not config["constrained_embedding"] else H
    h, x, W, wide = draw(B, H), draw(B, D or 1), draw(U, H), draw(B, 3 * H)
    W_in, W_rec, ds = draw(D or 1, 3 * H), draw(H, 3 * H), draw(B, U)
    begin = time.process_time()
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
    return 1e3 * (time.process_time() - begin) / n_steps


def steps(options: argparse.Namespace) -> None:
    author = load_author(options.author)
    print(f"{'config':8}{'author ms':>10}{'ours ms':>9}{'ratio':>7}{'floor ms':>10}")
    for name in options.config or CONFIGS:
        config = CONFIGS[name]
        n_steps = options.steps or (600 if config["layers"][0] <= 100 else 120)
        log = click_log(n_steps + 2, config["batch_size"])
        mine = interactions(log)
        rows = [
            (author_steps(author, log, config, n_steps), our_steps(mine, config, n_steps))
            for _ in range(options.rounds)
        ]
        theirs, own = np.median(rows, axis=0)
        ratio = np.median([a / b for a, b in rows])
        print(f"{name:8}{theirs:10.3f}{own:9.3f}{ratio:7.2f}{floor(config):10.3f}", flush=True)


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

    torch.set_num_threads(1)
    print(f"{'hidden':>7}{'items':>8}{'author/s':>10}{'ours/s':>9}{'ratio':>7}")
    for hidden in (100, 512):
        log = click_log(60, 512, seed=1)
        train, test = interactions(log), {k: v[:-N_ITEMS][:12_000] for k, v in log.items()}
        config = dict(CONFIGS["d"], layers=[hidden])
        theirs = author.GRU4Rec(**{"logq": 0.0, **config}, n_epochs=0, device=torch.device("cpu"))
        with contextlib.redirect_stdout(io.StringIO()):
            theirs.fit(pd.DataFrame(log), sample_cache_max_size=2048)
        model = ours(config, lr=0.05)
        model.item_ids_, model.net_ = train.item_ids, model._build(train.n_items)
        rates = []
        for _ in range(options.rounds):
            n = len(test["ItemId"]) - len(np.unique(test["SessionId"]))
            begin = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):
                author_evaluation.batch_eval(theirs, pd.DataFrame(test), cutoff=[20])
            middle = time.process_time()
            evaluate(model, interactions(test))
            rates.append((n / (middle - begin), n / (time.process_time() - middle)))
        a, b = np.median(rates, axis=0)
        print(f"{hidden:7}{train.n_items:8}{a:10.0f}{b:9.0f}{b / a:7.2f}", flush=True)


ACCURACY: dict[str, GRU4Rec] = {
    "d2": GRU4Rec(
        hidden=(100,), batch_size=32, loss="cross-entropy", embedding="shared", n_sample=2048,
        sample_alpha=0.5, logq=1.0, dropout_hidden=0.4, lr=0.2, momentum=0.2, epochs=10,
    ),
    "c2": GRU4Rec(
        hidden=(224,), batch_size=80, loss="bpr-max", embedding="shared", n_sample=2048,
        sample_alpha=0.4, dropout_embed=0.5, dropout_hidden=0.05, lr=0.05, momentum=0.4,
        bpreg=1.95, elu=0.5, epochs=10,
    ),
}  # fmt: skip


def accuracy(options: argparse.Namespace) -> None:
    """Recall@20 and MRR@20 of ours over seeds 1-5, all items ranked, conservative ties."""
    train, test = (
        Interactions.from_tsv(path, ids="text") for path in (options.train, options.test)
    )
    for name in options.config or ACCURACY:
        rows = []
        for seed in range(1, 6):
            model = replace(ACCURACY[name], seed=seed).fit(train)
            result = evaluate(model, test, k=(20,))
            rows.append((result["recall@20"], result["mrr@20"]))
            print(
                f"{name} seed {seed}: recall@20 {rows[-1][0]:.4f}  mrr@20 {rows[-1][1]:.4f}",
                flush=True,
            )
        (recall, mrr), (d_recall, d_mrr) = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
        print(
            f"{name}: recall@20 {recall:.4f} ± {d_recall:.4f}  mrr@20 {mrr:.4f} ± {d_mrr:.4f}"
            f"  (mean and standard deviation over {len(rows)} seeds, {result['n_points']} points)"
        )


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
    command.add_argument("--config", choices=sorted(ACCURACY), action="append")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
