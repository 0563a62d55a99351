"""The network of Meta-Prod2Vec: items and their metadata in the same two tables."""

from collections.abc import Iterator

import numpy as np

from nnlib.array import Array, Backward
from nnlib.data import PopularitySampler
from nnlib.functional.rows import take_rows
from nnlib.layer import Layer
from nnlib.models.pair_training import SampledOutput, word2vec_init
from nnlib.parameter import Parameter


class MetaPairVectors(Layer):
    """Skip-gram with negative sampling for five kinds of pairs.

    Row V + m of E and O belongs to metadata value m.  A pair (i, j) of items stands for five of
    tokens; with m(i) the value of item i, and ℓ(a, b) the loss of `SampledOutput` for input row a
    and target row b,

        (1) L = λ₁ ℓ(i, j) + λ₂ ℓ(i, m(j)) + λ₃ ℓ(m(i), j) + λ₄ ℓ(m(i), m(j)) + λ₅ ℓ(m(i), i)
        (2) L ← L + ρ/2 1/B Σ_b w_b (|E_i|² + |O_j|²)
    In the last of the five the target is the item itself, not its neighbour.  Negatives of items
    are items, negatives of metadata are metadata.  A term that needs the metadata of an item that
    has none is left out; so is a term of weight 0, which leaves λ = (1, 0, 0, 0, 0) to be
    `PairVectors`, bit for bit.

    Backward
        `backward(dloss=1)` adds to the gradients of the rows of E and O and returns nothing.
    Shapes
        centre, context (B,) int · negatives (2S,) int, S of items, then S of metadata (from V on) ·
        weight (B,) or None · E, O (V + M, D) → L ()
    Arguments
        meta: value of each item, 0 … M−1, −1: none; (V,)
        n_metas: M
        n_factors, negatives: D and K of each of the five
        weights: λ₁ … λ₅
        l2: ρ
        rng: draws E, the items' rows first
    Source
        Vasile, Smirnova & Conneau 2016, eq. 7 · differs: λ₁ … λ₅ where they have 1 and one λ.
    """

    def __init__(
        self,
        meta: Array,
        n_metas: int,
        n_factors: int,
        negatives: float,
        *,
        weights: tuple[float, ...],
        l2: float,
        rng: np.random.Generator,
    ) -> None:
        n_rows = len(meta) + n_metas
        self.E = Parameter(word2vec_init(rng, n_rows, n_factors))
        self.output = SampledOutput(n_rows, n_factors, negatives)
        self.weights, self.l2 = weights, l2
        self.has_meta = meta >= 0
        self.meta_row = np.where(self.has_meta, len(meta) + meta, 0)

    def __call__(
        self, centre: Array, context: Array, negatives: Array, weight: Array | None = None
    ) -> tuple[Array, Backward]:
        E, O, l2, output = self.E, self.output.O, self.l2, self.output
        items, metas = np.split(negatives, 2)
        m_centre, m_context = self.meta_row[centre], self.meta_row[context]
        has_centre, has_context = self.has_meta[centre], self.has_meta[context]
        h, h_meta = take_rows(E.value, centre), take_rows(E.value, m_centre)
        always = np.ones(len(centre), bool)
        terms = (
            (h, context, items, always),
            (h, m_context, metas, has_context),
            (h_meta, context, items, has_centre),
            (h_meta, m_context, metas, has_centre & has_context),
            (h_meta, centre, items, has_centre),
        )
        losses, backs = [], []
        for strength, (x, target, noise, there) in zip(self.weights, terms, strict=True):
            if strength:
                w = _weights(strength, there, weight)
                loss_of_term, back_term = output(x, target, noise, w)  # (1)
                losses.append(loss_of_term)
                backs.append((x is h, back_term))
        loss = sum(losses[1:], start=losses[0])
        o = take_rows(O.value, context)
        pull = (
            np.full(len(centre), l2 / len(centre)) if weight is None else weight * l2 / len(centre)
        )
        pull = pull.astype(h.dtype)
        if l2:
            loss = loss + pull @ ((h * h).sum(axis=1) + (o * o).sum(axis=1)) / 2  # (2)

        def backward(dloss: Array | float = 1.0) -> None:
            if l2:
                O.accumulate_rows(context, dloss * pull[:, None] * o)  # (2)
                E.accumulate_rows(centre, dloss * pull[:, None] * h)  # (2)
            for of_item, back_term in backs:
                E.accumulate_rows(centre if of_item else m_centre, back_term(dloss))  # (1)

        return np.asarray(loss), backward


class MetaNoise(PopularitySampler):
    """Negatives of items, and as many of metadata behind them, each by its own popularity.

    The items are those that a `PopularitySampler` of the items alone would draw.

    Arguments
        support: how often each item occurs, (V,)
        meta_support: how often each metadata value occurs, (M,)
        alpha: exponent of both
    """

    def __init__(self, support: Array, meta_support: Array, alpha: float) -> None:
        super().__init__(support, alpha)
        self.metas = PopularitySampler(meta_support, alpha)

    def stream(self, rng: np.random.Generator, n: int, cache: int = 2**17) -> Iterator[Array]:
        """Endless batches of `n` items and `n` metadata values, the latter as rows from V on."""
        metas = self.metas.stream(rng.spawn(1)[0], n, cache)
        for items in super().stream(rng, n, cache):
            yield np.concatenate([items, len(self.probabilities) + next(metas)])


def _weights(strength: float, there: Array, weight: Array | None) -> Array | None:
    """strength · weight where the term exists; None, which is faster, where all are 1."""
    if strength == 1 and there.all():
        return weight
    return strength * (there if weight is None else there * weight)
