"""Row updates against dense ones; chunks against the whole; shared parameters."""

from collections.abc import Callable

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.functional import updates
from nnlib.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
)
from nnlib.parameter import Parameter

Make = Callable[[list[Parameter]], Optimizer]
N, D = 12, 3

EXACT: dict[str, Make] = {
    "SGD": lambda p: SGD(p, 0.1),
    "Adagrad": lambda p: Adagrad(p, 0.1),
    "Adagrad initial": lambda p: Adagrad(p, 0.1, initial=1e-6, eps=0.0),
}
LAZY: dict[str, Make] = {
    "Momentum": lambda p: Momentum(p, 0.1),
    "Nesterov": lambda p: Nesterov(p, 0.1),
    "Adagrad momentum": lambda p: Adagrad(p, 0.1, momentum=0.5),
    "RMSProp": lambda p: RMSProp(p, 0.1),
    "Adadelta": Adadelta,
    "Adam": lambda p: Adam(p, 0.1),
    "AdamW": lambda p: AdamW(p, 0.1, weight_decay=0.2),
}
ALL = EXACT | LAZY


def table(dtype: type = np.float32) -> Parameter:
    return Parameter(np.random.default_rng(9).normal(size=(N, D)).astype(dtype))


def run(make: Make, batches: list[Array], rows: bool) -> tuple[Array, Optimizer]:
    """The table after a step per batch of row ids, by row gradients or by dense ones."""
    p, rng = table(), np.random.default_rng(1)
    optimizer = make([p])
    for ids in batches:
        g = rng.normal(size=(*ids.shape, D)).astype(np.float32)
        if rows:
            half = len(ids) // 2
            p.accumulate_rows(ids[:half], g[:half])
            p.accumulate_rows(ids[half:], g[half:])
        else:
            dense = Parameter(p.value)
            dense.accumulate_rows(ids, g)
            p.accumulate(dense.dense_grad())
        optimizer.step()
    return p.value, optimizer


def repeated_ids() -> list[Array]:
    return list(np.random.default_rng(2).integers(N, size=(6, 8)))  # repeats, and rows left out


@pytest.mark.parametrize("chunk", [D, 4 * D + 1, 10**6])
@pytest.mark.parametrize("name", EXACT)
def test_rows_equal_dense(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "CHUNK", chunk)
    by_rows, a = run(EXACT[name], repeated_ids(), rows=True)
    dense, b = run(EXACT[name], repeated_ids(), rows=False)
    np.testing.assert_array_equal(by_rows, dense)
    for slot, value in a.slots[0].items():
        np.testing.assert_array_equal(value, b.slots[0][slot])


@pytest.mark.parametrize("name", ALL)
def test_rows_equal_dense_if_every_row_has_a_gradient(name: str) -> None:
    rng = np.random.default_rng(3)
    batches = [np.concatenate([rng.permutation(N), rng.integers(N, size=4)]) for _ in range(6)]
    by_rows, _ = run(ALL[name], batches, rows=True)
    dense, _ = run(ALL[name], batches, rows=False)
    np.testing.assert_array_equal(by_rows, dense)


@pytest.mark.parametrize("name", LAZY)
def test_lazy_rows_rest_with_their_state_until_their_next_gradient(name: str) -> None:
    p, g = table(np.float64), np.ones((1, D))
    optimizer = LAZY[name]([p])

    def step_row(i: int) -> None:
        p.accumulate_rows(np.array([i]), g)
        optimizer.step()

    step_row(0)
    row, slots = p.value[0].copy(), {k: s[0].copy() for k, s in optimizer.slots[0].items()}
    for _ in range(3):
        step_row(5)
    np.testing.assert_array_equal(p.value[0], row)
    for slot, value in slots.items():
        np.testing.assert_array_equal(optimizer.slots[0][slot][0], value)
    by_rows, a = run(LAZY[name], repeated_ids(), rows=True)
    dense, b = run(LAZY[name], repeated_ids(), rows=False)
    different = [(by_rows, dense)] + [(s, b.slots[0][k]) for k, s in a.slots[0].items()]
    assert any(not np.array_equal(x, y) for x, y in different)


def test_repeated_ids_are_summed_before_they_are_squared() -> None:
    p = Parameter(np.zeros((4, 1)))
    optimizer = Adagrad([p], 0.1)
    p.accumulate_rows(np.array([2, 2, 0]), np.array([[1.0], [2.0], [5.0]]))
    optimizer.step()
    np.testing.assert_allclose(optimizer.slots[0]["G"], [[25], [0], [9], [0]])
    np.testing.assert_allclose(p.value, [[-0.1], [0], [-0.1], [0]])


@pytest.mark.parametrize("name", ALL)
def test_dense_and_row_gradients_together_are_dense(name: str) -> None:
    p, q, rng = table(), table(), np.random.default_rng(4)
    first, second = ALL[name]([p]), ALL[name]([q])
    for _ in range(3):
        dense, rows = rng.normal(size=(N, D)).astype(np.float32), np.ones((2, D), np.float32)
        p.accumulate(dense.copy())
        p.accumulate_rows(np.array([1, 1]), rows)
        dense[1] += 2
        q.accumulate(dense)
        first.step()
        second.step()
    np.testing.assert_array_equal(p.value, q.value)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("order", ["C", "F"])
def test_chunks_make_no_difference(name: str, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    start, gs = rng.normal(size=(7, 5)), rng.normal(size=(3, 7, 5))

    def final() -> Array:
        p = Parameter(np.array(start, order=order))  # type: ignore[call-overload]
        optimizer = ALL[name]([p])
        for g in gs:
            p.accumulate(g.copy())
            optimizer.step()
        return p.value

    whole = final()
    monkeypatch.setattr(updates, "CHUNK", 4)
    np.testing.assert_array_equal(final(), whole)


def test_a_table_of_one_column_and_rows_of_no_ids() -> None:
    b = Parameter(np.zeros(5))
    optimizer = SGD([b], 1.0)
    b.accumulate_rows(np.array([3, 1, 3]), np.array([1.0, 2.0, 4.0]))
    optimizer.step()
    np.testing.assert_array_equal(b.value, [0, -2, 0, -5, 0])
    b.accumulate_rows(np.array([], int), np.array([]))
    optimizer.step()
    np.testing.assert_array_equal(b.value, [0, -2, 0, -5, 0])
    assert not b.rows


def test_row_gradients_are_not_written_to() -> None:
    for make in ALL.values():
        p, g = table(), np.ones((2, D), np.float32)
        g.flags.writeable = False
        p.accumulate_rows(np.array([1, 4]), g, distinct=True)
        make([p]).step()


def test_a_shared_parameter_counts_once() -> None:
    p = Parameter(np.zeros(2))
    optimizer = SGD([p, p], 1.0)
    p.accumulate(np.ones(2))
    p.accumulate(np.ones(2))
    optimizer.step()
    np.testing.assert_array_equal(p.value, [-2, -2])
    assert len(optimizer.params) == len(optimizer.slots) == 1


def test_a_parameter_without_gradient_does_not_move() -> None:
    p, q = Parameter(np.zeros(2)), Parameter(np.zeros(2))
    optimizer = Momentum([p, q], 1.0)
    p.accumulate(np.ones(2))
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(p.value, [-1, -1])
    assert not q.value.any()
    assert optimizer.t == 2
