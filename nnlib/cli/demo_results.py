"""What the demo measured: on the terminal, as figures and as JSON."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnlib.cli.terminal import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console
    from rich.table import Table

    from nnlib.metrics.evaluate import Evaluation

METRICS = {"recall@20": "recall@20", "mrr@20": "MRR@20"}  # by the name in print
NETWORK = "GRU4Rec"
CEILING = "Bayes ceiling"


@dataclass
class Results:
    """Filled by `demo` as it goes."""

    seed: int
    settings: dict[str, Any]
    data: dict[str, int]  # counts
    evaluations: "dict[str, Evaluation]" = field(default_factory=dict)  # on the test sessions
    seconds: dict[str, float] = field(default_factory=dict)  # of training and evaluation
    curve: dict[str, Any] = field(default_factory=dict)
    sessions: list[dict[str, Any]] = field(default_factory=list)

    def introduce(self, out: "Console") -> None:
        """What is about to happen."""
        d = self.data
        out.print(
            f"[bold]Which item is clicked next?[/]  Seed {self.seed}\n"
            f"{d['train_sessions']:,} sessions of made-up visitors to learn from "
            f"({d['train_clicks']:,} clicks on {d['items']} items), {d['test_sessions']:,} newer "
            "ones to predict.\nThe generator, a hidden Markov model, is known, and with it the "
            f"best possible prediction: the {CEILING}.\n"
        )

    def show(self, out: "Console", folder: Path) -> None:
        """The table, the sessions and where the files are."""
        n_points = self.evaluations[NETWORK]["n_points"]
        out.print(
            f"[bold]{n_points:,} predictions, all {self.data['items']} items ranked[/] "
            "(± one standard error)"
        )
        out.print(self._table())
        share = self.evaluations[NETWORK]["recall@5"]
        out.print(
            f"\n[bold]Five recommendations of {NETWORK}[/]: the next click is among them in "
            f"{share:.0%} of all cases"
        )
        for session in self.sessions:
            out.print(f"\n{_session_text(session)}")
        files = "learning_curve.png, comparison.png, results.json, model.safetensors"
        out.print(f"\nin {folder}: {files}", soft_wrap=True, markup=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "seed": self.seed,
            "settings": self.settings,
            "data": self.data,
            "models": {
                name: {**result.to_dict(), "seconds": round(self.seconds[name], 2)}
                for name, result in self.evaluations.items()
            },
            "learning_curve": self.curve,
            "sessions": self.sessions,
        }

    def write(self, folder: Path) -> None:
        """Figures and numbers, each whole or not at all."""
        from nnlib.storage import replacing

        figures = {"learning_curve.png": self._curve(), "comparison.png": self._comparison()}
        for name, figure in figures.items():
            with replacing(folder / name) as path:
                figure.savefig(path, format="png")
        with replacing(folder / "results.json") as path:
            path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")

    def _curve(self) -> "Figure":
        from nnlib import plot

        return plot.learning_curve(
            self.curve["losses"],
            self.curve["recall@20"],
            stderr=self.curve["stderr"],
            references=self.curve["others"],
            title=f"GRU4Rec on synthetic clicks: {self.data['validation_sessions']:,} validation "
            f"sessions, ± 1 standard error, seed {self.seed}",
        )

    def _comparison(self) -> "Figure":
        from nnlib import plot

        models = {name: e for name, e in self.evaluations.items() if name != CEILING}
        ceiling = self.evaluations[CEILING]
        return plot.comparison(
            {
                label: {name: (e[key], e.stderr[key]) for name, e in models.items()}
                for key, label in METRICS.items()
            },
            ceilings={label: ceiling[key] for key, label in METRICS.items()},
            ceiling_name=CEILING,
            highlight=NETWORK,
            title=f"Next click on synthetic clicks: {self.data['test_sessions']:,} test sessions, "
            f"± 1 standard error, seed {self.seed}",
        )

    def _table(self) -> "Table":
        from rich.text import Text

        rows = []
        for name, result in self.evaluations.items():
            numbers = [f"{result[key]:.4f} ± {result.stderr[key]:.4f}" for key in METRICS]
            row = [name, *numbers, f"{self.seconds[name]:.2f}"]
            rows.append([Text(cell, "bold" if name == NETWORK else "") for cell in row])
        return table(("", *METRICS.values(), "seconds"), rows)


def _session_text(session: dict[str, Any]) -> str:
    """One session: its clicks, five recommendations, and what came."""
    target = session["next"]
    top = [f"[bold green]{item}[/]" if item == target else str(item) for item, _ in session["top"]]
    verdict = "recommended" if session["rank"] <= len(top) else "missed"
    return (
        f"clicks        {' → '.join(map(str, session['clicks']))}\n"
        f"recommended   {', '.join(top)}\n"
        f"clicked next  {target}, ranked {session['rank']}: {verdict}"
    )
