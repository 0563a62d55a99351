"""The mistakes that students make, in code as they write it, and what they are told."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.check import Kind, check_gradients, diagnose

B, T, I, O, N = 32, 6, 5, 7, 11


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def numeric(loss: Callable[[], float], x: Array) -> Array:
    """Central differences."""
    g = np.empty_like(x)
    for at in np.ndindex(x.shape):
        centre = x[at]
        x[at] = centre + 1e-6
        above = loss()
        x[at] = centre - 1e-6
        g[at] = (above - loss()) / 2e-6
        x[at] = centre
    return g


def softmax(s: Array, axis: int = -1) -> Array:
    e = np.exp(s - s.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def test_the_batch_size_of_a_softmax_loss(rng: np.random.Generator) -> None:
    s, t = rng.normal(size=(B, N)), rng.integers(N, size=B)
    rows = np.arange(B)
    reference = numeric(lambda: float(-np.log(softmax(s)[rows, t]).mean()), s)
    y = np.eye(N)[t]

    found = diagnose(softmax(s) - y, reference, batch_size=B)
    assert found.kind is Kind.BATCH_SIZE
    assert not found.correct
    assert found.message == (
        "every entry is 32 times too large, and 32 is the batch size: the mean over the batch is "
        "missing"
    )
    assert str(found) == found.message
    assert diagnose(softmax(s) - y, reference).kind is Kind.BATCH_SIZE, "axis 0 may be the batch"
    assert diagnose((softmax(s) - y) / B, reference).correct
    assert diagnose((y - softmax(s)) / B, reference).kind is Kind.SIGN
    assert diagnose((softmax(s) - y) / B**2, reference).kind is Kind.OVER_BATCH_SIZE
    forgotten = diagnose(softmax(s) / B, reference)
    assert forgotten.kind is Kind.TARGET
    assert "p − y" in forgotten.message
    total = diagnose((softmax(s) - y) / s.size, reference, batch_size=B)
    assert total.kind is Kind.FACTOR
    assert f"{N} times too small" in total.message


def test_a_dense_layer(rng: np.random.Generator) -> None:
    x, W, b = rng.normal(size=(B, I)), rng.normal(size=(I, O)), rng.normal(size=O)
    dy = rng.normal(size=(B, O))

    def loss() -> float:
        return float((dy * np.tanh(x @ W + b)).sum())

    slope = 1 - np.tanh(x @ W + b) ** 2
    da = dy * slope
    dx, dW, db = (numeric(loss, array) for array in (x, W, b))

    assert diagnose((da @ W.T, x.T @ da, da.sum(axis=0)), (dx, dW, db)).correct
    assert diagnose(da.T @ x, dW).kind is Kind.TRANSPOSED
    assert diagnose((da.T @ x).reshape(I, O), dW).kind is Kind.TRANSPOSED
    assert diagnose(da, db).kind is Kind.NOT_SUMMED
    assert diagnose(da.sum(axis=1), db).kind is Kind.WRONG_AXIS
    assert diagnose(da.mean(axis=0), db, batch_size=B).kind is Kind.OVER_BATCH_SIZE
    assert diagnose(da.sum(), db).kind is Kind.WRONG_AXIS
    assert diagnose(da[0, :3], db).kind is Kind.SHAPE
    assert diagnose(da.sum(axis=0, keepdims=True), db).kind is Kind.SHAPE
    assert diagnose(da[-1], db, summands=da).kind is Kind.ONLY_LAST
    assert diagnose(da[0], db, summands=da).kind is Kind.ONLY_FIRST
    assert diagnose(da[:-1].sum(axis=0), db, summands=da).kind is Kind.TERM
    assert diagnose(x.T @ dy, dW, known={"f' is missing": x.T @ dy}).message == "f' is missing"
    decayed = diagnose(x.T @ da, dW + 0.01 * W, terms={"W": W})
    assert decayed.kind is Kind.TERM
    assert "0.01 · W is missing" in decayed.message


def test_the_derivative_of_an_activation(rng: np.random.Generator) -> None:
    a, dy = rng.normal(size=(B, O)), rng.normal(size=(B, O))
    slope = 1 - np.tanh(a) ** 2
    for found in (
        diagnose(dy, dy * slope, derivative=slope),
        diagnose(-dy, dy * slope, derivative=slope),
        diagnose(dy, dy * slope, terms={"dy": dy, "a": a}),
        diagnose(dy, dy * slope),
        diagnose(dy * slope**2, dy * slope),
        diagnose(dy, dy * (a > 0)),
        diagnose(dy, dy * np.where(a > 0, 1, np.exp(a))),
    ):
        assert found.kind is Kind.DERIVATIVE
    assert "lacks the derivative" in diagnose(dy, dy * slope, derivative=slope).message
    assert "twice" in diagnose(dy * slope**2, dy * slope, derivative=slope).message
    assert "just dy" in diagnose(dy, dy * slope, terms={"dy": dy}).message
    assert "ReLU" in diagnose(dy, dy * (a > 0)).message
    assert "which is 1 for those" in diagnose(dy, dy * np.where(a > 0, 1, np.exp(a))).message


def test_a_square_dense_layer(rng: np.random.Generator) -> None:
    x, W, dy = rng.normal(size=(I, I)), rng.normal(size=(I, I)), rng.normal(size=(I, I))
    found = diagnose(dy @ W, dy @ W.T, terms={"x": x, "W": W, "dy": dy})
    assert found.message == "it is dy @ W and should be dy @ W.T"
    assert diagnose(dy.sum(axis=1), dy.sum(axis=0)).kind is Kind.WRONG_AXIS
    pair = (dy @ W.T, x.T @ dy)
    swapped = diagnose(pair[::-1], pair, names=("dx", "dW"))
    assert swapped.kind is Kind.SWAPPED
    assert swapped.message == "dx and dW have each other's gradient: swap them"
    assert not swapped.parts["dW"].correct


@pytest.mark.parametrize("repeats", [True, False])
def test_rows_of_an_embedding(rng: np.random.Generator, repeats: bool) -> None:
    ids = rng.integers(N, size=B) if repeats else rng.permutation(N)
    g = rng.normal(size=(len(ids), I))
    reference = np.zeros((N, I))
    np.add.at(reference, ids, g)
    lost = np.zeros((N, I))
    lost[ids] += g
    found = diagnose(lost, reference, ids=ids)
    assert found.kind is (Kind.DUPLICATES if repeats else Kind.CORRECT)
    if repeats:
        assert "np.add.at" in found.message
        assert not diagnose(lost, reference).correct


class RNN:
    """h_t = tanh(x_t W + h_{t−1} U), by hand, with the mistakes of every first attempt."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.x, self.W = rng.normal(size=(T, 4, I)), rng.normal(size=(I, O))
        self.U, self.dh = rng.normal(size=(O, O)) / 2, rng.normal(size=(T, 4, O))

    def forward(self) -> Array:
        h = [np.zeros((4, O))]
        for x_t in self.x:
            h.append(np.tanh(x_t @ self.W + h[-1] @ self.U))
        return np.array(h)

    def loss(self) -> float:
        return float((self.dh * self.forward()[1:]).sum())

    def backward(self, mistake: str = "") -> tuple[Array, Array]:
        h = self.forward()
        dx, dW, later = np.zeros_like(self.x), np.zeros_like(self.W), np.zeros((4, O))
        for t in reversed(range(T)):
            da = (self.dh[t] + later) * (1 - h[t + 1] ** 2)
            dx[T - 1 - t if mistake == "reversed" else t] = da @ self.W.T
            dW = self.x[t].T @ da + (0 if mistake == "=" else dW)
            later = 0 * later if mistake == "truncated" else da @ self.U.T
            if mistake == "one step":
                break
        return dx, dW


@pytest.mark.parametrize(
    ("mistake", "kind"),
    [
        ("", Kind.CORRECT),
        ("truncated", Kind.ONLY_LAST),
        ("one step", Kind.ONLY_LAST),
        ("reversed", Kind.REVERSED),
    ],
)
def test_back_propagation_through_time(rng: np.random.Generator, mistake: str, kind: Kind) -> None:
    rnn = RNN(rng)
    found = diagnose(rnn.backward(mistake)[0], numeric(rnn.loss, rnn.x))
    assert found.kind is kind
    if mistake:
        assert "time" in found.message


def test_a_sum_over_time_that_is_overwritten(rng: np.random.Generator) -> None:
    rnn = RNN(rng)
    h, later, steps = rnn.forward(), np.zeros((4, O)), []
    for t in reversed(range(T)):
        da = (rnn.dh[t] + later) * (1 - h[t + 1] ** 2)
        later = da @ rnn.U.T
        steps.append(rnn.x[t].T @ da)
    each, reference = np.array(steps[::-1]), numeric(rnn.loss, rnn.W)
    found = diagnose(rnn.backward("=")[1], reference, summands=each, time_axis=0)
    assert found.kind is Kind.ONLY_FIRST, "the loop runs backwards"
    assert "time step" in found.message


@pytest.fixture
def g(rng: np.random.Generator) -> Array:
    return rng.normal(size=(4, 6, 9))


def swapped_gates(g: Array) -> Array:
    return g[..., [3, 4, 5, 0, 1, 2, 6, 7, 8]]


def put(g: Array, at: Any, value: Any) -> Array:
    g = g.copy()
    g[at] = value
    return g


@pytest.mark.parametrize(
    ("mine", "kind", "part"),
    [
        (lambda g: None, Kind.MISSING, "no gradient"),
        (lambda g: 0 * g, Kind.ZERO, "every entry is zero"),
        (lambda g: put(g, (1, 2, 3), np.nan), Kind.NOT_FINITE, "the first at [1, 2, 3]"),
        (lambda g: put(g, (0, 0, 0), np.inf), Kind.NOT_FINITE, "infinite"),
        (lambda g: 2 * g, Kind.TWICE, "accumulated twice"),
        (lambda g: g / 2, Kind.HALF, "½"),
        (lambda g: g / 0.8, Kind.FACTOR, "1/0.8: the scale of inverted dropout"),
        (lambda g: g / 1.0507009873554805, Kind.FACTOR, "SELU's scale"),
        (lambda g: g * 20, Kind.FACTOR, "2 times the batch size"),
        (lambda g: g * 7, Kind.FACTOR, "7 is the size K"),
        (lambda g: g * 9, Kind.FACTOR, "length of axis 2"),
        (lambda g: g / g.size, Kind.FACTOR, "the number of entries"),
        (lambda g: 5 * g / np.linalg.norm(g), Kind.LENGTH, "exactly 5"),
        (lambda g: g * np.arange(1, 7)[:, None], Kind.LENGTH, "along axis 1"),
        (lambda g: np.roll(g, 1, axis=0), Kind.SHIFTED, "one step too late"),
        (lambda g: g[[2, 0, 3, 1]], Kind.PERMUTED, "hold what belongs to 2, 0, 3 and 1"),
        (lambda g: np.abs(g), Kind.SIGN, "all are positive"),
        (swapped_gates, Kind.BLOCKS_SWAPPED, "z, r and n"),
        (lambda g: put(g, (..., slice(3, 6)), 0), Kind.BLOCK, "block z of the 3"),
        (lambda g: put(g, (slice(None), 2), -g[:, 2]), Kind.PARTLY, "slice 2 is of the wrong sign"),
        (lambda g: put(g, (slice(1, None),), 9), Kind.ONLY_FIRST, "first time step"),
        (lambda g: -3 * g[::-1], Kind.REVERSED, "time (axis 0) is reversed"),
        (lambda g: g + g.mean(axis=1, keepdims=True), Kind.TERM, "constant along axis 1"),
        (lambda g: g.astype(np.float32) * np.float32(1 + 1e-7), Kind.CORRECT, "correct"),
        (lambda g: g.sum(axis=0), Kind.WRONG_AXIS, "summed over axis 0"),
        (lambda g: g[-1], Kind.ONLY_LAST, "last slice along axis 0"),
    ],
)
def test_what_is_said(g: Array, mine: Any, kind: Kind, part: str) -> None:
    context: dict[str, Any] = {
        "batch_size": 10,
        "sizes": {"K": 7, "M": 3},
        "gates": ("r", "z", "n"),
    }
    found = diagnose(mine(g), g, **context)
    assert found.kind is kind, found
    assert part in found.message


def test_what_was_there_before(rng: np.random.Generator) -> None:
    g, before = rng.normal(size=(I, O)), rng.normal(size=(I, O))
    found = diagnose(g + before, g, previous=before)
    assert found.kind is Kind.ACCUMULATED
    assert "clear the gradients" in found.message
    assert diagnose(g + before, g, previous=np.zeros((I, O))).kind is not Kind.ACCUMULATED


def test_signs_here_and_there(rng: np.random.Generator) -> None:
    g, turned = rng.normal(size=(B, O)), rng.random((B, O)) < 0.4
    found = diagnose(np.where(turned, -g, g), g)
    assert found.kind is Kind.SIGN
    assert f"{turned.sum()} of {g.size} have the wrong sign" in found.message


def test_two_mistakes_at_once(rng: np.random.Generator) -> None:
    g = rng.normal(size=(I, I))
    found = diagnose(-g.T, g)
    assert found.kind is Kind.TRANSPOSED
    assert found.message.endswith("; besides, every entry is of the wrong sign")


def test_single_precision_is_no_mistake(rng: np.random.Generator) -> None:
    g = rng.normal(size=(B, O))
    noisy = g * (1 + 5e-6 * rng.normal(size=g.shape))
    for mine in (noisy, noisy.astype(np.float32), noisy.astype(np.float32).astype(np.float64)):
        found = diagnose(mine, g)
        assert found.kind is Kind.FLOAT32
        assert found.correct
        assert "compute in float64" in found.message
    assert diagnose(g * 1.00001, g).kind is Kind.FACTOR, "no rounding is the same everywhere"
    assert diagnose(put(g, (3, 2), g[3, 2] + 1e-5), g).kind is Kind.PARTLY, "nor in one place only"
    assert diagnose(g, g * (1 + 1e-3 * rng.normal(size=g.shape))).kind is Kind.TERM


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (2,), (2, 2), (0, 3), (3, 1), (1, 2, 1)])
def test_small_arrays(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    for _ in range(50):
        g = rng.normal(size=shape)
        assert diagnose(g + 1e-9 * rng.normal(size=shape), g).kind is Kind.CORRECT
        assert diagnose(0 * g, 0 * g).kind is Kind.CORRECT
        if g.size:
            assert diagnose(-g, g).kind is Kind.SIGN
            assert not diagnose(rng.normal(size=shape), g).correct


def test_several_gradients(rng: np.random.Generator) -> None:
    W, b = rng.normal(size=(I, O)), rng.normal(size=O)
    right = {"W": W, "b": b}
    assert diagnose({"W": W, "b": b.astype(np.float32)}, right).correct
    assert diagnose({"W": 2 * W, "b": 2 * b}, right).message.startswith("in all 2 gradients: every")
    found = diagnose({"W": -W}, right)
    assert found.kind is Kind.SIGN
    assert found.message.startswith("W: every entry has the wrong sign")
    assert found.parts["b"].kind is Kind.MISSING
    assert diagnose([W, 3 * b], [W, b]).message.startswith("gradient 1: ")
    with pytest.raises(TypeError, match="dict of gradients"):
        diagnose((W, b), right)
    with pytest.raises(TypeError, match="2 gradients"):
        diagnose((W,), (W, b))


def test_the_report_of_a_check_says_it(rng: np.random.Generator) -> None:
    x, W = rng.normal(size=(B, 3)), rng.normal(size=(3, 3))

    def matmul(x: Array, W: Array) -> tuple[Array, Any]:
        return x @ W, lambda dy: (dy @ W, x.T @ dy)

    report = check_gradients(matmul, x, W)
    wrong, right = report.rows
    assert wrong.diagnosis is not None
    assert wrong.diagnosis.kind is Kind.TRANSPOSED
    assert right.diagnosis is None
    assert "<- wrong: transposed" in str(report)
    assert "\n  x: it is dy @ W and should be dy @ W.T" in str(report)
    assert right.gradients is not None
    np.testing.assert_allclose(*right.gradients, rtol=1e-6, atol=1e-8)


def test_the_report_knows_ids_batch_and_branches(rng: np.random.Generator) -> None:
    ids = np.array([0, 2, 2, 1, 0, 4])

    def rows(E: Array, ids: Array) -> tuple[Array, Any]:
        def backward(dy: Array) -> tuple[Array, None]:
            dE = np.zeros_like(E)
            dE[ids] += dy
            return dE, None

        return E[ids], backward

    [row] = check_gradients(rows, rng.normal(size=(5, 3)), ids).rows
    assert row.diagnosis is not None
    assert row.diagnosis.kind is Kind.DUPLICATES

    def selu_as_on_the_slide(a: Array) -> tuple[Array, Any]:
        scale, alpha = 1.0507009873554805, 1.6732632423543772
        y = scale * np.where(a > 0, a, alpha * np.expm1(a))
        return y, lambda dy: dy * scale * np.where(a > 0, 1, alpha * np.expm1(a))

    [row] = check_gradients(selu_as_on_the_slide, rng.normal(size=(6, 5))).rows
    assert row.diagnosis is not None
    assert row.diagnosis.kind is Kind.BRANCH
    assert "the branch for a < 0" in row.diagnosis.message

    def mean_square(y: Array) -> tuple[Array, Any]:
        return np.asarray((y**2).sum() / len(y)), lambda dloss=1.0: 2 * y * dloss

    [row] = check_gradients(mean_square, rng.normal(size=(6, 5))).rows
    assert row.diagnosis is not None
    assert row.diagnosis.kind is Kind.BATCH_SIZE
