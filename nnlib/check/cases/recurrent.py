"""Cases of the recurrent layers: cells, the pairs over time behind them, and single steps."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnlib.array import Array, Backward
from nnlib.check.cases.case import Case, Make, Sizes, Subject, scrambled
from nnlib.functional.gru_sequence import gru_sequence, gru_sequence_backward
from nnlib.functional.gru_step import (
    gru_step_after,
    gru_step_after_backward,
    gru_step_before,
    gru_step_before_backward,
)
from nnlib.layers import GRU, GRUCell, GRUStep, Scan


def _gru_cell(reset: Any) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        cell = scrambled(GRUCell(s.I, s.H, rng=rng, reset=reset), rng)
        return Subject(cell, (rng.normal(size=(s.B, s.I)), rng.normal(size=(s.B, s.H))))

    return make


def _gru(reset: Any) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        gru = scrambled(GRU(s.I, s.H, rng=rng, reset=reset), rng)
        return Subject(gru, (rng.normal(size=(s.T, s.B, s.I)), rng.normal(size=(s.B, s.H))))

    return make


def _scan(rng: np.random.Generator, s: Sizes) -> Subject:
    scan = scrambled(Scan(GRUCell(s.I, s.H, rng=rng)), rng)
    return Subject(scan, (rng.normal(size=(s.T, s.B, s.I)), rng.normal(size=(s.B, s.H))))


def _gru_sequence(reset: str) -> Make:
    def f(*inputs: Array) -> tuple[Array, Backward]:
        h, saved = gru_sequence(*inputs)
        return h, lambda dh: gru_sequence_backward(dh, saved)[: len(inputs)]

    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        H = s.H
        shapes = [(s.T, s.B, s.I), (s.B, H), (s.I, 3 * H), (H, 3 * H), (3 * H,), (H,)]
        inputs = [rng.normal(0, 0.7, shape) for shape in shapes]
        return Subject(f, tuple(inputs if reset == "after" else inputs[:-1]))

    return make


def _gru_step(reset: Any) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        step = scrambled(GRUStep(s.H, rng=rng, reset=reset), rng)
        h = rng.normal(size=(s.B // 2 + 1, s.H))  # a constant: it has no gradient
        return Subject(
            lambda v: step(v, h.astype(v.dtype)), (rng.normal(size=(s.B, 3 * s.H)),), step
        )

    return make


def _gru_step_pair(reset: str) -> Make:
    def make(rng: np.random.Generator, s: Sizes) -> Subject:
        h = rng.normal(size=(s.B // 2 + 1, s.H))

        def before(a: Array, U: Array) -> tuple[Array, Backward]:
            h_next, saved = gru_step_before(a, h.astype(a.dtype), U)
            return h_next, lambda dh_next: gru_step_before_backward(dh_next, saved)

        def after(a: Array, U: Array, b_h: Array) -> tuple[Array, Backward]:
            h_next, saved = gru_step_after(a, h.astype(a.dtype), U, b_h)
            return h_next, lambda dh_next: gru_step_after_backward(dh_next, saved)

        shapes = [(s.B, 3 * s.H), (s.H, 3 * s.H), (3 * s.H,)]
        a, U, b_h = (rng.normal(0, 0.7, shape) for shape in shapes)
        return Subject(after, (a, U, b_h)) if reset == "after" else Subject(before, (a, U))

    return make


def cases() -> Iterator[Case]:
    """Every recurrent layer and pair."""
    yield Case("Scan", Scan, _scan)
    for reset in ("before", "after"):
        yield Case(f"GRUCell reset={reset}", GRUCell, _gru_cell(reset))
        yield Case(f"GRU reset={reset}", GRU, _gru(reset))
        yield Case(f"gru_sequence reset={reset}", gru_sequence, _gru_sequence(reset))
        yield Case(f"GRUStep reset={reset}", GRUStep, _gru_step(reset))
    yield Case("gru_step_before", gru_step_before, _gru_step_pair("before"))
    yield Case("gru_step_after", gru_step_after, _gru_step_pair("after"))
