"""ImplicitALS against the `implicit` library (pip install implicit scipy): time at equal loss.

    OMP_NUM_THREADS=1 python tests/benchmarks/matrix_factorization.py [ml-100k/u.data] [runs]

Both minimise the same loss (c = 1 + α r = 11 on what was liked, λ = 20, 15 sweeps, one thread), by
exact solves and by three steps of conjugate gradients, in turn; medians of CPU time.  Without a
file, and besides it, a generated log of the size of MovieLens 1M, 4 sweeps.  The ratio is
nnlib / implicit: below 1, nnlib is faster.  nnlib computes in float32, as does implicit by default;
its float64 is beside it.  Both losses, and NDCG@10 where there is a test set, say that the work is
the same.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from pathlib import Path

import implicit.als
import numpy as np
import scipy.sparse

from nnlib.data import Interactions, read_movielens, within_users
from nnlib.metrics import evaluate_top_n
from nnlib.models import ImplicitALS
from nnlib.models.baselines.counting import count_pairs

ALPHA, L2 = 10.0, 20.0


def generated(n_users: int, n_items: int, n_events: int) -> Interactions:
    """Users and items with heavy-tailed numbers of events, nothing to learn in them."""
    rng = np.random.default_rng(0)
    weight = 1 / (20 + np.arange(n_items))
    user = np.repeat(
        np.arange(n_users), 20 + rng.exponential(n_events / n_users, n_users).astype(int)
    )
    item = rng.choice(n_items, len(user), p=weight / weight.sum())
    key = np.unique(user * n_items + item)
    return Interactions.from_arrays(*np.divmod(key, n_items))


def loss(P: np.ndarray, Q: np.ndarray, log: Interactions) -> float:
    """Half of the squares over all cells and of the penalty; each pair occurs once in `log`."""
    P, Q = P.astype(np.float64), Q.astype(np.float64)
    s = np.einsum("nd,nd->n", P[log.user], Q[log.item])
    cells = ((P.T @ P) * (Q.T @ Q)).sum() + ((1 + ALPHA) * (1 - s) ** 2 - s * s).sum()
    return 0.5 * float(cells + L2 * ((P**2).sum() + (Q**2).sum()))


def compare(
    title: str,
    train: Interactions,
    test: Interactions | None,
    n_factors: int,
    solver: str,
    epochs: int,
    runs: int,
) -> None:
    user, item, _ = count_pairs(train.user, train.item, train.n_items)
    matrix = scipy.sparse.csr_matrix(
        (np.full(len(user), 1 + ALPHA), (user, item)), shape=(train.n_users, train.n_items)
    )
    model = ImplicitALS(
        n_factors=n_factors,
        alpha=ALPHA,
        l2=L2,
        epochs=epochs,
        solver=solver,  # type: ignore[arg-type]
    )
    other: dict[type, implicit.als.AlternatingLeastSquares] = {}
    taken: dict[str, list[float]] = {"nnlib": [], "float64": [], "float32": []}
    for _ in range(runs):
        start = time.process_time()
        model.fit(train)
        taken["nnlib"].append(time.process_time() - start)
        for dtype in (np.float64, np.float32):
            other[dtype] = implicit.als.AlternatingLeastSquares(
                factors=n_factors, regularization=L2, alpha=1.0, iterations=epochs, dtype=dtype,
                use_cg=solver == "cg", use_gpu=False, num_threads=1, random_state=0,
            )  # fmt: skip
            start = time.process_time()
            other[dtype].fit(matrix, show_progress=False)
            taken[dtype.__name__].append(time.process_time() - start)
    mine, theirs, double = (float(np.median(taken[k])) for k in ("nnlib", "float32", "float64"))
    peer = other[np.float32]
    ours_loss = model.losses_[-1] * len(user)
    line = (
        f"{title:<9} D {n_factors:<3} {solver:<5} {mine:7.2f} s {theirs:7.2f} s "
        f"{mine / theirs:5.2f}  ({mine / double:4.2f} of float64)   {ours_loss:12.0f} "
        f"{loss(peer.user_factors, peer.item_factors, train):12.0f}"
    )
    if test is not None:
        ours = evaluate_top_n(model, train, test)["ndcg@10"]
        model.Q_ = peer.item_factors
        line += f"   {ours:.4f} {evaluate_top_n(model, train, test)['ndcg@10']:.4f}"
    print(line, flush=True)


if __name__ == "__main__":
    paths = [Path(a) for a in sys.argv[1:] if not a.isdigit()]
    n = next((int(a) for a in sys.argv[1:] if a.isdigit()), 5)
    print(f"{'':<20} {'nnlib':>9} {'implicit':>9}  ratio {'':>18}   losses{'':>18}   NDCG@10")
    for path in paths:
        log = read_movielens(path)
        parts = within_users(log.select_events(log.value >= 4), 0.2, np.random.default_rng(0))
        for size in (16, 64):
            for way in ("exact", "cg"):
                compare(path.parent.name, *parts, size, way, 15, n)
    for size in (16, 64):
        for way in ("exact", "cg"):
            compare("1M events", generated(6040, 3700, 880_000), None, size, way, 4, max(1, n // 3))
