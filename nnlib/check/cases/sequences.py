"""Cases of what reads or writes whole sequences: attention, encoder and decoder, their loss."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnlib.array import Array, Backward
from nnlib.check.cases.case import Case, Make, Sizes, Subject, scrambled
from nnlib.functional.attention import attention_weights, read_states
from nnlib.layers import (
    RNN,
    AdditiveAttention,
    Decoder,
    Embedding,
    EncoderDecoder,
    MaskedMean,
    MultiplicativeAttention,
)
from nnlib.losses import sequence_cross_entropy

Attention = AdditiveAttention | MultiplicativeAttention


def _lengths(rng: np.random.Generator, s: Sizes) -> Array:
    return rng.integers(1, s.T + 1, size=s.B)


def _read_states(some: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        mask = np.arange(s.T)[:, None] < _lengths(rng, s) if some else None
        inputs = rng.normal(size=(s.B, s.N, s.T)), rng.normal(size=(s.B, s.T, s.H))
        return Subject(lambda e, h: read_states(e, h, mask), inputs)

    return make


def _attention_weights(some: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        mask = np.arange(s.T)[:, None] < _lengths(rng, s) if some else None
        return Subject(lambda e: attention_weights(e, mask), (rng.normal(size=(s.B, s.N, s.T)),))

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


def _symbols(rng: np.random.Generator, s: Sizes) -> Array:
    return rng.integers(s.N + 1, size=(s.T, s.B))  # N: the end, which may stand anywhere here


def _decoder(summary: Any) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        layer = Decoder(s.N, s.I, s.T, rng=rng, n_factors=s.B, summary=summary)
        target = _symbols(rng, s)

        def f(c: Array) -> tuple[Array, Backward]:
            scores, back = layer(c, target)
            return scores, lambda dscores: back(dscores)[0]

        return Subject(f, (rng.normal(size=(s.B, s.I)),), scrambled(layer, rng))

    return make


def _attentive_decoder(rng: np.random.Generator, s: Sizes) -> Subject:
    attention = AdditiveAttention(s.B, s.H, s.T, rng=rng)
    layer = Decoder(s.N, s.I, s.B, rng=rng, n_factors=s.T, attention=attention, summary="both")
    lengths = _lengths(rng, s)
    inputs = rng.normal(size=(s.B, s.I)), _symbols(rng, s), rng.normal(size=(s.T, s.B, s.H))
    f = lambda c, target, memory: layer(c, target, memory, lengths=lengths)
    return Subject(f, inputs, scrambled(layer, rng))


def _encoder_decoder(attentive: bool) -> Make:
    """From the last state; or from all states, pooled and attended to."""

    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        attention = MultiplicativeAttention(s.T, s.B, rng=rng) if attentive else None
        decoder = Decoder(s.O, s.B, s.T, rng=rng, n_factors=s.I, attention=attention)
        parts = Embedding(s.N, s.I, rng=rng), RNN(s.I, s.B, rng=rng), decoder
        layer = EncoderDecoder(*parts, pool=MaskedMean() if attentive else None)
        source, lengths = rng.integers(s.N, size=(s.T, s.B)), _lengths(rng, s)
        target = rng.integers(s.O + 1, size=(s.I, s.B))
        f = lambda source, target: layer(source, target, lengths=lengths)
        return Subject(f, (source, target), scrambled(layer, rng))

    return make


def _sequence_cross_entropy(some: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        target, lengths = rng.integers(s.N, size=(s.T, s.B)), _lengths(rng, s) if some else None
        f = lambda scores: sequence_cross_entropy(scores, target, lengths)
        return Subject(f, (rng.normal(0, 2, (s.T, s.B, s.N)),))

    return make


def cases() -> Iterator[Case]:
    """Attention with one query and with several; decoders from all kinds of summaries."""
    for name, some in (("", False), (" mask", True)):
        yield Case(f"read_states{name}", read_states, _read_states(some))
        yield Case(f"attention_weights{name}", attention_weights, _attention_weights(some))
    for name, several in (("one query", False), ("queries lengths", True)):
        additive = _attention(_additive, several)
        yield Case(f"AdditiveAttention {name}", AdditiveAttention, additive)
        multiplicative = _attention(_multiplicative, several)
        yield Case(f"MultiplicativeAttention {name}", MultiplicativeAttention, multiplicative)
    yield Case("MaskedMean", MaskedMean, _masked_mean(False))
    yield Case("MaskedMean lengths", MaskedMean, _masked_mean(True))
    for summary in ("start", "input"):  # both: with attention
        yield Case(f"Decoder summary={summary}", Decoder, _decoder(summary))
    yield Case("Decoder attention", Decoder, _attentive_decoder)
    yield Case("EncoderDecoder", EncoderDecoder, _encoder_decoder(False))
    yield Case("EncoderDecoder attention", EncoderDecoder, _encoder_decoder(True))
    for name, some in (("", False), (" lengths", True)):
        loss = _sequence_cross_entropy(some)
        yield Case(f"sequence_cross_entropy{name}", sequence_cross_entropy, loss)
