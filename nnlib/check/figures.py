"""Pictures of gradients: what step a numeric one needs, how wrong one is and where, how large.

Every function returns a matplotlib Figure and shows nothing, as those of `nnlib.plot` do: write it
with `figure.savefig("steps.png")`, or leave it as the last line of a notebook cell.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlib.array import Array, to_host
from nnlib.check.diagnose import diagnose
from nnlib.check.report import GradientReport
from nnlib.check.steps import step_errors
from nnlib.check.subject import SEED, Function, Parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
INK, GREY, PALE = "#222222", "#666666", "#B5BCC4"
SERIES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (INK, "v"), (GREY, "P"))

WIDTH = 8.4  # inches; at 150 dots per inch wide enough for a dense screen
DPI = 150

STEPS = np.logspace(-13, 0, 66)  # ε from 10⁻¹³ to 1, five a decade
FLOOR = 1e-17  # errors below are drawn here: nothing smaller can be told from 0


def step_curve(
    f: Function,
    *inputs: Array,
    params: Parameters = (),
    rng: np.random.Generator | None = None,
    steps: Array = STEPS,
    title: str = "",
) -> "Figure":
    """Error of numeric derivatives against their step ε: a V, with rounding left, truncation right.

        error ≈ ε² |L'''| / 6 + u |L| / ε (central),     ε |L''| / 2 + u |L| / ε (forward)

    along one random direction through all inputs and parameters (`nnlib.check.steps`).  The unit u
    of rounding is 10⁻¹⁶ in float64 and 6·10⁻⁸ in float32, where no step is good enough to check a
    gradient with.  Slopes are measured on the curves of float64, where they are straight.

    Arguments
        f, inputs, params, rng: as for `check_gradients`; the backward, in float64, must be right
        steps: values of ε, growing
    """
    seed = int((np.random.default_rng(SEED) if rng is None else rng).integers(2**31))
    figure = _figure(4.3, title)
    ax: Axes = figure.subplots()
    _plain(ax)
    ax.grid(color=PALE, linewidth=0.5, alpha=0.5)
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("step ε", color=INK)
    ax.set_ylabel("relative error of the derivative", color=INK)
    lowest = 1.0
    for dtype, colour in ((np.float64, BLUE), (np.float32, ORANGE)):
        curves = step_errors(f, inputs, params, seed=seed, dtype=dtype, steps=steps)
        for (name, error), style in zip(curves.items(), ("-", ":"), strict=True):
            error = np.maximum(error, FLOOR)
            lowest = min(lowest, float(error.min()))
            best = int(np.argmin(_smooth(error)))
            label = f"{name}, {np.dtype(dtype).name}: best ε ≈ {steps[best]:.0e}"
            ax.plot(steps, error, color=colour, linestyle=style, linewidth=1.6, label=label)
            ax.plot(steps[best], _smooth(error)[best], "o", color=colour, ms=6, clip_on=False)
            if dtype == np.float64:
                _mark_slope(ax, steps[best:], error[best:], colour, below=name == "central")
                if name == "central":
                    _mark_slope(ax, steps[: best + 1], error[: best + 1], colour, below=True)
            elif name == "central" and (abs(error[:5] - 1) < 1e-6).all():
                ax.text(steps[0], 1.5, " x + ε v = x", color=colour, va="bottom", fontsize=9)
    ax.set_xlim(steps[0], steps[-1])
    ax.set_ylim(max(lowest / 300, FLOOR), 100)
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    return figure


def error_histogram(report: GradientReport, *, title: str = "") -> "Figure":
    """How the errors of every array's coordinates are spread, on a logarithmic axis.

    An error is |analytic − numeric| over the largest entry of its array, as in the report; arrays
    with one beyond the tolerance are orange.  Arrays without two gradients to compare are left out.
    """
    rows = [row for row in report.rows if row.gradients is not None and row.gradients[0].size]
    figure = _figure(1.1 + 0.62 * max(len(rows), 1), title or f"{report.name}: relative errors")
    axes: list[Axes] = list(figure.subplots(max(len(rows), 1), 1, sharex=True, squeeze=False)[:, 0])
    bins = np.logspace(-17, 1, 18 * 4 + 1)
    for ax, row in zip(axes, rows, strict=False):
        errors = _relative(*row.gradients) if row.gradients else np.zeros(0)
        wrong = not row.error <= report.tolerance
        ax.hist(np.clip(errors, FLOOR, 9.9), bins=bins.tolist(), color=ORANGE if wrong else BLUE)
        ax.set_ylabel(
            f"{row.name}\n{row.shape}", rotation=0, ha="right", va="center", color=INK, fontsize=9
        )
        note = f"{len(errors)} numbers, worst {row.error:.0e}"
        if wrong and row.diagnosis is not None:
            note += f" — {row.diagnosis.kind}"
        ax.text(
            0.01, 0.8, note, transform=ax.transAxes, fontsize=8.5, color=ORANGE if wrong else GREY
        )
    for ax in axes:
        _plain(ax)
        ax.spines["left"].set_visible(False)
        ax.set(xscale="log", yticks=[], xlim=(1e-17, 10))
        ax.axvline(report.tolerance, color=INK, linestyle="--", linewidth=1)
        ax.tick_params(axis="x", which="minor", length=0)
        ax.margins(y=0.35)
    axes[0].annotate(
        f"tolerance {report.tolerance:.0e}",
        (report.tolerance, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, -3),
        textcoords="offset points",
        va="top",
        fontsize=8.5,
        color=INK,
    )
    axes[-1].set_xlabel("|analytic − numeric| / largest entry", color=INK)
    return figure


def error_map(analytic: Array, numeric: Array, *, title: str | None = None) -> "Figure":
    """Two gradients of one array, and where they differ: |analytic − numeric|, logarithmic.

    The last axis runs to the right; the others are stacked, with a line where the first moves on.

    Arguments
        title: the sentence of `diagnose` if None
    Raises
        ValueError: the arrays have not the same shape.
    """
    a, n = (np.asarray(to_host(np.asarray(x)), np.float64) for x in (analytic, numeric))
    if a.shape != n.shape:
        raise ValueError(f"shapes {a.shape} and {n.shape}: a map needs two of one shape")
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MaxNLocator

    flat = [np.atleast_2d(x.reshape(-1, x.shape[-1]) if x.ndim else x) for x in (a, n)]
    rows, columns = flat[0].shape
    tall = columns <= 2.5 * rows
    size = min(0.16 * rows, 3.6) if tall else 0.9
    sentence = diagnose(a, n).message if title is None else title
    figure = _figure((max(size, 1.6) + 1.0) if tall else 3 * max(size, 0.28 * rows) + 1.2, sentence)
    axes: list[Axes] = list(figure.subplots(*((1, 3) if tall else (3, 1)), squeeze=False).flat)
    top = float(np.nanmax(np.abs(flat), initial=0.0)) or 1.0
    error = np.maximum(np.abs(flat[0] - flat[1]), FLOOR * top)
    norm = LogNorm(1e-12 * top, top)
    panels: tuple[tuple[str, Array, dict[str, Any]], ...] = (
        ("analytic", flat[0], {"cmap": "RdBu_r", "vmin": -top, "vmax": top}),
        ("numeric", flat[1], {"cmap": "RdBu_r", "vmin": -top, "vmax": top}),
        ("|analytic − numeric|", error, {"cmap": "magma_r", "norm": norm}),
    )
    for ax, (name, values, options) in zip(axes, panels, strict=True):
        image = ax.imshow(values, aspect="auto", interpolation="nearest", **options)
        ax.set_title(name, loc="left", fontsize=9.5, color=INK)
        ax.tick_params(colors=GREY, labelsize=8, length=2)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(8, integer=True))
        if a.ndim < 2:
            ax.set_yticks([])
        for spine in ax.spines.values():
            spine.set_color(PALE)
        if a.ndim > 2:
            for step in range(1, a.shape[0]):
                ax.axhline(step * rows / a.shape[0] - 0.5, color=INK, linewidth=0.6)
        if ax is not axes[0]:
            bar = figure.colorbar(image, ax=ax if ax is axes[2] else axes[:2], pad=0.02, aspect=25)
            bar.outline.set_visible(False)
            bar.ax.tick_params(colors=GREY, labelsize=8, length=2)
    return figure


def gradient_norms(
    norms: Mapping[str, float] | Mapping[str, Mapping[str, float]],
    *,
    ylabel: str = "norm of the gradient",
    title: str = "",
) -> "Figure":
    """The norm of each layer's gradient, on a logarithmic axis, for one network or several.

    Behind each name stands the factor from one layer to the next towards the input, the geometric
    mean over all layers: below 1 gradients vanish, above 1 they explode.

    Arguments
        norms: layer → norm from input to output, or {network: {layer: norm}}
    """
    series: dict[str, dict[str, float]] = {}
    for name, value in norms.items():
        if isinstance(value, Mapping):
            series[name] = dict(value)
        else:
            series.setdefault("", {})[name] = float(value)
    layers = list(dict.fromkeys(layer for values in series.values() for layer in values))
    figure = _figure(3.6, title)
    ax: Axes = figure.subplots()
    _plain(ax)
    ax.grid(axis="y", color=PALE, linewidth=0.5, alpha=0.6)
    ax.set(yscale="log")
    ax.set_ylabel(ylabel, color=INK)
    positive = [x for values in series.values() for x in values.values() if x > 0]
    floor = min(positive, default=1.0) / 10
    for (name, values), (colour, marker) in zip(series.items(), _repeated(SERIES), strict=False):
        at = [layers.index(layer) for layer in values]
        y = np.array([values[layer] for layer in values])
        label = f"{name}  {_per_layer(y)}".strip()
        ax.plot(at, np.maximum(y, floor), color=colour, marker=marker, markersize=5, label=label)
        for i, value in zip(at, y, strict=True):
            if not value > 0:
                ax.plot(i, floor, marker, color=colour, mfc="white", ms=5)
                ax.text(i, floor * 1.3, "0", color=colour, ha="center", va="bottom", fontsize=9)
    crowded = sum(len(layer) + 2 for layer in layers) > 90
    ax.set_xticks(range(len(layers)), layers, rotation=30 if crowded else 0)
    ax.set_xlabel("layer, from input to output", color=INK)
    ax.set_xlim(-0.4, len(layers) - 0.6)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize=9)
    return figure


def _repeated(items: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(items) * 10


def _per_layer(y: Array) -> str:
    if len(y) < 2 or not (y > 0).all():
        return ""
    factor = float((y[0] / y[-1]) ** (1 / (len(y) - 1)))
    return f"(× {factor:.3g} a layer)"


def _relative(analytic: Array, numeric: Array) -> Array:
    """|analytic − numeric| over the largest entry, flat; what is not finite counts as 10."""
    scale = max(float(np.abs(analytic).max()), float(np.abs(numeric).max())) or 1.0
    with np.errstate(invalid="ignore"):
        errors = np.abs(analytic - numeric).ravel() / scale
    return np.where(np.isfinite(errors), errors, 10.0)


def _smooth(error: Array) -> Array:
    """Geometric mean over five neighbours: rounding makes single points look good by chance."""
    logs = np.pad(np.log(error), 2, mode="edge")
    return np.exp(np.convolve(logs, np.ones(5) / 5, mode="valid"))


def _mark_slope(ax: "Axes", steps: Array, error: Array, colour: str, *, below: bool) -> None:
    """Write the slope of the straight part of a branch beside it."""
    inside = (error > 20 * _smooth(error).min()) & (error < 0.1)
    if inside.sum() < 5:
        return
    x, y = np.log10(steps[inside]), np.log10(error[inside])
    slope, offset = np.polyfit(x, y, 1)
    if abs(slope - round(slope)) > 0.15 or not round(slope):
        return
    middle = float(x[len(x) // 3 if slope > 0 else len(x) // 2])
    right = bool(slope > 0) == below
    ax.annotate(
        f"slope {slope:+.2f}".replace("-", "−"),
        (10**middle, 10 ** (slope * middle + offset)),
        xytext=(8 if right else -8, -2 if below else 2),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top" if below else "bottom",
        color=colour,
        fontsize=9,
    )


def _figure(height: float, title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK, wrap=True)
    return figure


def _plain(ax: "Axes") -> None:
    """No box, small grey numbers: the data are to be seen, not the frame."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(PALE)
    ax.tick_params(colors=GREY, labelsize=9, length=3)
    ax.set_axisbelow(True)
