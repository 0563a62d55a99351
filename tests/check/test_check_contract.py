"""Each clause of the contract, kept and broken."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.check import check_contract, check_gradients
from nnlib.layers import Dense, Dropout
from nnlib.parameter import Parameter

RNG = np.random.default_rng(3)
X = RNG.standard_normal((4, 3))
W = Parameter(RNG.standard_normal(3).astype(np.float32))


def double(x: Array) -> tuple[Array, Any]:
    return 2 * x, lambda dy: 2 * dy


def in_place(x: Array) -> tuple[Array, Any]:
    def backward(dy: Array) -> Array:
        dy *= 2
        return dy.copy()

    return 2 * x, backward


def writes_input(x: Array) -> tuple[Array, Any]:
    x *= 2
    return x.copy(), lambda dy: 2 * dy


def writes_parameter(x: Array) -> tuple[Array, Any]:
    W.value += 1
    return x * 1, lambda dy: 1 * dy


def replaces_parameter(x: Array) -> tuple[Array, Any]:
    W.value = W.value.copy()
    return x * 1, lambda dy: 1 * dy


def returns_dy(x: Array) -> tuple[Array, Any]:
    return x * 1, lambda dy: dy.reshape(3, 4).reshape(4, 3)


def returns_input(x: Array) -> tuple[Array, Any]:
    return (x * x).sum() / 2, lambda dloss=1.0: x


def gives_dy_away(x: Array) -> tuple[Array, Any]:
    def backward(dy: Array) -> Array:
        W.accumulate(dy[0])
        return 1 * dy

    return x * 1, backward


def same_twice(a: Array, b: Array) -> tuple[Array, Any]:
    def backward(dy: Array) -> tuple[Array, Array]:
        g = 1 * dy
        return g, g

    return a + b, backward


def only_once(x: Array) -> tuple[Array, Any]:
    kept = [2.0, 1.0]
    return 2 * x, lambda dy: dy * (kept.pop() if len(kept) > 1 else kept[0])


def assigns_instead_of_adding(x: Array) -> tuple[Array, Any]:
    def backward(dy: Array) -> Array:
        W.grad = (x * dy).sum(axis=0)
        return dy * W.value

    return x * W.value, backward


def constant_added(x: Array) -> tuple[Array, Any]:
    return 2 * x, lambda dy: 2 * dy + 1


def absolute(x: Array) -> tuple[Array, Any]:
    return 2 * x, lambda dy: 2 * abs(dy)


def other_default(x: Array) -> tuple[Array, Any]:
    return x.sum(), lambda dloss=2.0: np.full_like(x, dloss)


def gradient_of_integers(ids: Array) -> tuple[Array, Any]:
    return W.value[ids], lambda dy: 0.0 * ids


def too_few(a: Array, b: Array) -> tuple[Array, Any]:
    return a + b, lambda dy: 1 * dy


def double_precision(x: Array) -> tuple[Array, Any]:
    return x * 1, lambda dy: dy * np.ones(3)


def double_precision_result(x: Array) -> tuple[Array, Any]:
    return x * np.ones(3), lambda dy: 1 * dy


def false_promise(ids: Array) -> tuple[Array, Any]:
    table = W.value.reshape(3, 1)
    return table[ids], lambda dy: W.accumulate_rows(ids, dy.copy(), distinct=True)


IDS = np.array([0, 2, 0])
BREACHES: list[tuple[Callable[..., Any], tuple[Array, ...], str]] = [
    (in_place, (X,), "backward writes to dy"),
    (writes_input, (X,), "x is written to"),
    (writes_parameter, (X,), r"params\[0\] is written to"),
    (replaces_parameter, (X,), r"params\[0\].value is replaced"),
    (returns_dy, (X,), "gradient of x shares memory with dy"),
    (returns_input, (X,), "gradient of x shares memory with x"),
    (gives_dy_away, (X,), r"gradient of params\[0\] shares memory with dy"),
    (same_twice, (X, X), "gradient of b shares memory with the gradient of a"),
    (only_once, (X,), "second call of backward gives another"),
    (assigns_instead_of_adding, (X,), r"does not add the same gradient to params\[0\]"),
    (constant_added, (X,), "not linear"),
    (absolute, (X,), "not linear"),
    (other_default, (X,), r"backward\(\) is not backward\(1.0\)"),
    (gradient_of_integers, (IDS,), "ids, which is int64, is not None"),
    (too_few, (X, X), "1 gradients for 2 inputs"),
    (double_precision, (X,), "gradient of x is float64"),
    (double_precision_result, (X,), "a result is float64"),
    (false_promise, (IDS,), "said to be distinct"),
    (lambda x: Dropout(0.5)(x, rng=RNG), (X,), "two calls with the same inputs differ"),
    (lambda x: (2 * x, lambda dy: None), (X,), "the gradient of x is None"),
    (lambda x: (2 * x, lambda dy: 2 * dy[:2]), (X,), r"gradient of x is float32 \(2, 3\)"),
]


def broken(f: Callable[..., Any], inputs: tuple[Array, ...]) -> list[str]:
    return check_contract(f, *inputs, params=[W], dtype=np.float32)


@pytest.mark.parametrize(
    ("f", "inputs", "message"), BREACHES, ids=[b[0].__name__ for b in BREACHES]
)
def test_a_broken_clause_is_named(
    f: Callable[..., Any], inputs: tuple[Array, ...], message: str
) -> None:
    problems = broken(f, inputs)
    assert any(re.search(message, p) for p in problems), problems


def test_what_keeps_the_contract_has_no_problems() -> None:
    assert broken(double, (X,)) == []
    dense = Dense(3, 2, rng=RNG)
    assert check_contract(dense, X, dtype=np.float32) == []
    assert check_contract(dense, X, dtype=np.float64) == []


def test_a_broken_contract_fails_the_gradient_check() -> None:
    report = check_gradients(in_place, X)
    assert all(row.error < 1e-8 for row in report.rows)
    assert not report.passed
    assert "contract: backward writes to dy" in str(report)
