"""Greedy and beam search on models small enough to list every sequence."""

import itertools

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.functional.decoding import Step, beam_search, greedy_search

END, N, MAX = 2, 3, 4  # symbols 0, 1 and the end


def table_step(tables: Array) -> Step:
    """Scores depend on row, step and the two last symbols; state: (row, step, last but one)."""

    def step(symbols: Array, state: Array) -> tuple[Array, Array]:
        row, t, before = state.astype(int).T
        return tables[row, t, before, symbols], np.stack([row, t + 1, symbols], axis=1) * 1.0

    return step


def start(rows: int) -> Array:
    return np.stack([np.arange(rows), np.zeros(rows), np.full(rows, END)], axis=1)


def log_softmax(s: Array) -> Array:
    return s - np.log(np.exp(s).sum())


def log_p(tables: Array, sequence: tuple[int, ...]) -> float:
    read = (END, END, *sequence)
    return sum(
        log_softmax(tables[t, read[t], read[t + 1]])[symbol] for t, symbol in enumerate(sequence)
    )


def all_sequences() -> list[tuple[int, ...]]:
    """Every sequence that ends, and every one that is cut."""
    ended = [(*s, END) for n in range(MAX) for s in itertools.product((0, 1), repeat=n)]
    return ended + list(itertools.product((0, 1), repeat=MAX))


def until_end(column: Array) -> tuple[int, ...]:
    symbols = column.tolist()
    return tuple(symbols[: symbols.index(END) + 1] if END in symbols else symbols)


def test_a_wide_beam_finds_the_likeliest_of_all_sequences() -> None:
    tables = np.random.default_rng(0).normal(0, 1.5, (40, MAX, N, N, N))
    y, found = beam_search(table_step(tables), start(40), END, 2**MAX + N, MAX)
    lengths = set()
    for b, table in enumerate(tables):
        best = max(all_sequences(), key=lambda s: log_p(table, s))
        assert until_end(y[:, b]) == best
        assert found[b] == pytest.approx(log_p(table, best), rel=1e-12)
        assert (y[len(best) :, b] == END).all()
        lengths.add(len(best))
    assert len(lengths) == MAX  # short and long ones, and some that are cut


def test_a_beam_of_one_is_greedy() -> None:
    tables = np.random.default_rng(1).normal(0, 1.5, (40, MAX, N, N, N))
    greedy = greedy_search(table_step(tables), start(40), END, MAX)
    y, found = beam_search(table_step(tables), start(40), END, 1, MAX)
    np.testing.assert_array_equal(y, greedy)
    for b, table in enumerate(tables):
        sequence = until_end(greedy[:, b])
        assert found[b] == pytest.approx(log_p(table, sequence), rel=1e-12)
        for t, symbol in enumerate(sequence):  # no likelier step from where it stands
            before, last = (END, END, *sequence)[t : t + 2]
            assert symbol == table[t, before, last].argmax()


def test_wider_beams_find_likelier_sequences_than_greedy() -> None:
    tables = np.random.default_rng(2).normal(0, 1.5, (200, MAX, N, N, N))
    found = [beam_search(table_step(tables), start(200), END, k, MAX)[1] for k in (1, 2, 4, 19)]
    means = [f.mean() for f in found]
    assert means == sorted(means)
    assert (found[1] > found[0] + 1e-9).sum() > 10
    assert (found[3] >= np.max(found, axis=0) - 1e-12).all()


def test_rows_stop_at_their_end_and_all_stop_with_the_last() -> None:
    tables = np.zeros((2, MAX, N, N, N))
    tables[0, ..., END] = 9  # row 0 ends at once, row 1 writes 1, 1 and ends
    tables[1, :2, ..., 1], tables[1, 2, ..., END] = 9, 9
    for y in (
        greedy_search(table_step(tables), start(2), END, MAX),
        beam_search(table_step(tables), start(2), END, 3, MAX)[0],
    ):
        np.testing.assert_array_equal(y, [[END, 1], [END, 1], [END, END]])
    np.testing.assert_array_equal(
        greedy_search(table_step(tables), start(2), END, 2), [[END, 1], [END, 1]]
    )
