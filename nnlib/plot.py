"""Figures: the learning curve of a model, and models side by side.

Every function returns a matplotlib Figure and shows nothing: no display, no pyplot, no global
state.  Write it with `figure.savefig("curve.png")`, or leave it as the last line of a notebook
cell.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
INK, GREY, PALE = "#222222", "#666666", "#B5BCC4"
STYLES = (("--", ORANGE), (":", GREEN), ("-.", PURPLE), ((0, (1, 3)), GREY))

WIDTH = 8.4  # inches; at 150 dots per inch wide enough for a README on a dense screen
DPI = 150


def learning_curve(
    losses: Sequence[float],
    scores: Sequence[float],
    *,
    metric: str = "recall@20",
    unit: str = "share of clicks",
    references: Mapping[str, float] | None = None,
    stderr: Sequence[float] | None = None,
    title: str = "",
) -> "Figure":
    """Training loss and validation score after each epoch, side by side.

    Arguments
        losses: mean loss of each epoch, in nats
        scores: value of `metric` after each epoch
        references: other models' values of `metric`, drawn as lines across
        stderr: standard error of each score, drawn as a band of ± 1
    """
    figure = _figure(3.4, title)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))

    _lines(left, "training loss (nats per click)")
    left.plot(_epochs(losses), losses, color=INK, marker="o", markersize=4)

    _lines(right, f"{metric} ({unit})")
    right.plot(_epochs(scores), scores, color=BLUE, marker="o", markersize=4)
    if stderr is not None:
        low = [s - e for s, e in zip(scores, stderr, strict=True)]
        high = [s + e for s, e in zip(scores, stderr, strict=True)]
        right.fill_between(_epochs(scores), low, high, color=BLUE, alpha=0.15, linewidth=0)
    for i, (name, value) in enumerate((references or {}).items()):
        style, colour = STYLES[i % len(STYLES)]
        right.axhline(value, color=colour, linestyle=style)
        _above(right, value, f"{name} {_short(value)}", colour)
    if scores:
        right.annotate(
            _short(scores[-1]),
            (len(scores), scores[-1]),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            color=BLUE,
        )
    for axes, values in ((left, losses), (right, scores)):
        axes.set_xticks(_ticks(len(values)))
        axes.set_xlim(0.7, max(len(values), 1) + 0.3)
    right.margins(y=0.12)
    return figure


def comparison(
    panels: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    ceilings: Mapping[str, float] | None = None,
    ceiling_name: str = "Bayes ceiling",
    highlight: str | None = None,
    title: str = "",
) -> "Figure":
    """Horizontal bars of several models, one panel for each metric.

    Arguments
        panels: metric → {model: (value, standard error)}, models in the order of the first panel
        ceilings: metric → best value that any model can reach, drawn as a line
        highlight: the model whose bar is coloured
    """
    models = list(next(iter(panels.values())))
    figure = _figure(1.3 + 0.32 * len(models), title)
    rows = range(len(models))
    axes: list[Axes] = list(figure.subplots(1, len(panels), squeeze=False)[0])
    for k, (ax, (metric, values)) in enumerate(zip(axes, panels.items(), strict=True)):
        _bars(ax, metric)
        ax.barh(
            rows,
            [values[name][0] for name in models],
            xerr=[values[name][1] for name in models],
            color=[BLUE if name == highlight else PALE for name in models],
            error_kw={"elinewidth": 1, "ecolor": INK, "capsize": 2},
            height=0.68,
        )
        ceiling = (ceilings or {}).get(metric)
        widest = max(sum(values[name]) for name in models)
        right = max(widest, ceiling or 0) * 1.18
        for row, name in enumerate(models):
            value, error = values[name]
            inside = value > 0.14 * right  # else the digits would not fit
            strong = name == highlight
            ax.text(
                0.015 * right if inside else value + error + 0.015 * right,
                row,
                _short(value),
                va="center",
                color="white" if strong and inside else INK,
                fontweight="bold" if strong else "normal",
            )
        if ceiling is not None:
            ax.axvline(ceiling, color=GREEN, linestyle=":", linewidth=1.3, zorder=0)
            ax.text(
                ceiling,
                -0.75,
                f"{ceiling_name} {_short(ceiling)}",
                color=GREEN,
                ha="center",
                va="bottom",
            )
        ax.set_xlim(0, right)
        ax.set_ylim(len(models) - 0.4, -0.7)
        ax.set_yticks(rows, models if k == 0 else [""] * len(models))
    return figure


def _figure(height: float, title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    return figure


def _plain(ax: "Axes") -> None:
    """No box, small grey numbers: the data are to be seen, not the frame."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(PALE)
    ax.tick_params(colors=GREY, labelsize=9, length=3)
    ax.set_axisbelow(True)


def _lines(ax: "Axes", label: str) -> None:
    _plain(ax)
    ax.grid(axis="y", color=PALE, linewidth=0.5, alpha=0.6)
    ax.set_xlabel("epoch", color=INK)
    ax.set_title(label, loc="left", fontsize=9.5, color=INK)


def _bars(ax: "Axes", metric: str) -> None:
    _plain(ax)
    ax.spines["left"].set_visible(False)
    ax.locator_params(axis="x", nbins=6)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_xlabel(metric, color=INK)


def _above(ax: "Axes", value: float, text: str, colour: Any) -> None:
    """A line's name on the line itself, where no legend has to be looked up."""
    ax.annotate(
        text,
        (1, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color=colour,
        fontsize=9,
    )


def _epochs(values: Sequence[float]) -> list[int]:
    return list(range(1, len(values) + 1))


def _ticks(n: int) -> list[int]:
    step = max(1, -(-n // 10))
    return list(range(1, n + 1, step)) or [1]


def _short(value: float) -> str:
    """Three decimals without the zero in front, as the papers print them: .441."""
    return f"{value:.3f}".replace("0.", ".", 1) if 0 <= value < 1 else f"{value:.3g}"
