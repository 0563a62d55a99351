"""Pictures of the gradient checker: what is in them."""

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from nnlib.array import Array
from nnlib.check import check_gradients
from nnlib.check.cases import scrambled
from nnlib.check.figures import STEPS, error_histogram, error_map, gradient_norms, step_curve
from nnlib.check.steps import step_errors
from nnlib.functional.activations import tanh
from nnlib.layers import Dense, Sequential


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def network(rng: np.random.Generator) -> Sequential:
    return scrambled(Sequential(Dense(5, 8, rng=rng), tanh, Dense(8, 4, rng=rng)), rng)


def pixels(figure: Figure) -> Array:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    return imread(file)


def texts(figure: Figure) -> str:
    return " | ".join(text.get_text() for ax in figure.axes for text in ax.texts)


def curves(figure: Figure) -> dict[str, Array]:
    """Label → the errors of each curve."""
    lines = figure.axes[0].lines
    return {
        str(line.get_label()).split(":")[0]: line.get_ydata()
        for line in lines
        if len(line.get_xdata()) > 1
    }


def test_step_curve_is_a_v(network: Sequential, rng: np.random.Generator) -> None:
    before = [p.value.copy() for p in network.parameters()]
    figure = step_curve(network, rng.normal(size=(6, 5)))
    found = curves(figure)
    assert set(found) == {
        f"{how}, {dtype}" for how in ("central", "forward") for dtype in ("float64", "float32")
    }
    central, forward = found["central, float64"], found["forward, float64"]
    best = STEPS[np.argmin(central)]
    assert 1e-6 < best < 1e-4
    assert central.min() < 1e-9
    assert central[0] > 1e-5, "rounding"
    assert central[-1] > 1e-3, "truncation"
    assert STEPS[np.argmin(forward)] < best / 10
    assert forward.min() > 10 * central.min()
    single = found["central, float32"]
    assert STEPS[np.argmin(single)] > 10 * best
    assert 1e-7 < single.min() < 1e-2
    assert single[0] == pytest.approx(1), "x + ε v = x"
    assert "slope +2.0" in texts(figure)
    assert "slope +" in texts(figure).replace("slope +2", "")
    assert "slope −" in texts(figure)
    for p, value in zip(network.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.value, value)
        assert p.value.dtype == np.float64


def test_step_errors_of_a_cube() -> None:
    """L''' is known: the truncation of x³ along v is ε² Σ dy v³, of central differences."""
    x, steps = np.array([0.7]), np.array([1e-3, 1e-2, 1e-1])

    def cube(x: Array) -> tuple[Array, Any]:
        return x**3, lambda dy: 3 * x**2 * dy

    found = step_errors(cube, [x], (), seed=0, dtype=np.float64, steps=steps)
    np.testing.assert_allclose(found["central"], steps**2 / (3 * 0.49), rtol=1e-5)
    sign = np.sign(np.random.default_rng(0).standard_normal())  # of v, which is 1 or −1
    expected = np.abs(3 * 0.7 * sign * steps + steps**2) / (3 * 0.49)
    np.testing.assert_allclose(found["forward"], expected, rtol=1e-5)


def test_histogram_shows_every_array_and_what_is_wrong(rng: np.random.Generator) -> None:
    def f(a: Array, b: Array, c: Array) -> tuple[Array, Any]:
        return a * b * c, lambda dy: (2 * dy * b * c, dy * a * c, None)

    report = check_gradients(f, *(rng.normal(size=(3, 4)) for _ in range(3)))
    figure = error_histogram(report)
    assert [ax.get_ylabel().split("\n")[0] for ax in figure.axes] == ["a", "b", "c"]
    for ax in figure.axes:
        assert sum(patch.get_height() for patch in ax.patches) == 12
    lefts = [[p.get_x() for p in ax.patches if p.get_height()] for ax in figure.axes]
    assert min(lefts[0]) > 1e-5
    assert max(lefts[1]) < 1e-7
    assert "twice" in texts(figure)
    assert "tolerance 1e-06" in texts(figure)
    assert pixels(figure).std() > 0.05


def test_histogram_of_nothing_and_of_nan(rng: np.random.Generator) -> None:
    x = rng.normal(size=4)
    nan = error_histogram(check_gradients(lambda x: (x, lambda dy: dy * np.nan), x))
    assert sum(patch.get_height() for patch in nan.axes[0].patches) == 4
    pixels(nan)
    shape = check_gradients(lambda x: (x, lambda dy: dy[:2]), x)
    pixels(error_histogram(shape))


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (2, 30), (4, 3, 5)])
def test_map_shows_both_and_their_difference(
    rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    numeric = rng.normal(size=shape)
    figure = error_map(2 * numeric, numeric)
    images = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(images) == 3
    rows = np.atleast_2d(numeric).reshape(-1, shape[-1] if shape else 1)
    for image, expected in zip(images, (2 * rows, rows, np.abs(rows)), strict=True):
        np.testing.assert_allclose(image, expected)
    assert "2 times too large" in figure.get_suptitle()
    lines = len(figure.axes[2].lines)
    assert lines == (shape[0] - 1 if len(shape) > 2 else 0)
    pixels(figure)


def test_map_of_equal_zero_and_unequal_shapes(rng: np.random.Generator) -> None:
    g = rng.normal(size=(3, 4))
    figure = error_map(g, g)
    assert figure.get_suptitle() == "correct"
    pixels(figure)
    pixels(error_map(0 * g, 0 * g, title="zeros"))
    with pytest.raises(ValueError, match="one shape"):
        error_map(g, g.T)


def test_gradient_norms_of_one_network_and_of_several() -> None:
    layers = {str(i + 1): 0.25 ** (5 - i) for i in range(6)}
    figure = gradient_norms({"sigmoid": layers, "ReLU": dict.fromkeys(layers, 1.0)})
    [ax] = figure.axes
    assert ax.get_yscale() == "log"
    assert [t.get_text() for t in ax.get_xticklabels()] == list(layers)
    assert ax.lines[0].get_ydata().tolist() == list(layers.values())
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels == ["sigmoid  (× 0.25 a layer)", "ReLU  (× 1 a layer)"]
    single = gradient_norms({"W1": 0.0, "W2": 0.1, "W3": 1.0})
    assert texts(single) == "0"
    assert single.axes[0].lines[0].get_ydata().tolist() == [0.01, 0.1, 1.0]
    pixels(single)


def test_no_display_is_needed() -> None:
    program = (
        "import sys; from nnlib.check.figures import gradient_norms; "
        "assert 'matplotlib' not in sys.modules; gradient_norms({'W': 1.0}); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
