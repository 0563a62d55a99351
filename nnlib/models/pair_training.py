"""Skip-gram with negative sampling on any stream of (centre, context) pairs.

    net = PairVectors(n_items, n_factors=40, negatives=5, rng=rng)
    for centre, context, weight in pairs:
        loss, backward = net(centre, context, next(noise), weight)
        backward()
        optimizer.step()

What the pairs are makes the model: neighbours in a sequence, items of a set, items of neighbouring
baskets.  `train_pairs` is the loop around it.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.data import PopularitySampler
from nnlib.functional.activations import log_logistic, logistic
from nnlib.functional.rows import take_rows
from nnlib.functional.sgns import sgns_expected
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.models.epochs import Epochs
from nnlib.optim import Optimizer
from nnlib.parameter import Parameter

SHARED = 64  # negatives that a batch shares, unless told otherwise
EXACT_ITEMS = 5_000  # of which the tables of all pairs take some 400 MB

Pairs: TypeAlias = Iterator[tuple[Array, ...]]  # (centre, context) or (centre, context, weight)


class SampledOutput(Layer):
    """Output vectors, trained to tell each row's target from negatives that all rows share.

        (1) s⁺_b = h_b · O_{target_b},   s⁻_bj = h_b · O_{negative_j}
        (2) L = 1/B Σ_b w_b [−log σ(s⁺_b) − K/S Σ_{j: negative_j ≠ target_b} log σ(−s⁻_bj)]
    The expectation is that of K negatives drawn for each row alone, but S shared ones make one
    matrix product of what would be B K look-ups.  A negative that is the row's target is skipped,
    so that O_c · E_w tends to log N(w,c) − log (N(w) − N(w,c)) − log (K q_c): the odds of c after w
    rather than its probability, which are in the same order.

    Backward
        `backward(dloss=1)` returns dh and adds to the gradient of the rows of O.
    Shapes
        h (B, D) · target (B,) int · negatives (S,) int · weight (B,) or None · O (N, D) → L ()
    Arguments
        n_items, n_factors: N and D
        negatives: K > 0, the weight of the negatives together
    Raises
        ValueError: a size or the number of negatives is out of range.
    Source
        Mikolov et al. 2013b, eq. 4 · differs: negatives are shared, and weighted accordingly.
    """

    def __init__(self, n_items: int, n_factors: int, negatives: float = 5) -> None:
        check_sizes(n_items=n_items, n_factors=n_factors)
        if not 0 < negatives < float("inf"):
            raise ValueError(f"negatives={negatives!r}: it must be a finite number above 0")
        self.O = Parameter(np.zeros((n_items, n_factors), np.float32))
        self.negatives = negatives

    def __call__(
        self, h: Array, target: Array, negatives: Array, weight: Array | None = None
    ) -> tuple[Array, Backward]:
        O, xp = self.O, array_module(h)
        n_rows, scale = len(h), self.negatives / len(negatives)
        o, o_noise = take_rows(O.value, target), take_rows(O.value, negatives)
        s, s_noise = xp.einsum("bd,bd->b", h, o), h @ o_noise.T  # (1)
        p, p_noise = logistic(s), logistic(s_noise)
        others = target[:, None] != negatives
        p_noise *= others
        losses = -log_logistic(s) - scale * (others * log_logistic(-s_noise)).sum(axis=1)
        w = xp.full_like(s, 1 / n_rows) if weight is None else weight.astype(h.dtype) / n_rows
        loss = xp.asarray(w @ losses)  # (2)

        def backward(dloss: Array | float = 1.0) -> Array:
            dlosses = dloss * w  # (2)
            ds, ds_noise = dlosses * (p - 1), (scale * dlosses)[:, None] * p_noise
            O.accumulate_rows(target, ds[:, None] * h)  # (1)
            O.accumulate_rows(negatives, ds_noise.T @ h)
            return ds[:, None] * o + ds_noise @ o_noise

        return loss, backward


class PairVectors(Layer):
    """An input and an output vector for every item: skip-gram with negative sampling.

        (1) L = SampledOutput(E[centre], context, negatives, weight)
    E is drawn from U(−½, ½) / D and O, which is `output.O`, is 0, as in word2vec.

    Backward
        `backward(dloss=1)` adds to the gradients of the rows of E and O and returns nothing.
    Shapes
        centre, context (B,) int · negatives (S,) int · weight (B,) or None · E, O (N, D) → L ()
    Arguments
        n_items, n_factors: N and D
        negatives: K > 0, as in `SampledOutput`
        rng: draws E
    """

    def __init__(
        self, n_items: int, n_factors: int, negatives: float = 5, *, rng: np.random.Generator
    ) -> None:
        check_sizes(n_items=n_items, n_factors=n_factors)
        self.E = Parameter(word2vec_init(rng, n_items, n_factors))
        self.output = SampledOutput(n_items, n_factors, negatives)

    def __call__(
        self, centre: Array, context: Array, negatives: Array, weight: Array | None = None
    ) -> tuple[Array, Backward]:
        E = self.E
        h = take_rows(E.value, centre)
        loss, back_output = self.output(h, context, negatives, weight)  # (1)

        def backward(dloss: Array | float = 1.0) -> None:
            E.accumulate_rows(centre, back_output(dloss))  # (1)

        return loss, backward


def train_pairs(
    run: Epochs,
    net: Layer,
    optimizer: Optimizer,
    pairs: Callable[[np.random.Generator], Pairs],
    sampler: PopularitySampler,
    *,
    seed: int,
    shared: int = SHARED,
) -> None:
    """Train `net` for the epochs of `run`, each a pass over the pairs.

    Summed over a batch, the gradients of an item that occurs in it a hundred times would make plain
    SGD diverge at word2vec's rates; Adagrad, on the touched rows only, gives each weight a rate
    that falls with what it has moved.

    Arguments
        net: (centre, context, negatives, weight) → loss, backward, as `PairVectors` is
        optimizer: of the parameters of `net`
        pairs: called once an epoch with a generator of its own: batches of codes (centre, context)
            or (centre, context, weight)
        sampler: of the negatives
        seed: of shuffling and negatives
        shared: S, negatives that a batch shares, ≥ 1
    Raises
        DivergedError: a loss or parameter is no longer finite.
    """
    for epoch in run:
        noise = sampler.stream(np.random.default_rng((seed, epoch, 1)), shared)
        for batch in pairs(np.random.default_rng((seed, epoch, 0))):
            centre, context, *weight = batch
            loss, backward = net(centre, context, next(noise), *weight)
            backward()
            optimizer.step()
            run.record(loss, len(centre))


def train_exact(
    run: Epochs, net: PairVectors, optimizer: Optimizer, counts: Array, q: Array
) -> None:
    """Train `net` on the expectation of the loss: one step on all pairs in each epoch of `run`.

    Nothing is drawn, so there is no noise; a step costs three products (N, N) by (N, D) whatever
    the number of pairs.

    Shapes
        counts (N, N), the weight of each pair · q (N,), the noise
    """
    E, O = net.E, net.output.O
    counts, q = counts.astype(E.value.dtype), q.astype(E.value.dtype)
    n = int(counts.sum())
    for _ in run:
        loss, backward = sgns_expected(E.value, O.value, counts, net.output.negatives, q)
        dE, dO = backward(len(q))  # so that a row's gradient does not shrink with N
        E.accumulate(dE)
        O.accumulate(dO)
        optimizer.step()
        run.record(loss, n)


def pair_counts(pairs: Pairs, n_items: int) -> Array:
    """The summed weight of every (centre, context), (N, N) float64."""
    counts = np.zeros(n_items * n_items)
    for centre, context, *weight in pairs:
        # bincount over all N² cells for each batch would cost more than the batch
        cell, place = np.unique(centre * n_items + context, return_inverse=True)
        counts[cell] += np.bincount(place, *weight)
    return counts.reshape(n_items, n_items)


def word2vec_init(rng: np.random.Generator, n_rows: int, n_factors: int) -> Array:
    """U(−½, ½) / D, (n_rows, D) float32: how word2vec starts its input vectors."""
    return (rng.random((n_rows, n_factors), np.float32) - 0.5) / n_factors
