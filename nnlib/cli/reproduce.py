"""`nnlib reproduce rsc15`: a published experiment on the user's own copy of the data."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnlib.cli.baselines import baselines
from nnlib.cli.published import BEST, PUBLISHED, SOURCES
from nnlib.cli.settings import build_model, check_folder, parse_assignments
from nnlib.cli.terminal import AsJson, Stop, console, print_json, progress_wanted, status, table

if TYPE_CHECKING:
    from rich.console import Console

    from nnlib.data import Interactions
    from nnlib.metrics.evaluate import Evaluation
    from nnlib.models import GRU4Rec, Recommender

FILE = "yoochoose-clicks.dat"
NETWORK = "GRU4Rec"
METRICS = ("recall@20", "mrr@20")

app = typer.Typer(
    name="reproduce",
    help="Published experiments on your copy of the data, the published figures beside yours.",
    no_args_is_help=True,
)


@app.callback()
def experiments() -> None:
    """Published experiments on your copy of the data, the published figures beside yours."""


@app.command()
def rsc15(
    path: Annotated[Path, typer.Argument(help=f"{FILE}, plain or gzip, or its folder.")],
    fraction: Annotated[
        int, typer.Option(help="Train on the newest 1/N of the sessions, as with 64 or 4.")
    ] = 1,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for numbers, checkpoint and model.")
    ] = Path("rsc15"),
    epochs: Annotated[int | None, typer.Option(help="Of GRU4Rec.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of GRU4Rec.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda, for GRU4Rec.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="GRU4Rec's other settings, name=value.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interruption.")] = False,
    as_json: AsJson = False,
) -> None:
    """RSC15 from the clicks of the RecSys Challenge 2015: six baselines and GRU4Rec.

    The file has 33 million clicks; it is prepared as GRU4Rec's authors do, and the sizes are shown
    beside theirs. GRU4Rec has the settings that did best there. On all of the data it takes hours;
    every epoch writes a checkpoint and every model its numbers, so that --resume goes on. Writes
    results.json and model.safetensors.
    """
    from nnlib.data.readers import Rsc15Counts, read_rsc15
    from nnlib.data.split import by_time
    from nnlib.models import GRU4Rec

    if fraction < 1:
        raise Stop(f"--fraction {fraction}: N of the newest 1/N, a whole number of at least 1")
    settings, where = _settings({"epochs": epochs, "seed": seed, "device": device}, assignments)
    network = build_model(GRU4Rec, settings, where)
    assert isinstance(network, GRU4Rec)
    log = path / FILE if path.is_dir() else path
    if not log.is_file():
        raise Stop(f"{log}: no such file; it is part of the data of the RecSys Challenge 2015")
    _prepare(out, resume)

    train, test = read_rsc15(log, report=None)
    counts = Rsc15Counts.of(train, test)
    if fraction > 1:
        train = by_time(train, fraction=1 / fraction)[1]
    results = Results(fraction, counts, _sizes(train, test), network.settings())
    if resume:
        results.take_back(out)
    if not as_json:
        results.introduce(console())
    with status(as_json) as say_what:
        for name, model in baselines().items():
            if name not in results.models:
                say_what(name)
                start = time.perf_counter()
                results.add(name, _measure(model.fit(train), test), start, out)
    if NETWORK not in results.models:
        start = time.perf_counter()
        _train(network, train, out, resume, progress_wanted(as_json))
        results.add(NETWORK, _measure(network, test), start, out)
        _checkpoint(out).unlink(missing_ok=True)
    if as_json:
        print_json(results.to_dict())
    else:
        results.show(console(), out)


@dataclass
class Results:
    """What was measured, filled as it comes; `results.json` always has all of it."""

    fraction: int
    counts: Any  # Rsc15Counts of the whole log
    data: dict[str, int]  # sizes of what is trained and tested on
    settings: dict[str, Any]  # of GRU4Rec
    models: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def comparable(self) -> bool:
        """Whether the published figures are of this data."""
        return bool(self.counts.name == "RSC15") and self.fraction in PUBLISHED

    def add(self, name: str, result: "Evaluation", start: float, folder: Path) -> None:
        from nnlib.storage import replacing

        seconds = round(time.perf_counter() - start, 2)
        self.models[name] = {**result.to_dict(), "seconds": seconds}
        with replacing(folder / "results.json") as path:
            path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")

    def take_back(self, folder: Path) -> None:
        """The numbers of an interrupted run, if it was on the same data; GRU4Rec's, if the same."""
        if not (folder / "results.json").is_file():
            return
        try:
            before = json.loads((folder / "results.json").read_text())
            if before["data"] != self.data or before["fraction"] != self.fraction:
                raise Stop(f"--resume: {folder} has results of other data: give another --out")
            self.models = before["models"]
            if before["settings"] != json.loads(json.dumps(self.settings)):
                self.models.pop(NETWORK, None)
        except (KeyError, ValueError, TypeError) as error:
            raise Stop(f"{folder / 'results.json'}: damaged ({error}): delete it") from error

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.counts.name,
            "fraction": self.fraction,
            "comparable": self.comparable,
            "counts": asdict(self.counts),
            "expected_counts": asdict(self.counts.RSC15),
            "data": self.data,
            "settings": self.settings,
            "models": self.models,
            "published": PUBLISHED.get(self.fraction, {}),
        }

    def introduce(self, out: "Console") -> None:
        d = self.data
        out.print(str(self.counts))
        if self.fraction > 1:
            out.print(
                f"\nthe newest 1/{self.fraction} of the training sessions: {d['train_sessions']:,} "
                f"with {d['train_events']:,} events on {d['train_items']:,} items"
            )
        points, batch = d["train_events"] - d["train_sessions"], self.settings["batch_size"]
        out.print(
            f"\nGRU4Rec: {self.settings['epochs']} × about {points // batch:,} steps to come\n"
        )

    def show(self, out: "Console", folder: Path) -> None:
        published = PUBLISHED.get(self.fraction, {})
        rows = []
        for name, result in self.models.items():
            row = [name]
            for i, key in enumerate(METRICS):
                row.append(f"{result[key]:.4f} ± {result['stderr'][key] or 0:.4f}")
                row.append(f"{published[name][i]:.4f}" if name in published else "–")
            rows.append([*row, f"{result['seconds']:,.0f}"])
        names = ("", "recall@20", "published", "MRR@20", "published", "seconds")
        out.print(table(names, rows))
        n_points = self.models[NETWORK]["n_points"]
        out.print(f"\n{n_points:,} points, all items ranked, ties counted against the model")
        if published:
            out.print(SOURCES[self.fraction])
        out.print(self._verdict())
        out.print(f"in {folder}: results.json, model.safetensors", soft_wrap=True, markup=False)

    def _verdict(self) -> str:
        if self.counts.name != "RSC15":
            return (
                "These are not RSC15's sizes, so this is other data: the published figures say "
                "nothing about the numbers beside them."
            )
        if self.fraction == 1:
            return "The sizes are RSC15's: the figures can be compared."
        return (
            "The sizes are RSC15's. The published fraction is one of sequences, not of sessions: "
            "expect differences of a percent."
        )


def _settings(
    options: Mapping[str, Any], assignments: list[str] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """GRU4Rec's settings, and where each comes from."""
    settings: dict[str, Any] = {**BEST, "hidden": list(BEST["hidden"])}  # type: ignore[call-overload]
    where = dict.fromkeys(settings, "the published settings")
    for name, value in parse_assignments(assignments or []).items():
        settings[name], where[name] = value, f"--set {name}"
    for name, value in options.items():
        if value is not None:
            settings[name], where[name] = value, f"--{name}"
    return settings, where


def _prepare(out: Path, resume: bool) -> None:
    """The output folder, made if its parent exists; nothing in it is overwritten by chance."""
    if out.exists() and not out.is_dir():
        raise Stop(f"--out {out} is a file: give a folder")
    if not out.exists():
        check_folder(out.parent)
        out.mkdir()
    check_folder(out)
    if not resume and ((out / "results.json").exists() or _checkpoint(out).exists()):
        raise Stop(
            f"{out} has the results of an earlier run: add --resume to go on from them, or give "
            "another --out"
        )


def _checkpoint(out: Path) -> Path:
    return out / "model.safetensors.checkpoint"


def _sizes(train: "Interactions", test: "Interactions") -> dict[str, int]:
    return {
        "train_sessions": train.n_users,
        "train_events": train.n_events,
        "train_items": train.n_items,
        "test_sessions": test.n_users,
        "test_events": test.n_events,
    }


def _measure(model: "Recommender", test: "Interactions") -> "Evaluation":
    from nnlib.metrics import evaluate

    return evaluate(model, test)


def _train(
    network: "GRU4Rec", train: "Interactions", out: Path, resume: bool, progress: bool
) -> None:
    """Fit and save; after Ctrl-C too, under another name."""
    try:
        network.fit(train, checkpoint=_checkpoint(out), resume=resume, progress=progress)
    except KeyboardInterrupt as stop:
        story = str(stop) or "interrupted"
        if hasattr(network, "item_ids_"):
            network.save(out / "interrupted.safetensors")
            story += f"; it is saved as {out / 'interrupted.safetensors'}"
        raise Stop(f"{story}; the same command with --resume goes on", 130) from None
    network.save(out / "model.safetensors")
    (out / "interrupted.safetensors").unlink(missing_ok=True)
