"""Attention and mean pooling: each its equations sequence by sequence, blind to the padding."""

from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.functional.sequences import step_mask
from nnlib.layers import AdditiveAttention, MaskedMean, MultiplicativeAttention

Q, T, B, S, H, D = 4, 7, 5, 3, 6, 8
LENGTHS = np.array([3, T, 1, 5, T])
NAMES = ["additive", "multiplicative"]


def make(name: str, rng: np.random.Generator) -> Any:
    if name == "additive":
        layer: Any = AdditiveAttention(S, H, D, rng=rng)
    else:
        layer = MultiplicativeAttention(S, H, rng=rng)
    return layer.astype(np.float64)


def by_hand(layer: Any, s: Array, h: Array) -> tuple[Array, Array]:
    """(weights, mean) of one query s (S,) and the states h (T, H) of one sequence."""
    if isinstance(layer, AdditiveAttention):
        W, U, v = layer.W.value, layer.U.value, layer.v.value
        e = np.array([np.tanh(s @ W + h_t @ U) @ v for h_t in h])
    else:
        e = np.array([s @ layer.M.value @ h_t for h_t in h])
    w = np.exp(e) / np.exp(e).sum()
    return w, sum(w_t * h_t for w_t, h_t in zip(w, h, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_attention_is_its_equations_pair_by_pair(name: str) -> None:
    rng = np.random.default_rng(0)
    layer = make(name, rng)
    s, h = rng.normal(size=(Q, B, S)), rng.normal(size=(T, B, H))
    c, w = layer(s, h, lengths=LENGTHS)[0], layer.weights(s, h, lengths=LENGTHS)
    assert c.shape == (Q, B, H)
    assert w.shape == (Q, B, T)
    for q in range(Q):
        for b, length in enumerate(LENGTHS):
            expected = by_hand(layer, s[q, b], h[:length, b])
            np.testing.assert_allclose(w[q, b, :length], expected[0], rtol=1e-12)
            np.testing.assert_allclose(c[q, b], expected[1], rtol=1e-12, atol=1e-14)
            assert not w[q, b, length:].any()
        one = layer(s[q], h, lengths=LENGTHS)[0], layer.weights(s[q], h, lengths=LENGTHS)
        np.testing.assert_allclose(one[0], c[q], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(one[1], w[q], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(1)
    layer = make(name, rng)
    s, h, mask = rng.normal(size=(Q, B, S)), rng.normal(size=(T, B, H)), step_mask(LENGTHS, T)
    results = []
    for rubbish in (1e3, -1e6):
        h[~mask] = rubbish
        c, backward = layer(s, h, lengths=LENGTHS)
        ds, dh = backward(np.cos(c))
        assert not dh[~mask].any()
        results.append([c, ds, dh, *(p.dense_grad() for p in layer.parameters())])
        for p in layer.parameters():
            p.clear()
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(layer(s, h, lengths=mask)[0], results[0][0])


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_are_all_alike_and_one_that_takes_all(name: str) -> None:
    rng = np.random.default_rng(2)
    layer = make(name, rng)
    h = rng.normal(size=(T, B, H))
    mean, _ = MaskedMean()(h, lengths=LENGTHS)
    last = layer.parameters()[-1]  # v, or M
    last.value *= 0
    s = rng.normal(size=(B, S))
    np.testing.assert_allclose(layer(s, h, lengths=LENGTHS)[0], mean, atol=1e-14)
    np.testing.assert_allclose(layer.weights(s, h)[0], 1 / T, rtol=1e-14)
    last.value += 1e4 * rng.normal(size=last.value.shape)
    w, chosen = layer.weights(s, h), layer(s, h)[0]
    assert w.max(axis=1) == pytest.approx(1)
    np.testing.assert_allclose(chosen, h[w.argmax(axis=1), np.arange(B)], rtol=1e-9)


def test_masked_mean_by_hand() -> None:
    h = np.arange(12.0).reshape(3, 2, 2)
    c, backward = MaskedMean()(h, lengths=np.array([2, 3]))
    np.testing.assert_array_equal(c, [[2, 3], [6, 7]])
    dh = backward(np.array([[1.0, 2], [3, 6]]))
    np.testing.assert_array_equal(dh[:, 0], [[0.5, 1], [0.5, 1], [0, 0]])
    np.testing.assert_array_equal(dh[:, 1], [[1, 2]] * 3)
    np.testing.assert_array_equal(MaskedMean()(h)[0], h.mean(axis=0))
    holes = np.array([[True, False], [False, True], [True, False]])
    np.testing.assert_array_equal(MaskedMean()(h, lengths=holes)[0], [[4, 5], [6, 7]])
    assert MaskedMean()(h.astype(np.float32), lengths=np.array([2, 3]))[0].dtype == np.float32


def test_a_sequence_without_a_step_is_refused() -> None:
    rng = np.random.default_rng(3)
    s, h = rng.normal(size=(B, S)), rng.normal(size=(T, B, H))
    empty = np.array([3, T, 0, 5, 0])
    calls: list[Any] = [lambda lengths: MaskedMean()(h, lengths=lengths)]
    for name in NAMES:
        layer = make(name, rng)
        calls.append(lambda lengths, layer=layer: layer(s, h, lengths=lengths))
        calls.append(lambda lengths, layer=layer: layer.weights(s, h, lengths=lengths))
    for call in calls:
        for lengths in (empty, step_mask(empty, T)):
            with pytest.raises(ValueError, match="no step of sequence 2 counts"):
                call(lengths)
        with pytest.raises(ValueError, match="give 5 integers"):
            call(np.ones(T, int))


def test_bad_sizes() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="n_hidden=0"):
        AdditiveAttention(S, H, 0, rng=rng)
    with pytest.raises(ValueError, match="n_state=0"):
        MultiplicativeAttention(S, 0, rng=rng)
