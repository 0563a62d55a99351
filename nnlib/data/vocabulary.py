"""Vocabulary: the distinct tokens of a text or a log, how often each occurs, and their codes."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np

from nnlib.array import Array
from nnlib.data.columns import is_integer, object_array
from nnlib.data.errors import DataError

KeepForm: TypeAlias = Literal["paper", "word2vec.c"]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """V tokens and their counts; a token's code is its place.

    `Vocabulary.of` puts frequent tokens first, so that the first n codes are the n most frequent;
    tokens that occur equally often keep the order in which they first appear.

    Shapes
        ids (V,) int64 or object · counts (V,) int64
    Raises
        DataError: lengths differ, an id is there twice, a count is negative or not whole.
    """

    ids: Array
    counts: Array

    def __post_init__(self) -> None:
        if self.counts.ndim != 1 or self.ids.shape != self.counts.shape:
            raise DataError(f"{len(self.ids)} ids and {len(self.counts)} counts: one for each")
        counts = _whole_counts(self.counts, lambda i: f"the count of {self.ids.tolist()[i]!r}")
        object.__setattr__(self, "counts", counts)
        if len(self._code) < len(self.ids):
            twice = Counter(self.ids.tolist()).most_common(1)[0][0]
            raise DataError(f"{twice!r} is in the vocabulary twice: ids must differ")

    @classmethod
    def of(
        cls,
        tokens: Iterable[Hashable] | Mapping[Any, int],
        *,
        min_count: int = 1,
        max_size: int | None = None,
    ) -> Self:
        """The vocabulary of some tokens, or of a mapping token → count.

        Arguments
            min_count: ≥ 1, how often a token must occur
            max_size: ≥ 2, how many tokens to keep, the most frequent; None: all
        Raises
            DataError: a count is negative, or fewer than two tokens are left.
        """
        if min_count < 1:
            raise ValueError(f"min_count={min_count}: it must be at least 1")
        if max_size is not None and max_size < 2:
            raise ValueError(f"max_size={max_size}: it must be at least 2")
        if not isinstance(tokens, Mapping):
            tokens = Counter(tokens.tolist() if isinstance(tokens, np.ndarray) else tokens)
        ids = list(tokens)
        counts = _whole_counts(
            np.array(list(tokens.values())), lambda i: f"the count of {ids[i]!r}"
        )
        order = np.argsort(-counts, kind="stable")
        order = order[counts[order] >= min_count][:max_size]
        if len(order) < 2:
            raise DataError(_too_small(ids, counts, min_count))
        return cls(_id_array([ids[i] for i in order.tolist()]), counts[order])

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _code(self) -> dict[Any, int]:
        return {raw: code for code, raw in enumerate(self.ids.tolist())}

    def __contains__(self, token: object) -> bool:
        return token in self._code

    def encode(self, tokens: Iterable[Hashable]) -> Array:
        """The codes of some tokens, (n,) int64; −1 for a token that is not in the vocabulary."""
        get = self._code.get
        known = tokens.tolist() if isinstance(tokens, np.ndarray) else tokens
        return np.fromiter((get(token, -1) for token in known), np.int64)

    @property
    def n_tokens(self) -> int:
        """Σ counts."""
        return int(self.counts.sum())

    def entropy(self) -> float:
        """H = −Σ p_i log₂ p_i with p_i = counts_i / Σ counts, in bits.

        No prefix code of the tokens is shorter on average, and Huffman's less than one bit longer.
        """
        p = self.counts[self.counts > 0] / self.n_tokens
        return float(-(p * np.log2(p)).sum())

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} tokens that occur {self.n_tokens:,} times)"


def keep_probability(counts: Array, t: float, form: KeepForm = "paper") -> Array:
    """Probability that an occurrence of a token is kept when frequent ones are thinned out, (V,).

    With f the share of the token among all,

        (1) paper        min(1, √(t/f))
        (2) word2vec.c   min(1, √(t/f) + t/f)          keeps a little more
    so that tokens rarer than t are all kept.

    Arguments
        counts: (V,) ≥ 0
        t: threshold, 10⁻³ to 10⁻⁵ for text; 0 turns thinning off: every token is kept
    Raises
        ValueError: t is negative or not finite, a count is negative, or the form is unknown.
    Source
        (1) Mikolov et al. 2013b, eq. 5; (2) their program, and gensim.
    """
    if form not in get_args(KeepForm):
        raise ValueError(f"form={form!r}: it must be one of {', '.join(get_args(KeepForm))}")
    if not 0 <= t < np.inf:
        raise ValueError(f"t={t}: it must be at least 0 (0 keeps every token)")
    counts = _whole_counts(np.asarray(counts), lambda i: f"counts[{i}]")
    if t == 0:
        return np.ones(len(counts))
    ratio = t * counts.sum() / np.maximum(counts, 1)  # t/f
    return np.minimum(1.0, np.sqrt(ratio) + (ratio if form == "word2vec.c" else 0))


def _whole_counts(counts: Array, name: Any) -> Array:
    """`counts` as int64."""
    bad = np.flatnonzero(~((counts >= 0) & (counts == np.floor(counts)) & (counts < 2**63)))
    if len(bad):
        raise DataError(f"{name(bad[0])} is {counts[bad[0]]}: counts are whole numbers, 0 or more")
    return counts.astype(np.int64)


def _id_array(ids: list[Any]) -> Array:
    if all(is_integer(raw) and -(2**63) <= raw < 2**63 for raw in ids):
        return np.array(ids, np.int64)
    return object_array(ids)


def _too_small(ids: list[Any], counts: Array, min_count: int) -> str:
    if not len(ids):
        return "there are no tokens: a vocabulary needs at least two different ones"
    top = int(counts.argmax())
    if min_count > 1 and len(ids) > 1:
        return (
            f"min_count={min_count} leaves {(counts >= min_count).sum()} of {len(ids)} tokens (the "
            f"most frequent, {ids[top]!r}, occurs {counts[top]} times): lower it"
        )
    return f"all tokens are {ids[top]!r}: a vocabulary needs at least two different ones"
