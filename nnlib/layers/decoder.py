"""Decoder: a sequence of symbols, written from a vector that says what to write."""

from typing import Literal, TypeAlias

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.activations import tanh
from nnlib.functional.decoding import Step, beam_search, greedy_search
from nnlib.layer import Layer
from nnlib.layers.attention import AdditiveAttention, MultiplicativeAttention
from nnlib.layers.concat import concat
from nnlib.layers.dense import Dense
from nnlib.layers.embedding import Embedding
from nnlib.layers.gru import GRU
from nnlib.layers.sequential import Sequential
from nnlib.layers.sizes import check_sizes

Attention: TypeAlias = AdditiveAttention | MultiplicativeAttention
Summary: TypeAlias = Literal["start", "input", "both"]


class Decoder(Layer):
    """A GRU that writes symbols and reads what has been written: a distribution for each next one.

        (1) s_0 = tanh(c V + b_0)                    or 0
        (2) x_t = E[y_{t−1}],  or  E[y_{t−1}] | c    y_0 = GO
        (3) s_t = GRU(x_t, s_{t−1})
        (4) r_t = attention(s_t, h_1 … h_T)          where there is one
        (5) scores_t = s_t W + b,  or  (s_t | r_t) W + b
    Symbols are 0 … N−1.  N itself, the attribute `end`, is GO where it is read and the end of
    the sequence (EOS) where it is written, which never meet: E has N + 1 rows, W N + 1 columns.

    Called, it is forced by its teacher: y_{t−1} is the target's, which (2) shifts by one step, so
    that no step sees what it is to write.  `greedy` and `beam` run freely: y_{t−1} is what was
    written.  Only there do mistakes have consequences, so that is where to measure.

    Shapes
        c (B, C) · target (T', B) int, ends with `end` · memory h (T, B, M) → scores (T', B, N + 1)
        dscores → dc, None, dmemory (None without a memory)
    Arguments
        n_symbols: N
        n_summary, n_hidden, n_factors: C, H and the width of E
        rng: draws all parameters
        summary: where c enters: "start" in (1), "input" in (2) at every step, or "both"
        attention: of queries of size H to the memory's states of size M, or None
        lengths: of the memory, as for the attention
        max_steps: ≥ 1, where a sequence is cut that has no end yet
        width: ≥ 1, beginnings that a beam search follows
    Raises
        ValueError: a size, `width` or `max_steps` is below 1; `summary` is none of its words; a
            memory without attention, or attention without memory; what the attention raises.
    Source
        Cho et al. 2014; Sutskever et al. 2014; attention after the GRU: Luong et al. 2015 ·
        differs: they have a tanh layer between (4) and the scores.
    """

    def __init__(
        self,
        n_symbols: int,
        n_summary: int,
        n_hidden: int,
        *,
        rng: np.random.Generator,
        n_factors: int = 16,
        summary: Summary = "start",
        attention: Attention | None = None,
    ) -> None:
        check_sizes(
            n_symbols=n_symbols, n_summary=n_summary, n_hidden=n_hidden, n_factors=n_factors
        )
        if summary not in ("start", "input", "both"):
            raise ValueError(f"summary={summary!r}: it must be 'start', 'input' or 'both'")
        self.end, self.n_hidden = n_symbols, n_hidden
        self.at_every_step = summary != "start"
        self.embedding = Embedding(n_symbols + 1, n_factors, rng=rng)
        self.start = None
        if summary != "input":
            self.start = Sequential(Dense(n_summary, n_hidden, rng=rng), tanh)
        self.gru = GRU(n_factors + n_summary * self.at_every_step, n_hidden, rng=rng)
        self.attention = attention
        n_read = 0 if attention is None else attention.n_state
        self.out = Dense(n_hidden + n_read, n_symbols + 1, rng=rng)

    def __call__(
        self,
        summary: Array,
        target: Array,
        memory: Array | None = None,
        rng: np.random.Generator | None = None,
        *,
        lengths: Array | None = None,
    ) -> tuple[Array, Backward]:
        self._check_memory(memory)
        s0, back_start = self._first_state(summary)  # (1)
        x, back_inputs = self._inputs(self._shifted(target), summary)  # (2)
        s, back_gru = self.gru(x, s0)  # (3)
        scores, back_scores = self._scores(s, memory, lengths)  # (4) (5)

        def backward(dscores: Array) -> tuple[Array, None, Array | None]:
            ds, dmemory = back_scores(dscores)  # (5) (4)
            dx, ds0 = back_gru(ds)  # (3)
            dsummary = back_inputs(dx) + back_start(ds0)  # (2) (1)
            return dsummary, None, dmemory  # None: symbols are integers

        return scores, backward

    def greedy(
        self,
        summary: Array,
        memory: Array | None = None,
        *,
        lengths: Array | None = None,
        max_steps: int,
    ) -> Array:
        """y (T', B): the likeliest symbol at each step; from its end on a row holds `end`."""
        check_sizes(max_steps=max_steps)
        self._check_memory(memory)
        s0, _ = self._first_state(summary)
        return greedy_search(self._step(summary, memory, lengths), s0, self.end, max_steps)

    def beam(
        self,
        summary: Array,
        memory: Array | None = None,
        *,
        lengths: Array | None = None,
        width: int,
        max_steps: int,
    ) -> tuple[Array, Array]:
        """(y (T', B), log p (B,)): the likeliest sequence that a beam search finds."""
        check_sizes(width=width, max_steps=max_steps)
        self._check_memory(memory)
        xp = array_module(summary)
        s0, _ = self._first_state(summary)
        rows = xp.repeat(summary, width, axis=0)
        states = None if memory is None else xp.repeat(memory, width, axis=1)
        counts = None if lengths is None else xp.repeat(lengths, width, axis=-1)
        return beam_search(self._step(rows, states, counts), s0, self.end, width, max_steps)

    def attention_weights(
        self, summary: Array, target: Array, memory: Array, *, lengths: Array | None = None
    ) -> Array:
        """w (T', B, T): what each step attends to while it is forced to write `target`.

        Raises
            ValueError: there is no attention.
        """
        if self.attention is None:
            raise ValueError("no weights without attention: make the decoder with attention=…")
        x, _ = self._inputs(self._shifted(target), summary)
        s, _ = self.gru(x, self._first_state(summary)[0])
        return self.attention.weights(s, memory, lengths=lengths)

    def _shifted(self, target: Array) -> Array:
        """What is read while `target` is written: GO, then all of it but its last step."""
        xp = array_module(target)
        return xp.concatenate([xp.full_like(target[:1], self.end), target[:-1]])

    def _first_state(self, summary: Array) -> tuple[Array, Backward]:
        if self.start is not None:
            return self.start(summary)  # (1)
        xp = array_module(summary)
        s0 = xp.zeros((len(summary), self.n_hidden), summary.dtype)
        return s0, lambda ds0: xp.zeros_like(summary)

    def _inputs(self, read: Array, summary: Array) -> tuple[Array, Backward]:
        xp = array_module(summary)
        e, back_embedding = self.embedding(read)
        if self.at_every_step:
            c = xp.repeat(summary[None], len(read), axis=0)
            x, back_concat = concat(e, c)  # (2)
        else:
            x, back_concat = e, lambda dx: (dx, None)

        def backward(dx: Array) -> Array:
            de, dc = back_concat(dx)  # (2)
            back_embedding(de)  # (2)
            return xp.zeros_like(summary) if dc is None else dc.sum(axis=0)  # (2)

        return x, backward

    def _scores(
        self, s: Array, memory: Array | None, lengths: Array | None
    ) -> tuple[Array, Backward]:
        if self.attention is None:
            scores, back_out = self.out(s)  # (5)
            return scores, lambda dscores: (back_out(dscores), None)
        r, back_attention = self.attention(s, memory, lengths=lengths)  # (4)
        joined, back_concat = concat(s, r)
        scores, back_out = self.out(joined)  # (5)

        def backward(dscores: Array) -> tuple[Array, Array]:
            ds, dr = back_concat(back_out(dscores))  # (5)
            dquery, dmemory = back_attention(dr)  # (4)
            return ds + dquery, dmemory  # (5) (4)

        return scores, backward

    def _step(self, summary: Array, memory: Array | None, lengths: Array | None) -> Step:
        """One step of running freely: (2) to (5) for one t."""

        def step(symbols: Array, s: Array) -> tuple[Array, Array]:
            x, _ = self._inputs(symbols[None], summary)
            states, _ = self.gru(x, s)
            return self._scores(states, memory, lengths)[0][0], states[0]

        return step

    def _check_memory(self, memory: Array | None) -> None:
        if (memory is None) != (self.attention is None):
            given, made = (
                "no memory" if memory is None else "a memory",
                "without" if self.attention is None else "with",
            )
            raise ValueError(
                f"{given} for a decoder {made} attention: give states to attend to, or none"
            )
