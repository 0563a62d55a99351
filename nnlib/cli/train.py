"""`nnlib train`: from a file of clicks to a model file."""

import inspect
import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnlib.cli.settings import (
    ItemColumn,
    SessionColumn,
    TimeColumn,
    ValueColumn,
    build_model,
    check_output,
    choose_model,
    parse_assignments,
    read_config,
    read_log,
    read_metadata,
)
from nnlib.cli.terminal import AsJson, Stop, console, print_json, progress_wanted

if TYPE_CHECKING:
    from nnlib.data import Interactions
    from nnlib.models.base import Recommender


def train(
    log: Annotated[Path, typer.Argument(metavar="TRAIN.tsv", help="Clicks to learn from.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Model file to write.")],
    test: Annotated[Path | None, typer.Option(help="Clicks to evaluate on afterwards.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in TOML, see above.")] = None,
    model: Annotated[
        str | None, typer.Option(help="GRU4Rec (default), Item2Vec, ImplicitALS, ...; any case.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the clicks.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    loss: Annotated[str | None, typer.Option(help="cross-entropy, bpr-max, top1, ...")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same model.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Any other setting, as name=value.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interruption.")] = False,
    user: SessionColumn = "SessionId",
    item: ItemColumn = "ItemId",
    time: TimeColumn = None,
    value: ValueColumn = None,
    metadata: Annotated[
        Path | None,
        typer.Option(help="TSV of the item column and one other, for models that read metadata."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on a file of clicks: tab-separated, a header line, one click a line.

    Models that know no sessions take baskets, users or sentences instead: --user names the column,
    and times are optional.

    Settings come from --config, a TOML file with a table [model] (name = "GRU4Rec", hidden = [100],
    ...), and from the options, which win. After every epoch a checkpoint is written beside the
    model, OUT.checkpoint: when training is interrupted, the same command with --resume goes on
    from it, to the same result. It is deleted once the model is saved. After Ctrl-C the model as it
    is then, perhaps in the middle of an epoch, is saved too, as OUT.interrupted.
    """
    options = {"epochs": epochs, "lr": lr, "loss": loss, "seed": seed, "device": device}
    recommender = _model(model, config, options, assignments or [])
    inputs = {"the training file": log, "--test": test, "--config": config, "--metadata": metadata}
    check_output(out, inputs)
    checkpoint = _checkpoint(recommender, out, resume)
    clicks = read_log(log, user, item, time, value)
    test_clicks = None if test is None else _readable_test(test, clicks, user, item, time)

    fit: dict[str, Any] = {}
    if metadata is not None:
        if not _takes(recommender, "metadata"):
            raise Stop(f"--metadata: {type(recommender).__name__} reads none: leave it out")
        fit["metadata"] = read_metadata(metadata, item)
    if checkpoint is not None:
        fit |= {
            "checkpoint": checkpoint,
            "resume": resume,
            "progress": progress_wanted(as_json),
        }
    start = clock.perf_counter()
    try:
        recommender.fit(clicks, **fit)
    except KeyboardInterrupt as stop:
        raise Stop(_interrupted(recommender, stop, out, checkpoint), 130) from None
    seconds = clock.perf_counter() - start
    recommender.save(out)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
        _unfinished(out).unlink(missing_ok=True)
    try:
        _report(recommender, clicks, test_clicks, seconds, out, as_json)
    except KeyboardInterrupt:
        raise Stop(f"interrupted in the evaluation; the model is saved as {out}", 130) from None


def _model(
    name: str | None, config: Path | None, options: dict[str, Any], assignments: list[str]
) -> "Recommender":
    """The untrained model; a setting given twice on the command line is refused."""
    configured, settings = (None, {}) if config is None else read_config(config)
    where = dict.fromkeys(settings, str(config))
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in parse_assignments(assignments).items():
        if key in given:
            raise Stop(f"--{key} and --set {key}=... are both given: keep one of them")
        settings[key], where[key] = value, f"--set {key}"
    settings |= given
    where |= {key: f"--{key}" for key in given}
    return build_model(choose_model(name, configured), settings, where)


def _checkpoint(model: "Recommender", out: Path, resume: bool) -> Path | None:
    """Where the checkpoint goes; None for a model that is trained in one go."""
    path = out.with_name(f"{out.name}.checkpoint")
    if not _takes(model, "checkpoint"):
        if resume:
            name = type(model).__name__
            raise Stop(f"--resume: {name} learns in one go, it has no checkpoints: leave it out")
        return None
    if path.exists() and not resume:
        raise Stop(
            f"{path}: the checkpoint of an interrupted run is here: add --resume to go on from it, "
            "or delete it"
        )
    return path


def _takes(model: "Recommender", argument: str) -> bool:
    """Whether the model's `fit` has this argument."""
    return argument in inspect.signature(model.fit).parameters


def _readable_test(
    path: Path, train: "Interactions", user: str, item: str, time: str | None
) -> "Interactions":
    """The test log, which must leave something to predict: better said now than after training."""
    test = read_log(path, user, item, time)
    known, _ = test.in_items_of(train.item_ids)
    if not (known.histories().lengths > 1).any():
        raise Stop(
            f"{path}: no session has two clicks on items of the training data: "
            "there is nothing to evaluate"
        )
    return test


def _unfinished(out: Path) -> Path:
    return out.with_name(f"{out.name}.interrupted")


def _interrupted(
    model: "Recommender", stop: KeyboardInterrupt, out: Path, checkpoint: Path | None
) -> str:
    """Saves what there is of the model, and says what a user can do now."""
    story, saved = str(stop) or "interrupted", []
    if hasattr(model, "item_ids_"):
        model.save(_unfinished(out))
        saved.append(f"it is saved as {_unfinished(out)}")
    if checkpoint is not None and checkpoint.exists():
        saved.append(f"{checkpoint} is kept, the same command with --resume goes on from it")
    return "; ".join([story, *(saved or ["nothing was written"])])


def _report(
    model: "Recommender",
    train: "Interactions",
    test: "Interactions | None",
    seconds: float,
    out: Path,
    as_json: bool,
) -> None:
    from nnlib.metrics import evaluate

    result = None if test is None else evaluate(model, test)
    losses: list[float] = getattr(model, "losses_", [])
    if as_json:
        print_json(
            {
                "model": type(model).__name__,
                "settings": model.settings(),
                "train": {
                    "events": train.n_events,
                    "sessions": train.n_users,
                    "items": train.n_items,
                },
                "losses": losses,
                "seconds": round(seconds, 3),
                "out": str(out),
                "evaluation": result and result.to_dict(),
            }
        )
        return
    terminal = console()
    terminal.print(
        f"{type(model).__name__} trained on {train.n_events:,} clicks of {train.n_users:,} "
        f"sessions on {train.n_items:,} items in {seconds:.1f} s"
    )
    if losses:
        terminal.print("loss by epoch: " + " ".join(f"{loss:.4f}" for loss in losses))
    if result is not None:
        terminal.print(str(result))
    terminal.print(f"saved {out}", soft_wrap=True)
