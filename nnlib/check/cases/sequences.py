"""Cases of what reads or writes whole sequences: attention, encoder and decoder, their loss."""

from collections.abc import Callable, Iterator

import numpy as np

from nnlib.array import Array
from nnlib.check.cases.case import Case, Make, Sizes, Subject, scrambled
from nnlib.functional.attention import read_states
from nnlib.layers import AdditiveAttention, MaskedMean, MultiplicativeAttention

Attention = AdditiveAttention | MultiplicativeAttention


def _lengths(rng: np.random.Generator, s: Sizes) -> Array:
    return rng.integers(1, s.T + 1, size=s.B)


def _read_states(some: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        mask = np.arange(s.T)[:, None] < _lengths(rng, s) if some else None
        inputs = rng.normal(size=(s.B, s.N, s.T)), rng.normal(size=(s.B, s.T, s.H))
        return Subject(lambda e, h: read_states(e, h, mask), inputs)

    return make


def _additive(rng: np.random.Generator, s: Sizes) -> Attention:
    return scrambled(AdditiveAttention(s.I, s.H, s.O, rng=rng), rng)


def _multiplicative(rng: np.random.Generator, s: Sizes) -> Attention:
    return scrambled(MultiplicativeAttention(s.I, s.H, rng=rng), rng)


def _attention(
    make_attention: Callable[[np.random.Generator, Sizes], Attention], several: bool
) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        attention, lengths = make_attention(rng, s), _lengths(rng, s) if several else None
        query = rng.normal(size=(s.N, s.B, s.I) if several else (s.B, s.I))
        h = rng.normal(size=(s.T, s.B, s.H))
        return Subject(lambda s, h: attention(s, h, lengths=lengths), (query, h), attention)

    return make


def _masked_mean(some: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        lengths = _lengths(rng, s) if some else None
        mean = MaskedMean()
        return Subject(lambda h: mean(h, lengths=lengths), (rng.normal(size=(s.T, s.B, s.H)),))

    return make


def cases() -> Iterator[Case]:
    """Every attention, with one query and with several."""
    yield Case("read_states", read_states, _read_states(False))
    yield Case("read_states mask", read_states, _read_states(True))
    for name, several in (("one query", False), ("queries lengths", True)):
        additive = _attention(_additive, several)
        yield Case(f"AdditiveAttention {name}", AdditiveAttention, additive)
        multiplicative = _attention(_multiplicative, several)
        yield Case(f"MultiplicativeAttention {name}", MultiplicativeAttention, multiplicative)
    yield Case("MaskedMean", MaskedMean, _masked_mean(False))
    yield Case("MaskedMean lengths", MaskedMean, _masked_mean(True))
