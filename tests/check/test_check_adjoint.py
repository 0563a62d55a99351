"""The adjoint check: right gradients pass, one wrong element in many fails."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.check import check_adjoint
from nnlib.layers import GRU, Dense, Embedding

RNG = np.random.default_rng(5)


def test_layers_pass() -> None:
    gru = GRU(3, 4, rng=RNG)
    report = check_adjoint(gru, RNG.standard_normal((5, 2, 3)), RNG.standard_normal((2, 4)))
    assert report.passed, report
    assert [row.name for row in report.rows] == ["x", "h0", "cell.W", "cell.U", "cell.b"]
    assert check_adjoint(Embedding(5, 2, rng=RNG), np.array([[1, 1], [4, 0]])).passed


def test_one_wrong_element_of_thousands_fails() -> None:
    dense = Dense(60, 80, rng=RNG)

    def f(x: Array) -> tuple[Array, Backward]:
        y, backward_dense = dense(x)

        def backward(dy: Array) -> Array:
            dx = backward_dense(dy)
            assert dense.W.grad is not None
            dense.W.grad[17, 3] *= 1.01
            return dx

        return y, backward

    report = check_adjoint(f, RNG.standard_normal((50, 60)), params=dense)
    assert {row.name for row in report.rows if row.error > 1e-6} == {"W"}


def test_missing_and_misshapen_gradients_fail() -> None:
    dense = Dense(2, 3, rng=RNG)
    x = RNG.standard_normal((3, 2))
    report = check_adjoint(lambda x: (x @ dense.W.value, lambda dy: 0 * x), x, params=dense)
    rows = {row.name: row for row in report.rows}
    assert rows["W"].note == "no gradient"
    assert rows["W"].error > 0.9
    assert rows["x"].error > 0.9
    assert rows["b"].error == 0
    report = check_adjoint(lambda x: (2 * x, lambda dy: 2 * dy.T), x)
    assert "gradient has shape (2, 3)" in str(report)
    assert not report.passed


def test_parameters_are_left_as_they_were() -> None:
    dense = Dense(2, 3, rng=RNG)
    value, before = dense.W.value, dense.W.value.copy()
    check_adjoint(dense, RNG.standard_normal((3, 2)))
    assert dense.W.value is value
    np.testing.assert_array_equal(value, before)
    assert dense.W.grad is None
