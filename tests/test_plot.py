"""Figures: what is in them, and that they need no display."""

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from nnlib import plot


def pixels(figure: Figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    return imread(file)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


PANELS = {
    "recall@20": {"Popularity": (0.157, 0.004), "GRU4Rec": (0.441, 0.005)},
    "MRR@20": {"Popularity": (0.039, 0.001), "GRU4Rec": (0.113, 0.002)},
}


def test_learning_curve_draws_the_numbers():
    losses, scores = [5.0, 4.6, 4.5], [0.38, 0.42, 0.44]
    figure = plot.learning_curve(
        losses, scores, stderr=[0.01] * 3, references={"S-KNN": 0.383, "Bayes ceiling": 0.514}
    )
    left, right = figure.axes
    assert left.lines[0].get_ydata().tolist() == losses
    assert right.lines[0].get_xydata().tolist() == [[1, 0.38], [2, 0.42], [3, 0.44]]
    assert [line.get_ydata()[0] for line in right.lines[1:]] == [0.383, 0.514]
    assert texts(figure) == ["S-KNN .383", "Bayes ceiling .514", ".440"]
    low, high = right.get_ylim()
    assert low < 0.37
    assert high > 0.514
    assert all(ax.get_xlabel() == "epoch" for ax in figure.axes)


def test_comparison_draws_the_numbers_and_the_ceiling():
    figure = plot.comparison(
        PANELS, ceilings={"recall@20": 0.514, "MRR@20": 0.151}, highlight="GRU4Rec"
    )
    for ax, (metric, values) in zip(figure.axes, PANELS.items(), strict=True):
        assert ax.get_xlabel() == metric
        assert [bar.get_width() for bar in ax.patches] == [value for value, _ in values.values()]
        assert ax.get_xlim()[1] > {"recall@20": 0.514, "MRR@20": 0.151}[metric]
    assert texts(figure)[:3] == [".157", ".441", "Bayes ceiling .514"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["Popularity", "GRU4Rec"]
    top, bottom = figure.axes[0].get_ylim()[::-1]
    assert top < bottom, "the first model is on top"


@pytest.mark.parametrize(
    "figure",
    [
        plot.learning_curve([1.0], [0.5]),
        plot.learning_curve(list(range(40, 0, -1)), np.linspace(0.1, 0.4, 40).tolist()),
        plot.comparison(PANELS),
        plot.comparison({"recall@20": {"one": (0.5, 0.0)}}, title="one bar"),
    ],
    ids=["one epoch", "40 epochs", "two panels", "one bar"],
)
def test_figures_are_not_empty_and_wide_enough_for_a_readme(figure):
    image = pixels(figure)
    assert image.shape[1] > 1200
    assert 0.01 < (image[..., :3] < 0.9).any(axis=2).mean() < 0.6


def test_more_than_ten_epochs_have_ten_ticks_at_most():
    figure = plot.learning_curve([1.0] * 37, [0.5] * 37)
    assert len(figure.axes[0].get_xticks()) <= 10


def test_no_pyplot_and_no_global_state():
    code = (
        "import sys; from nnlib import plot; assert 'matplotlib' not in sys.modules;"
        "plot.comparison({'recall@20': {'a': (0.1, 0.01)}}).savefig(sys.argv[1], format='png');"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, "/dev/null"], check=True)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        plot.learning_curve([1.0, 0.9], [0.4, 0.5], stderr=[0.1])
