"""Decoder and EncoderDecoder: what is forced and what runs free are the same network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.functional.sequences import step_mask
from nnlib.layers import (
    GRU,
    LSTM,
    AdditiveAttention,
    Bidirectional,
    Decoder,
    Embedding,
    EncoderDecoder,
    MaskedMean,
    MultiplicativeAttention,
)

T, B, N, C, H, D = 6, 5, 4, 3, 7, 2
LENGTHS = np.array([3, T, 1, 5, T])
SUMMARIES = ("start", "input", "both")


def make_decoder(rng: np.random.Generator, n_summary: int = C, **options: Any) -> Decoder:
    decoder = Decoder(N, n_summary, H, rng=rng, n_factors=D, **options).astype(np.float64)
    for p in decoder.parameters():
        p.value[...] = rng.normal(0, 1, p.value.shape)
    return decoder


def make(rng: np.random.Generator, kind: str = "additive") -> EncoderDecoder:
    """kind: none, additive; or pooled, with two encoders side by side."""
    pooled = kind == "pooled"
    encoder: Any = GRU(D, H, rng=rng)
    if pooled:
        encoder = Bidirectional(encoder, GRU(D, H, rng=rng))
    n = 2 * H if pooled else H
    attention: Any = AdditiveAttention(H, n, H, rng=rng) if kind == "additive" else None
    if pooled:
        attention = MultiplicativeAttention(H, n, rng=rng)
    decoder = make_decoder(rng, n, attention=attention, summary="both" if pooled else "start")
    pool = MaskedMean() if pooled else None
    model = EncoderDecoder(Embedding(N, D, rng=rng), encoder, decoder, pool=pool)
    for p in model.astype(np.float64).parameters():
        p.value[...] = rng.normal(0, 1, p.value.shape)
    return model


def log_softmax(s: Array) -> Array:
    return s - np.log(np.exp(s).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("summary", SUMMARIES)
def test_decoder_is_its_equations_step_by_step(summary: Any) -> None:
    rng = np.random.default_rng(0)
    decoder = make_decoder(rng, summary=summary)
    c, target = rng.normal(size=(B, C)), rng.integers(N + 1, size=(T, B))
    scores, _ = decoder(c, target)
    s = np.zeros((B, H))
    if decoder.start is not None:
        dense: Any = decoder.start.steps[0]
        s = np.tanh(c @ dense.W.value + dense.b.value)
    read = np.full(B, N)
    for t in range(T):
        x = decoder.embedding.E.value[read]
        if summary != "start":
            x = np.hstack([x, c])
        s = decoder.gru.cell(x, s)[0]
        expected = s @ decoder.out.W.value + decoder.out.b.value
        np.testing.assert_allclose(scores[t], expected, rtol=1e-12, atol=1e-13)
        read = target[t]


@pytest.mark.parametrize("summary", SUMMARIES)
def test_no_step_sees_its_own_target_or_a_later_one(summary: Any) -> None:
    """The slip that makes a model look perfect: reading what it is to write."""
    rng = np.random.default_rng(1)
    decoder = make_decoder(rng, summary=summary)
    c, target = rng.normal(size=(B, C)), rng.integers(N, size=(T, B))
    before, _ = decoder(c, target)
    target[3] = (target[3] + 1) % N
    after, _ = decoder(c, target)
    np.testing.assert_array_equal(after[:4], before[:4])
    assert (after[4] != before[4]).all()


@pytest.mark.parametrize("kind", ["none", "additive", "pooled"])
def test_forced_to_what_it_wrote_it_would_write_it_again(kind: str) -> None:
    rng = np.random.default_rng(21)
    model = make(rng, kind)
    model.decoder.out.W.value *= 3  # sequences of different lengths
    source = rng.integers(N, size=(T, B))
    y = model.greedy(source, lengths=LENGTHS, max_steps=12)
    scores, _ = model(source, y, lengths=LENGTHS)
    ended = np.cumsum(y == model.decoder.end, axis=0) - (y == model.decoder.end) > 0
    assert (scores.argmax(axis=2) == y)[~ended].all()
    assert (y[ended] == model.decoder.end).all()
    assert 0 < ended.sum() < y.size - B
    one, log_p = model.beam(source, lengths=LENGTHS, width=1, max_steps=12)
    np.testing.assert_array_equal(one, y)
    chosen = np.take_along_axis(log_softmax(scores), y[:, :, None], axis=2)[:, :, 0]
    np.testing.assert_allclose(
        log_p, np.where(ended, 0, chosen).sum(axis=0), rtol=1e-11, atol=1e-12
    )
    best, log_p_best = model.beam(source, lengths=LENGTHS, width=40, max_steps=3)
    np.testing.assert_allclose(log_p_best, likeliest(model, source, 3), rtol=1e-11, atol=1e-12)
    assert len(best) <= 3


def likeliest(model: EncoderDecoder, source: Array, max_steps: int) -> Array:
    """log p of the likeliest sequence for each row, all of them tried by force."""
    end, best = model.decoder.end, np.full(B, -np.inf)
    for symbols in np.ndindex(*[N + 1] * max_steps):
        n = symbols.index(end) + 1 if end in symbols else max_steps
        target = np.tile(np.array(symbols[:n])[:, None], B)
        log_p = log_softmax(model(source, target, lengths=LENGTHS)[0])
        best = np.maximum(best, log_p[np.arange(n), :, np.array(symbols[:n])].sum(axis=0))
    return best


@pytest.mark.parametrize("kind", ["none", "additive", "pooled"])
def test_padding_of_the_source_changes_nothing(kind: str) -> None:
    rng = np.random.default_rng(3)
    model = make(rng, kind)
    source, target = rng.integers(N, size=(T, B)), rng.integers(N + 1, size=(4, B))
    scores, _ = model(source, target, lengths=LENGTHS)
    source[~step_mask(LENGTHS, T)] = 0
    np.testing.assert_array_equal(model(source, target, lengths=LENGTHS)[0], scores)
    for b, n in enumerate(LENGTHS):
        alone, _ = model(source[:n, b : b + 1], target[:, b : b + 1])
        np.testing.assert_allclose(alone[:, 0], scores[:, b], rtol=1e-11, atol=1e-12)
        y = model.greedy(source[:n, b : b + 1], max_steps=5)[:, 0]
        together = model.greedy(source, lengths=LENGTHS, max_steps=5)[:, b]
        np.testing.assert_array_equal(together[: len(y)], y)


def test_attention_weights_are_those_the_scores_are_made_with() -> None:
    rng = np.random.default_rng(4)
    model = make(rng)
    source, target = rng.integers(N, size=(T, B)), rng.integers(N + 1, size=(4, B))
    w = model.attention_weights(source, target, lengths=LENGTHS)
    assert w.shape == (4, B, T)
    np.testing.assert_allclose(w.sum(axis=2), 1, rtol=1e-13)
    h, _ = model.encoder(model.embedding(source)[0], lengths=LENGTHS)
    decoder, c = model.decoder, h[-1]
    read = np.concatenate([np.full((1, B), N), target[:-1]])
    s, _ = decoder.gru(decoder.embedding(read)[0], decoder._first_state(c)[0])
    r = np.einsum("qbt,tbh->qbh", w, h)
    expected = np.concatenate([s, r], axis=2) @ decoder.out.W.value + decoder.out.b.value
    scores, _ = model(source, target, lengths=LENGTHS)
    np.testing.assert_allclose(scores, expected, rtol=1e-11, atol=1e-12)


def test_saved_and_loaded_it_writes_the_same(tmp_path: Path) -> None:
    model, other = make(np.random.default_rng(5)), make(np.random.default_rng(6))
    source = np.random.default_rng(7).integers(N, size=(T, B))
    model.save(tmp_path / "reverse.safetensors")
    other.load(tmp_path / "reverse.safetensors")
    y = model.greedy(source, max_steps=8)
    np.testing.assert_array_equal(other.greedy(source, max_steps=8), y)


def test_bad_arguments() -> None:
    rng = np.random.default_rng(8)
    model, c, target = make(rng), np.zeros((B, C)), np.zeros((T, B), int)
    with pytest.raises(ValueError, match="n_symbols=0"):
        Decoder(0, C, H, rng=rng)
    with pytest.raises(ValueError, match="summary='end': it must be 'start', 'input' or 'both'"):
        Decoder(N, C, H, rng=rng, summary="end")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a memory for a decoder without attention"):
        make_decoder(rng)(c, target, np.zeros((T, B, H)))
    with pytest.raises(ValueError, match="no memory for a decoder with attention"):
        model.decoder(np.zeros((B, H)), target)
    with pytest.raises(ValueError, match="no weights without attention"):
        make(rng, "none").attention_weights(target, target)
    with pytest.raises(ValueError, match="max_steps=0"):
        model.greedy(target, max_steps=0)
    with pytest.raises(ValueError, match="width=0"):
        model.beam(target, width=0, max_steps=4)
    with pytest.raises(ValueError, match="no step of sequence 1 counts"):
        model.greedy(target, lengths=np.array([1, 0, 1, 1, 1]), max_steps=4)
    with pytest.raises(TypeError, match="is no step"):
        EncoderDecoder(model.embedding, LSTM, model.decoder)  # type: ignore[arg-type]
