"""Each layer against a closed form or a loop, and what its constructor refuses."""

from typing import Any

import numpy as np
import pytest

from nnlib.functional.activations import relu, tanh
from nnlib.layers import (
    GRU,
    Dense,
    Dropout,
    Embedding,
    GRUCell,
    Residual,
    Scan,
    Sequential,
    concat,
    product,
)

RNG = np.random.default_rng(11)


def test_dense_is_a_sum_over_inputs() -> None:
    dense = Dense(3, 2, rng=RNG)
    dense.b.value[:] = [5, -5]
    x = RNG.standard_normal((2, 4, 3)).astype(np.float32)
    y, backward = dense(x)
    for at in np.ndindex(2, 4):
        for j in range(2):
            expected = sum(x[at][i] * dense.W.value[i, j] for i in range(3)) + dense.b.value[j]
            assert y[at][j] == pytest.approx(expected, rel=1e-5)
    dy = np.ones_like(y)
    dx = backward(dy)
    np.testing.assert_allclose(dx[1, 2], dense.W.value.sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(dense.b.grad, [8, 8])
    np.testing.assert_allclose(dense.W.grad[:, 0], x.sum(axis=(0, 1)), rtol=1e-5)


def test_dense_without_bias_is_linear() -> None:
    dense = Dense(3, 2, rng=RNG, bias=False)
    assert [name for name, _ in dense.named_parameters()] == ["W"]
    np.testing.assert_array_equal(dense(np.zeros((1, 3), np.float32))[0], [[0, 0]])


def test_embedding_is_a_product_with_one_hot_rows() -> None:
    embedding = Embedding(5, 3, rng=RNG)
    dense = Dense(5, 3, rng=RNG, bias=False)
    dense.W.value = embedding.E.value
    ids = np.array([[4, 0, 4], [2, 2, 4]])
    y, backward = embedding(ids)
    y_hot, backward_hot = dense(np.eye(5, dtype=np.float32)[ids])
    np.testing.assert_array_equal(y, y_hot)
    dy = RNG.standard_normal(y.shape).astype(np.float32)
    assert backward(dy) is None
    backward_hot(dy)
    np.testing.assert_allclose(embedding.E.dense_grad(), dense.W.grad, atol=1e-6)
    rows = embedding.E.row_grad().ids
    assert embedding.E.grad is None
    assert rows.tolist() == [0, 2, 4]


def test_embedding_keeps_no_gradient_of_its_reader() -> None:
    embedding = Embedding(5, 3, rng=RNG)
    y, backward = embedding(np.array([1, 1]))
    dy = np.ones_like(y)
    backward(dy)
    dy[:] = 9
    np.testing.assert_array_equal(embedding.E.dense_grad()[1], [2, 2, 2])


def test_dropout_statistics() -> None:
    x = np.full((400, 500), 3.0, np.float32)
    for p in (0.2, 0.5):
        y, backward = Dropout(p)(x, rng=np.random.default_rng(0))
        kept = y != 0
        # 200,000 draws: the standard deviation of the mean of `kept` is below 0.0012
        assert kept.mean() == pytest.approx(1 - p, abs=0.005)
        np.testing.assert_allclose(y[kept], 3 / (1 - p), rtol=1e-6)
        assert y.mean() == pytest.approx(3, rel=0.01)  # E[y] = x
        assert (y * y).mean() == pytest.approx(9 / (1 - p), rel=0.01)  # E[y²] = x² / (1 − p)
        assert kept.mean(axis=0).std() == pytest.approx(np.sqrt(p * (1 - p) / 400), rel=0.1)
        np.testing.assert_array_equal(backward(x), y)


def test_dropout_draws_anew_and_reproducibly() -> None:
    x = np.ones((10, 20), np.float32)
    rng = np.random.default_rng(0)
    first, _ = Dropout(0.5)(x, rng=rng)
    second, _ = Dropout(0.5)(x, rng=rng)
    again, _ = Dropout(0.5)(x, rng=np.random.default_rng(0))
    double, _ = Dropout(0.5)(x.astype(np.float64), rng=np.random.default_rng(0))
    assert (first != second).any()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, double)
    assert double.dtype == np.float64


@pytest.mark.parametrize(("p", "rng"), [(0.0, np.random.default_rng(0)), (0.5, None)])
def test_dropout_without_noise_is_the_identity(p: float, rng: Any) -> None:
    x = RNG.standard_normal((3, 4))
    y, backward = Dropout(p)(x, rng=rng)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(backward(2 * x), 2 * x)


def test_sequential_is_composition() -> None:
    f, g = Dense(3, 4, rng=RNG), Dense(4, 2, rng=RNG)
    x, dy = RNG.standard_normal((5, 3)), RNG.standard_normal((5, 2))
    y, backward = Sequential(f, tanh, g)(x)
    h, back_f = f(x)
    t, back_tanh = tanh(h)
    expected, back_g = g(t)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(backward(dy), back_f(back_tanh(back_g(dy))))


def test_sequential_gives_its_generator_to_layers_only() -> None:
    network = Sequential(Dropout(0.5), relu, Sequential(Dropout(0.5)))
    x = np.ones((50, 50))
    y, _ = network(x, rng=np.random.default_rng(0))
    assert set(np.unique(y)) == {0.0, 4.0}
    np.testing.assert_array_equal(network(x)[0], x)


def test_residual_of_a_layer_of_zeros_is_the_identity() -> None:
    dense = Dense(3, 3, rng=RNG, init=lambda rng, shape: np.zeros(shape, np.float32))
    x = RNG.standard_normal((2, 3))
    y, backward = Residual(dense)(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(backward(2 * x), 2 * x)
    y, backward = Residual(relu)(x)
    np.testing.assert_array_equal(y, np.where(x > 0, 2 * x, x))
    np.testing.assert_array_equal(backward(x), np.where(x > 0, 2 * x, x))


def test_residual_passes_noise_on() -> None:
    y, _ = Residual(Dropout(0.5))(np.ones((50, 50)), rng=np.random.default_rng(0))
    assert set(np.unique(y)) == {1.0, 3.0}


def test_concat_joins_and_cuts() -> None:
    a, b, c = (RNG.standard_normal((2, n)) for n in (1, 3, 2))
    y, backward = concat(a, b, c)
    np.testing.assert_array_equal(y, np.hstack([a, b, c]))
    for x, dx in zip((a, b, c), backward(y), strict=True):
        np.testing.assert_array_equal(dx, x)


def test_product_gives_each_the_others_zeros_included() -> None:
    a, b, c = np.array([[2.0, 0]]), np.array([[3.0, 5]]), np.array([[7.0, 0]])
    y, backward = product(a, b, c)
    np.testing.assert_array_equal(y, [[42, 0]])
    da, db, dc = backward(np.array([[2.0, 3]]))
    np.testing.assert_array_equal(da, [[42, 0]])
    np.testing.assert_array_equal(db, [[28, 0]])
    np.testing.assert_array_equal(dc, [[12, 0]])
    x = RNG.standard_normal((2, 3))
    np.testing.assert_allclose(sum(product(x, x)[1](np.ones((2, 3)))), 2 * x)  # of x²


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0, 2, rng=RNG), "n_in=0: it must be at least 1"),
        (lambda: Dense(2, -1, rng=RNG), "n_out=-1"),
        (lambda: Embedding(0, 2, rng=RNG), "n_rows=0"),
        (lambda: Embedding(2, 0, rng=RNG), "n_factors=0"),
        (lambda: Dropout(1.0), "p=1.0"),
        (lambda: Dropout(-0.1), "p=-0.1"),
        (lambda: Dropout(float("nan")), "p=nan"),
        (lambda: GRUCell(0, 2, rng=RNG), "n_in=0"),
        (lambda: GRUCell(2, 0, rng=RNG), "n_hidden=0"),
        (lambda: GRU(2, 2, rng=RNG, reset="both"), "reset='both': it must be 'before' or 'after'"),
        (lambda: Sequential(), "at least one"),
    ],
)
def test_constructors_refuse_impossible_values(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("step", [None, 3, Dense, np.ones(2)])
def test_what_cannot_be_called_is_no_step(step: Any) -> None:
    for make in (lambda: Sequential(relu, step), lambda: Residual(step), lambda: Scan(step)):
        with pytest.raises(TypeError, match="is no step"):
            make()
