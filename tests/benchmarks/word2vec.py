"""Word2Vec against gensim: tokens a second, held-out loss, recall, word similarity, memory.

    python tests/benchmarks/word2vec.py [--data tokens clicks globo text] [--epochs 3] [--rounds 2]
    python tests/benchmarks/word2vec.py --without numba [scipy]
    python tests/benchmarks/word2vec.py --shuffled
    python tests/benchmarks/word2vec.py memory

gensim trains with one worker from a file (its fastest mode), both sides with 100 factors, a window
of 5, 5 negatives, no subsampling, min_count 1 and the same falling rate.  They train in turns in
one process with one BLAS thread.  An epoch's speed is tokens by CPU time; the fastest epoch of all
rounds counts, so that neither building trees nor compiling kernels does.  The quality is that of
each side's first round.

Held-out loss: nats of a pair in the test rows, with the same negatives for both; of a tree's, of a
token given each of its contexts (skip-gram) or their mean (CBOW), in each side's own Huffman tree.
"""

import argparse
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

from nnlib import compiled
from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.functional import sparse_products
from nnlib.functional.activations import log_logistic
from nnlib.models.embeddings.word2vec import Word2Vec
from nnlib.models.epochs import Epochs

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("NNLIB_DATA", ROOT.parent / "shared" / "data"))
WINDOW, NEGATIVES, FACTORS = 5, 5, 100
MODES = {
    "skip-gram, negative sampling": ("skip-gram", "negative-sampling"),
    "CBOW, negative sampling": ("cbow", "negative-sampling"),
    "skip-gram, hierarchical softmax": ("skip-gram", "hierarchical-softmax"),
    "CBOW, hierarchical softmax": ("cbow", "hierarchical-softmax"),
}


class Rows(NamedTuple):
    """Training and test rows of one data set, in one code."""

    train: Interactions
    test: Histories  # items that the training rows have, in their codes


class Result(NamedTuple):
    """A side's tables, in the codes of the training rows, and its speed."""

    E: Array
    O: Array  # with negative sampling: a row an item; with a tree: a row a node
    path: list[tuple[Array, Array]] | None  # (nodes, signs) of every item
    speeds: list[float]  # tokens a second, of every epoch


def random_tokens(n: int = 1_000_000, n_items: int = 20_000, length: int = 20) -> Rows:
    """Sentences that walk through 200 topics, each with Zipf-popular items of its own."""
    rng = np.random.default_rng(0)
    n_topics, n_rows = 200, n // length + 1000
    weight = 1 / np.arange(1, n_items + 1) ** 0.9
    topic_of = rng.permutation(n_items) % n_topics
    topic = np.empty((n_rows, length), np.int64)
    topic[:, 0] = rng.integers(n_topics, size=n_rows)
    for t in range(1, length):
        stay = rng.random(n_rows) < 0.7
        topic[:, t] = np.where(
            stay, topic[:, t - 1], (topic[:, t - 1] + rng.integers(1, 4, n_rows)) % n_topics
        )
    items = rng.choice(n_items, topic.shape, p=weight / weight.sum())  # a tenth is noise
    for c in range(n_topics):
        here = (topic == c) & (rng.random(topic.shape) < 0.9)
        members = np.flatnonzero(topic_of == c)
        p = weight[members] / weight[members].sum()
        items[here] = rng.choice(members, int(here.sum()), p=p)
    return split(items.ravel(), np.repeat(np.arange(n_rows), length), 1000)


def clicks() -> Rows:
    """The clicks of rsc15: its own last day is the test."""
    read = lambda name: Interactions.from_tsv(DATA / "rsc15-100k" / name)
    train = read("train_full.tsv").drop_short()
    test, _ = read("test.tsv").in_items_of(train.item_ids)
    return Rows(train, test.histories())


def globo() -> Rows:
    """Half a million clicks on news."""
    log = Interactions.from_tsv(DATA / "globo" / "clicks_4days.tsv.gz").drop_short()
    log = log.select_users(np.arange(min(log.n_users, 170_000)))
    return split(log.item, log.user, 2000)


def text() -> Rows:
    """Penn Treebank: the training part."""
    with gzip.open(DATA / "ptb" / "ptb.train.partial.txt.gz", "rt") as file:
        lines = [line.split() for line in file]
    words = np.array([word for line in lines for word in line], object)
    row = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    return split(words, row, 1000)


def split(items: Array, row: Array, n_test: int) -> Rows:
    """The last `n_test` rows apart."""
    last = row.max() - n_test
    train = Interactions.from_arrays(row[row <= last], items[row <= last])
    test = Interactions.from_arrays(row[row > last], items[row > last])
    return Rows(train, test.in_items_of(train.item_ids)[0].histories())


SETS = {"tokens": random_tokens, "clicks": clicks, "globo": globo, "text": text}


@contextmanager
def epoch_ends() -> Iterator[list[float]]:
    """CPU times at which the epochs of a fit began and ended."""
    times: list[float] = []
    original = Epochs.__iter__

    def stamped(self: Epochs) -> Iterator[int]:
        for epoch in original(self):
            times.append(time.process_time())
            yield epoch
        times.append(time.process_time())

    Epochs.__iter__ = stamped  # type: ignore[method-assign]
    try:
        yield times
    finally:
        Epochs.__iter__ = original  # type: ignore[method-assign]


def ours(rows: Rows, mode: tuple[str, str], epochs: int, seed: int, **options: Any) -> Result:
    architecture, output = mode
    model = Word2Vec(
        architecture=architecture,  # type: ignore[arg-type]
        output=output,  # type: ignore[arg-type]
        epochs=epochs,
        seed=seed,
        **options,
    )
    with epoch_ends() as times:
        model.fit(rows.train)
    path = None
    if output == "hierarchical-softmax":
        tree = model.tree_of_items
        path = [(tree.path[v, :d], tree.sign[v, :d]) for v, d in enumerate(tree.depth)]
    return Result(model.E_, model.O_, path, list(rows.train.n_events / np.diff(times)))


def gensims(rows: Rows, mode: tuple[str, str], epochs: int, seed: int, file: Path) -> Result:
    from gensim.models import Word2Vec as Peer

    skip_gram, tree = mode[0] == "skip-gram", mode[1] == "hierarchical-softmax"
    lr = 0.025 if skip_gram else 0.05
    peer = Peer(
        vector_size=FACTORS,
        window=WINDOW,
        min_count=1,
        sg=int(skip_gram),
        hs=int(tree),
        negative=0 if tree else NEGATIVES,
        sample=0,
        workers=1,
        alpha=lr,
        seed=seed + 1,
    )
    peer.build_vocab(corpus_file=str(file))
    speeds, n = [], rows.train.n_events
    for epoch in range(epochs):
        begin = time.process_time()
        peer.train(
            corpus_file=str(file),
            total_words=n,
            total_examples=rows.train.n_users,
            epochs=1,
            start_alpha=lr + (1e-4 - lr) * epoch / epochs,
            end_alpha=lr + (1e-4 - lr) * (epoch + 1) / epochs,
        )
        speeds.append(n / (time.process_time() - begin))
    place = np.array([peer.wv.key_to_index[str(i)] for i in range(rows.train.n_items)])
    if not tree:
        return Result(peer.wv.vectors[place], peer.syn1neg[place], None, speeds)
    point, code = (peer.wv.expandos[name] for name in ("point", "code"))
    path = [(point[v], 1 - 2 * code[v].astype(np.int64)) for v in place]
    return Result(peer.wv.vectors[place], peer.syn1, path, speeds)


def held_out_pairs(test: Histories, n_most: int = 60_000) -> tuple[Array, Array]:
    """(token, other) at most 3 places apart, as positions in the test items."""
    row, at = test.positions()
    pairs = []
    for step in (1, 2, 3):
        same = row[step:] == row[:-step]
        pairs += [(at[:-step][same], at[step:][same]), (at[step:][same], at[:-step][same])]
    left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
    some = np.random.default_rng(0).permutation(len(left))[:n_most]
    return left[some], right[some]


def held_out_loss(rows: Rows, result: Result, cbow: bool) -> float:
    """Mean loss of a prediction in the test rows."""
    items = rows.test.items
    token, other = held_out_pairs(rows.test)
    h, target = result.E[items[other]], items[token]
    if cbow:  # the mean of the contexts that were drawn
        _, place = np.unique(token, return_inverse=True)
        sums = np.zeros((place.max() + 1, h.shape[1]))
        np.add.at(sums, place, h)
        h = (sums / np.bincount(place)[:, None])[place]
    if result.path is None:
        support = rows.train.support() ** 0.75
        rng = np.random.default_rng(1)
        noise = rng.choice(len(support), (len(h), NEGATIVES), p=support / support.sum())
        s = np.einsum("bd,bd->b", h, result.O[target])
        s_noise = np.einsum("bd,bkd->bk", h, result.O[noise])
        losses = -log_logistic(s) - (log_logistic(-s_noise) * (noise != target[:, None])).sum(1)
        return float(losses.mean())
    total = 0.0
    for v in np.unique(target):
        nodes, signs = result.path[v]
        a = h[target == v] @ result.O[nodes].T
        total -= float(log_logistic(signs * a).sum())
    return total / len(h)


def recalls(rows: Rows, result: Result, n_most: int = 5000) -> tuple[float, float]:
    """recall@20 of the next token from the last one, by E · O + log q and by the cosine of E."""
    at = rows.test.points()
    at = np.random.default_rng(0).permutation(at)[:n_most]
    query, target = rows.test.items[at], rows.test.items[at + 1]
    unit = result.E / np.maximum(np.linalg.norm(result.E, axis=1, keepdims=True), 1e-12)
    log_q = 0.75 * np.log(np.maximum(rows.train.support(), 1))
    hits = [0, 0]
    for i in range(0, len(at), 500):
        q, t = query[i : i + 500], target[i : i + 500, None]
        scores = [unit[q] @ unit.T]
        if result.path is None:
            scores.append(result.E[q] @ result.O.T + log_q)
        for which, s in enumerate(scores):
            own = np.take_along_axis(s, t, axis=1)
            hits[which] += int(((s > own).sum(axis=1) < 20).sum())
    return hits[1] / len(at), hits[0] / len(at)


def word_similarity(rows: Rows, result: Result) -> float:
    """Spearman correlation of cosines with WordSim-353, over the pairs that the text knows."""
    code = {word: i for i, word in enumerate(rows.train.item_ids.tolist())}
    human, machine = [], []
    for line in (DATA / "word-eval" / "wordsim353.tsv").read_text().splitlines():
        fields = line.lower().split("\t")
        try:
            a, b, score = code[fields[0]], code[fields[1]], float(fields[2])
        except (KeyError, ValueError, IndexError):
            continue
        x, y = result.E[a], result.E[b]
        human.append(score)
        machine.append(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    rank = lambda values: np.argsort(np.argsort(values))
    return float(np.corrcoef(rank(human), rank(machine))[0, 1])


def compare(
    name: str, modes: list[str], epochs: int, rounds: int, batch_size: int | None, shuffled: bool
) -> None:
    rows = SETS[name]()
    print(f"\n{name}: {rows.train!r}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.txt"
        histories = rows.train.histories()
        with file.open("w") as out:
            order = np.arange(len(histories))
            if shuffled:
                order = np.random.default_rng(0).permutation(order)
            for b in order:
                out.write(" ".join(map(str, histories.row(b).tolist())) + "\n")
        print(
            "| | kw/s | gensim | ratio | held-out loss | gensim | in·out recall@20 | gensim "
            "| cosine recall@20 | gensim |" + (" WordSim | gensim |" if name == "text" else "")
        )
        print("|---" * (12 if name == "text" else 10) + "|", flush=True)
        for mode in modes:
            sides: list[list[Result]] = [[], []]
            for seed in range(rounds):
                sides[0].append(ours(rows, MODES[mode], epochs, seed, batch_size=batch_size))
                sides[1].append(gensims(rows, MODES[mode], epochs, seed, file))
            print_line(name, mode, rows, sides)


def print_line(name: str, mode: str, rows: Rows, sides: list[list[Result]]) -> None:
    speed = [max(s for result in side for s in result.speeds) for side in sides]
    first = [side[0] for side in sides]
    loss = [held_out_loss(rows, result, "CBOW" in mode) for result in first]
    recall = [recalls(rows, result) for result in first]
    cells = [f"{speed[0] / 1e3:.0f}", f"{speed[1] / 1e3:.0f}", f"{speed[0] / speed[1]:.2f}"]
    cells += [f"{x:.3f}" for x in loss]
    for which in (0, 1):
        tree = which == 0 and first[0].path is not None
        cells += ["–" if tree else f"{r[which]:.3f}" for r in recall]
    if name == "text":
        cells += [f"{word_similarity(rows, result):.3f}" for result in first]
    print(f"| {mode} | " + " | ".join(cells) + " |", flush=True)


def memory() -> None:
    """Peak memory of a process that trains one epoch on the random tokens, MB."""
    for mode in MODES:
        peaks = []
        for side in ("ours", "gensim"):
            command = [sys.executable, __file__, "peak", "--side", side, "--mode", mode]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks.append(done.stdout.strip())
        print(f"| {mode} | {peaks[0]} | {peaks[1]} |", flush=True)


def peak(side: str, mode: str) -> None:
    """What training adds to the memory of a process that has the rows."""
    rows = random_tokens()
    used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    before = used()
    if side == "ours":
        ours(rows, MODES[mode], 1, 0)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.txt"
            items = rows.train.item.reshape(-1, 20).tolist()
            file.write_text("".join(" ".join(map(str, row)) + "\n" for row in items))
            gensims(rows, MODES[mode], 1, 0, file)
    print(f"{used() - before:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", nargs="?", choices=["compare", "memory", "peak"], default="compare")
    parser.add_argument("--data", nargs="+", choices=sorted(SETS), default=list(SETS))
    parser.add_argument("--modes", nargs="+", type=int, choices=range(4), default=range(4))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch-size", type=int, help="tokens of a block; else the default")
    parser.add_argument("--shuffled", action="store_true", help="gensim's file in random order")
    parser.add_argument("--without", nargs="+", choices=["numba", "scipy"], default=[])
    parser.add_argument("--side", choices=["ours", "gensim"])
    parser.add_argument("--mode", choices=list(MODES))
    a = parser.parse_args()
    if "numba" in a.without:
        compiled.numba_problem = lambda: "not wanted here"
    if "scipy" in a.without:
        sparse_products._have_scipy = lambda: False  # type: ignore[assignment]
    if a.what == "memory":
        memory()
    elif a.what == "peak":
        peak(a.side, a.mode)
    else:
        for name in a.data:
            modes = [list(MODES)[i] for i in a.modes]
            compare(name, modes, a.epochs, a.rounds, a.batch_size, a.shuffled)


if __name__ == "__main__":
    main()
