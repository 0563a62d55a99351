"""Cases of the recurrent layers: cells, the pairs over time behind them, and single steps."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnlib.array import Array, Backward
from nnlib.check.cases.case import Case, Make, Sizes, Subject, scrambled
from nnlib.functional import lstm_sequence as lstm
from nnlib.functional import rnn_sequence as rnn
from nnlib.functional.gru_sequence import gru_sequence, gru_sequence_backward
from nnlib.functional.gru_step import (
    gru_step_after,
    gru_step_after_backward,
    gru_step_before,
    gru_step_before_backward,
)
from nnlib.functional.sequences import last_state, reverse_prefix
from nnlib.layer import Layer
from nnlib.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    GRUCell,
    GRUStep,
    LSTMCell,
    RNNCell,
    Scan,
)


def _gru_cell(reset: Any, update: Any) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        cell = scrambled(GRUCell(s.I, s.H, rng=rng, reset=reset, update=update), rng)
        return Subject(cell, (rng.normal(size=(s.B, s.I)), rng.normal(size=(s.B, s.H))))

    return make


def _gru(reset: Any, update: Any, some: bool) -> Make:
    return _over_time(lambda rng, s: GRU(s.I, s.H, rng=rng, reset=reset, update=update), some)


def _lengths(rng: np.random.Generator, s: Sizes) -> Array:
    return rng.integers(s.T + 1, size=s.B)  # 0: nothing but padding


def _numbers(rng: np.random.Generator, *shapes: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(rng.normal(0, 0.7, shape) for shape in shapes)


def _rnn_cell(rng: np.random.Generator, s: Sizes) -> Subject:
    cell = scrambled(RNNCell(s.I, s.H, rng=rng), rng)
    return Subject(cell, _numbers(rng, (s.B, s.I), (s.B, s.H)))


def _lstm_cell(rng: np.random.Generator, s: Sizes) -> Subject:
    cell = scrambled(LSTMCell(s.I, s.H, rng=rng), rng)
    return Subject(_flat(cell), _numbers(rng, (s.B, s.I), (s.B, s.H), (s.B, s.H)), cell)


def _flat(layer: Layer, **options: Any) -> Any:
    """A layer whose state is a pair, with inputs and gradients in one row."""

    def f(x: Array, h: Array, c: Array) -> tuple[Any, Backward]:
        states, back = layer(x, (h, c), **options)

        def backward(dh: Array, dc: Array) -> tuple[Array, Array, Array]:
            dx, (dh_old, dc_old) = back(dh, dc)
            return dx, dh_old, dc_old

        return states, backward

    return f


def _over_time(
    make_layer: Callable[[np.random.Generator, Sizes], Layer], some: bool = False, n_states: int = 1
) -> Make:
    """A layer over time; some: of every sequence only some steps count."""

    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        layer = scrambled(make_layer(rng, s), rng)
        inputs = _numbers(rng, (s.T, s.B, s.I), *[(s.B, s.H)] * n_states)
        lengths = _lengths(rng, s) if some else None
        if n_states == 2:
            return Subject(_flat(layer, lengths=lengths), inputs, layer)
        return Subject(lambda x, h0: layer(x, h0, lengths=lengths), inputs, layer)

    return make


def _mask(some: bool, rng: np.random.Generator, s: Sizes) -> Array | None:
    """Which steps count: some, or None: all."""
    return rng.random((s.T, s.B)) < 0.6 if some else None


def _rnn_sequence(some: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        mask = _mask(some, rng, s)

        def f(x: Array, h0: Array, W: Array, U: Array, b: Array) -> tuple[Array, Backward]:
            h, saved = rnn.rnn_sequence(x, h0, W, U, b, mask=mask)
            return h, lambda dh: rnn.rnn_sequence_backward(dh, saved)

        shapes = (s.T, s.B, s.I), (s.B, s.H), (s.I, s.H), (s.H, s.H), (s.H,)
        return Subject(f, _numbers(rng, *shapes))

    return make


def _lstm_sequence(some: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        mask = _mask(some, rng, s)

        def f(x: Array, h0: Array, c0: Array, W: Array, U: Array, b: Array) -> tuple[Any, Backward]:
            states, saved = lstm.lstm_sequence(x, h0, c0, W, U, b, mask)
            return states, lambda dh, dc: lstm.lstm_sequence_backward(dh, dc, saved)

        B, H = s.B, s.H
        shapes = (s.T, B, s.I), (B, H), (B, H), (s.I, 4 * H), (H, 4 * H), (4 * H,)
        return Subject(f, _numbers(rng, *shapes))

    return make


def _bidirectional(some: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        parts = GRU(s.I, s.H, rng=rng), RNN(s.I, s.O, rng=rng)
        layer = scrambled(Bidirectional(*parts), rng)
        lengths = _lengths(rng, s) if some else None

        def f(x: Array, h: Array, g: Array) -> tuple[Array, Backward]:
            y, back = layer(x, (h, g), lengths=lengths)

            def backward(dy: Array) -> tuple[Array, Array, Array]:
                dx, (dh, dg) = back(dy)
                return dx, dh, dg

            return y, backward

        return Subject(f, _numbers(rng, (s.T, s.B, s.I), (s.B, s.H), (s.B, s.O)), layer)

    return make


def _bidirectional_lstm(rng: np.random.Generator, s: Sizes) -> Subject:
    layer = scrambled(Bidirectional(*(LSTM(s.I, s.H, rng=rng) for _ in range(2))), rng)

    def f(x: Array) -> tuple[Any, Backward]:
        states, back = layer(x)
        return states, lambda dh, dc: back(dh, dc)[0]

    return Subject(f, _numbers(rng, (s.T, s.B, s.I)), layer)


def _reverse_prefix(rng: np.random.Generator, s: Sizes) -> Subject:
    lengths = _lengths(rng, s)
    return Subject(lambda x: reverse_prefix(x, lengths), (rng.normal(size=(s.T, s.B, s.H)),))


def _last_state(rng: np.random.Generator, s: Sizes) -> Subject:
    return Subject(last_state, (rng.normal(size=(s.T, s.B, s.H)), rng.integers(1, s.T + 1, s.B)))


def _gru_sequence(reset: str, some: bool, keeps: bool) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        mask = _mask(some, rng, s)

        def before(x: Array, h0: Array, W: Array, U: Array, b: Array) -> tuple[Array, Backward]:
            h, saved = gru_sequence(x, h0, W, U, b, None, mask, keeps)
            return h, lambda dh: gru_sequence_backward(dh, saved)[:-1]

        def after(
            x: Array, h0: Array, W: Array, U: Array, b: Array, b_h: Array
        ) -> tuple[Array, Backward]:
            h, saved = gru_sequence(x, h0, W, U, b, b_h, mask, keeps)
            return h, lambda dh: gru_sequence_backward(dh, saved)

        B, H = s.B, s.H
        shapes = [(s.T, B, s.I), (B, H), (s.I, 3 * H), (H, 3 * H), (3 * H,), (H,)]
        if reset == "after":
            return Subject(after, _numbers(rng, *shapes))
        return Subject(before, _numbers(rng, *shapes[:-1]))

    return make


def _gru_step(reset: Any) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        step = scrambled(GRUStep(s.H, rng=rng, reset=reset), rng)
        h = rng.normal(size=(s.B // 2 + 1, s.H))  # a constant: it has no gradient
        return Subject(
            lambda v: step(v, h.astype(v.dtype)), (rng.normal(size=(s.B, 3 * s.H)),), step
        )

    return make


def _gru_step_through_time(reset: Any) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        step = scrambled(GRUStep(s.H, rng=rng, reset=reset, through_time=True), rng)
        v, h = rng.normal(size=(s.B, 3 * s.H)), rng.normal(size=(s.B // 2 + 1, s.H))
        return Subject(step, (v, h))

    return make


def _gru_step_pair(reset: str) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        h = rng.normal(size=(s.B // 2 + 1, s.H))

        def before(v: Array, U: Array, b: Array) -> tuple[Array, Backward]:
            h_next, saved = gru_step_before(v, h.astype(v.dtype), U, b)
            return h_next, lambda dh_next: gru_step_before_backward(dh_next, saved)

        def after(v: Array, U: Array, b: Array, b_h: Array) -> tuple[Array, Backward]:
            h_next, saved = gru_step_after(v, h.astype(v.dtype), U, b, b_h)
            return h_next, lambda dh_next: gru_step_after_backward(dh_next, saved)

        shapes = [(s.B, 3 * s.H), (s.H, 3 * s.H), (3 * s.H,), (3 * s.H,)]
        v, U, b, b_h = (rng.normal(0, 0.7, shape) for shape in shapes)
        return Subject(after, (v, U, b, b_h)) if reset == "after" else Subject(before, (v, U, b))

    return make


def cases() -> Iterator[Case]:
    """Every recurrent layer and pair."""
    yield Case("RNNCell", RNNCell, _rnn_cell)
    yield Case("LSTMCell", LSTMCell, _lstm_cell)
    for lengths, some in (("", False), (" lengths", True)):
        gru = _over_time(lambda rng, s: Scan(GRUCell(s.I, s.H, rng=rng)), some)
        yield Case(f"Scan{lengths}", Scan, gru)
        lstm_ = _over_time(lambda rng, s: Scan(LSTMCell(s.I, s.H, rng=rng)), some, n_states=2)
        yield Case(f"Scan of LSTMCell{lengths}", Scan, lstm_)
        yield Case(f"RNN{lengths}", RNN, _over_time(lambda rng, s: RNN(s.I, s.H, rng=rng), some))
        lstm_ = _over_time(lambda rng, s: LSTM(s.I, s.H, rng=rng), some, n_states=2)
        yield Case(f"LSTM{lengths}", LSTM, lstm_)
    for mask, some in (("", False), (" mask", True)):
        yield Case(f"rnn_sequence{mask}", rnn.rnn_sequence, _rnn_sequence(some))
        yield Case(f"lstm_sequence{mask}", lstm.lstm_sequence, _lstm_sequence(some))
    yield Case("Bidirectional", Bidirectional, _bidirectional(False))
    yield Case("Bidirectional lengths", Bidirectional, _bidirectional(True))
    yield Case("Bidirectional of LSTM", Bidirectional, _bidirectional_lstm)
    yield Case("reverse_prefix", reverse_prefix, _reverse_prefix)
    yield Case("last_state", last_state, _last_state)
    for reset in ("before", "after"):
        for update in ("candidate", "state"):
            form = f"reset={reset} update={update}"
            yield Case(f"GRUCell {form}", GRUCell, _gru_cell(reset, update))
            yield Case(f"GRU {form}", GRU, _gru(reset, update, some=False))
        yield Case(f"GRU reset={reset} lengths", GRU, _gru(reset, "candidate", some=True))
        for mask, some, keeps in (
            ("", False, False),
            (" mask", True, False),
            (" keeps", False, True),
        ):
            pair = _gru_sequence(reset, some, keeps)
            yield Case(f"gru_sequence reset={reset}{mask}", gru_sequence, pair)
        yield Case(f"GRUStep reset={reset}", GRUStep, _gru_step(reset))
        through_time = _gru_step_through_time(reset)
        yield Case(f"GRUStep reset={reset} through time", GRUStep, through_time)
    yield Case("gru_step_before", gru_step_before, _gru_step_pair("before"))
    yield Case("gru_step_after", gru_step_after, _gru_step_pair("after"))
