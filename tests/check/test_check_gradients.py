"""The checker itself: what it must accept and, above all, what it must not."""

from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.check import assert_gradients, check_gradients
from nnlib.layer import Layer
from nnlib.layers import Dense, Embedding
from nnlib.parameter import Parameter


@pytest.fixture
def x() -> Array:
    return np.random.default_rng(1).standard_normal((4, 3))


def cube(x: Array, wrong: float = 0.0) -> tuple[Array, Any]:
    return x**3, lambda dy: dy * (3 + wrong) * x**2


class Scale(Layer):
    """y = w x, with a backward that can be told what to do wrong."""

    def __init__(self, mistake: str = "") -> None:
        self.w = Parameter(np.array([0.5, -2.0, 3.0], np.float32))
        self.unused = Parameter(np.ones(2, np.float32))
        self.mistake = mistake

    def __call__(self, x: Array, rng: Any = None) -> tuple[Array, Any]:
        def backward(dy: Array) -> Array:
            if self.mistake != "forgets w":
                self.w.accumulate((x * dy).sum(axis=0))
            if self.mistake == "unused gets one":
                self.unused.accumulate(np.ones_like(self.unused.value))
            return dy * self.w.value

        return x * self.w.value, backward


def test_right_gradient_passes(x: Array) -> None:
    report = check_gradients(cube, x)
    assert report.passed
    assert report.error < 1e-8
    [row] = report.rows
    assert (row.name, row.shape) == ("x", (4, 3))


@pytest.mark.parametrize("wrong", [1e-5, -3.0, -6.0])
def test_slightly_wrong_zero_and_flipped_gradients_fail(x: Array, wrong: float) -> None:
    report = check_gradients(lambda x: cube(x, wrong), x)
    assert not report.passed
    assert report.error == pytest.approx(abs(wrong) / max(3.0, abs(3 + wrong)), rel=1e-3)


def test_the_worst_coordinate_is_named(x: Array) -> None:
    def f(x: Array) -> tuple[Array, Any]:
        def backward(dy: Array) -> Array:
            dx = 2 * dy
            dx[2, 1] = 7
            return dx

        return 2 * x, backward

    report = check_gradients(f, x)
    [row] = report.rows
    assert row.worst == (2, 1)
    assert row.analytic == 7
    assert row.numeric != pytest.approx(7)
    assert "[2, 1]" in str(report)
    assert "FAILED" in str(report)


def test_nan_never_passes(x: Array) -> None:
    report = check_gradients(lambda x: (2 * x, lambda dy: dy * np.nan), x)
    assert not report.passed
    assert np.isnan(report.error)


def test_parameters_of_a_layer_are_found(x: Array) -> None:
    layer = Scale()
    report = check_gradients(layer, x)
    assert report.passed, report
    assert [row.name for row in report.rows] == ["x", "w", "unused"]


def test_parameters_of_a_closure_are_named_by_the_caller(x: Array) -> None:
    layer = Scale()
    f = lambda x: layer(x)
    assert [row.name for row in check_gradients(f, x).rows] == ["x"]
    assert [row.name for row in check_gradients(f, x, params=layer).rows][1:] == ["w", "unused"]
    unnamed = check_gradients(f, x, params=layer.parameters()).rows[1:]
    assert [row.name for row in unnamed] == ["params[0]", "params[1]"]
    one = check_gradients(f, x, params=[("scale", layer.w), layer.w]).rows[1:]
    assert [row.name for row in one] == ["scale"]


def test_a_parameter_without_gradient_is_reported(x: Array) -> None:
    report = check_gradients(Scale("forgets w"), x)
    rows = {row.name: row for row in report.rows}
    assert not report.passed
    assert rows["w"].error == pytest.approx(1.0)
    assert rows["w"].note == "no gradient"
    assert "no gradient" in str(report)
    assert rows["unused"].error == 0  # its numeric gradient is zero too


def test_a_gradient_where_there_is_none_fails(x: Array) -> None:
    report = check_gradients(Scale("unused gets one"), x)
    assert not report.passed
    assert {row.name for row in report.rows if row.error > 1e-6} == {"unused"}


def test_everything_is_left_as_it_was(x: Array) -> None:
    layer = Scale()
    layer.w.accumulate(np.ones(3, np.float32))
    value, grad, before, x_before = layer.w.value, layer.w.grad, layer.w.value.copy(), x.copy()
    check_gradients(layer, x)
    assert layer.w.value is value
    assert layer.w.grad is grad
    np.testing.assert_array_equal(value, before)
    np.testing.assert_array_equal(grad, np.ones(3))
    np.testing.assert_array_equal(x, x_before)


def test_parameters_are_put_back_when_f_raises() -> None:
    layer = Dense(2, 3, rng=np.random.default_rng(0))
    value = layer.W.value
    with pytest.raises(ValueError, match="matmul"):
        check_gradients(layer, np.ones((4, 5)))
    assert layer.W.value is value


def test_integer_input_and_row_gradients() -> None:
    table = Embedding(5, 2, rng=np.random.default_rng(0))
    report = check_gradients(table, np.array([3, 1, 3]))
    assert report.passed, report
    assert [row.name for row in report.rows] == ["E"]

    def drops_repeats(ids: Array) -> tuple[Array, Any]:
        def backward(dy: Array) -> None:
            last = np.unique(ids[::-1], return_index=True)[1]
            table.E.accumulate_rows(ids[::-1][last], dy[::-1][last])

        return table.E.value[ids], backward

    report = check_gradients(drops_repeats, np.array([3, 1, 3]), params=table)
    assert not report.passed
    assert report.rows[0].worst is not None
    assert report.rows[0].worst[0] == 3
    assert check_gradients(drops_repeats, np.array([3, 1, 2]), params=table).passed


def test_tuples_and_scalars(x: Array) -> None:
    def two(a: Array, b: Array) -> tuple[tuple[Array, Array], Any]:
        return (a * b, a.sum()), lambda dp, ds: (dp * b + ds, dp * a)

    assert_gradients(two, x, x[::-1] + 0.3)

    def loss(s: Array) -> tuple[Array, Any]:
        return (s * s).mean(), lambda dloss=1.0: 2 * s * (dloss / s.size)

    assert_gradients(loss, x)
    with pytest.raises(AssertionError, match=r"s +\(4, 3\) .*wrong"):
        assert_gradients(lambda s: (loss(s)[0], lambda dloss=1.0: 2 * s * dloss), x)


def test_swapped_gradients_of_two_inputs_fail(x: Array) -> None:
    f = lambda a, b: (a * b, lambda dy: (dy * a, dy * b))
    assert not check_gradients(f, x, x + 1).passed


def test_gradients_far_below_the_outputs_size_are_compared() -> None:
    """A factor 2 in a gradient of 1e-5 beside an output of size 1 is seen; rounding is not."""
    x = np.array([0.3, -0.4])
    small = lambda x: (1 + 1e-5 * x, lambda dy: 1e-5 * dy)
    assert check_gradients(small, x).passed
    assert not check_gradients(lambda x: (small(x)[0], lambda dy: 2e-5 * dy), x).passed
    shift_free = lambda x: ((x - x.mean()) + (x.mean() - x) + 1e3, lambda dy: 0 * dy)
    assert check_gradients(shift_free, x).passed


def test_a_gradient_of_another_shape_is_no_exception(x: Array) -> None:
    report = check_gradients(lambda x: (2 * x, lambda dy: 2 * dy.T), x)
    assert not report.passed
    assert "gradient has shape (3, 4)" in str(report)


def test_empty_inputs_have_nothing_wrong() -> None:
    assert check_gradients(lambda x: (2 * x, lambda dy: 2 * dy), np.zeros((0, 3))).passed
    assert check_gradients(Dense(3, 2, rng=np.random.default_rng(0)), np.zeros((0, 3))).passed


def test_an_input_that_is_no_array_of_numbers_is_refused() -> None:
    with pytest.raises(TypeError, match="lambda"):
        check_gradients(cube, np.array(["a"]))
