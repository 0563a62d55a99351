"""`nnlib demo`: six baselines, GRU4Rec and the best possible prediction on made-up clicks."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnlib.cli.baselines import baselines
from nnlib.cli.demo_results import CEILING, NETWORK, Results
from nnlib.cli.settings import check_folder
from nnlib.cli.terminal import AsJson, Stop, check_seed, console, print_json, status

if TYPE_CHECKING:
    from nnlib.data import Interactions
    from nnlib.data.synthetic import HMMClicks
    from nnlib.metrics.evaluate import Evaluation
    from nnlib.models import GRU4Rec, Recommender

FULL, QUICK = (30_000, 1_500), (3_000, 300)  # training and test sessions
SHOWN, LENGTHS = 3, (5, 10)  # test sessions that are printed, and how many clicks they may have


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for figures, numbers and the model.")
    ] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the data: fast, but too little for a GRU.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the clicks and of the network.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Six baselines, GRU4Rec and the best possible prediction, on clicks made up on the spot.

    Writes learning_curve.png, comparison.png, results.json and model.safetensors.
    """
    import numpy as np

    from nnlib.data.split import by_time
    from nnlib.data.synthetic import HMMClicks
    from nnlib.models import GRU4Rec

    check_seed(seed)
    _prepare(out)
    # Fixed beforehand: the learning curve is for looking at, and the test sessions choose nothing.
    network = GRU4Rec(
        hidden=(64,),
        loss="cross-entropy",
        embedding="shared",
        batch_size=32,
        n_sample=128,
        sample_alpha=0.0,
        logq=0.0,
        dropout_hidden=0.2,
        lr=0.1,
        epochs=4,
        seed=seed,
    )
    world = HMMClicks()
    n_train, n_test = QUICK if quick else FULL
    clicks = world.sample(n_train + n_test, np.random.default_rng(seed))
    train, test = by_time(clicks, fraction=n_test / clicks.n_users)
    # The newest tenth of the training sessions is for the learning curve.
    fit_part, validation = by_time(train, fraction=0.1)

    results = Results(seed, network.settings(), _counts(train, validation, test))
    terminal = console()
    if not as_json:
        results.introduce(terminal)
    models = _models(network, world)
    with status(as_json) as say_what:
        for name, model in models.items():
            say_what(name)
            start = time.perf_counter()
            results.evaluations[name] = _measure(model.fit(train), test)
            results.seconds[name] = time.perf_counter() - start
        models[NETWORK].save(out / "model.safetensors")
        say_what("learning curve")
        results.curve = _learning_curve(_models(network, world), fit_part, validation, out)
    results.sessions = _recommend(out / "model.safetensors", test)
    results.write(out)
    if as_json:
        print_json(results.to_dict())
    else:
        results.show(terminal, out)


def _prepare(out: Path) -> None:
    """The output folder, made if its parent exists."""
    if out.exists() and not out.is_dir():
        raise Stop(f"--out {out} is a file: give a folder")
    if not out.exists():
        check_folder(out.parent)
        out.mkdir()
    check_folder(out)


def _counts(train: "Interactions", valid: "Interactions", test: "Interactions") -> dict[str, int]:
    return {
        "items": train.n_items,
        "train_sessions": train.n_users,
        "train_clicks": train.n_events,
        "validation_sessions": valid.n_users,
        "test_sessions": test.n_users,
        "test_clicks": test.n_events,
    }


def _models(network: "GRU4Rec", world: "HMMClicks") -> "dict[str, Recommender]":
    """What is compared, by the name in the table."""
    from nnlib.models import BayesCeiling

    return {**baselines(), NETWORK: replace(network), CEILING: BayesCeiling(world=world)}


def _measure(model: "Recommender", log: "Interactions") -> "Evaluation":
    from nnlib.metrics import evaluate

    return evaluate(model, log)


def _learning_curve(
    models: "dict[str, Recommender]", train: "Interactions", validation: "Interactions", out: Path
) -> dict[str, Any]:
    """Loss and recall@20 after every epoch, beside what S-KNN and the ceiling reach there.

    A checkpoint may be resumed for more epochs, and the result is the same, bit for bit, as if they
    had been asked for at once: so each epoch is trained once and looked at before the next.
    """
    from nnlib.models import GRU4Rec

    network = models[NETWORK]
    assert isinstance(network, GRU4Rec)
    others = {
        name: _measure(models[name].fit(train), validation)["recall@20"]
        for name in ("S-KNN", CEILING)
    }
    recall, stderr = [], []
    checkpoint = out / "learning_curve.checkpoint"
    checkpoint.unlink(missing_ok=True)
    try:
        for epochs in range(1, network.epochs + 1):
            trained = replace(network, epochs=epochs)
            trained.fit(train, checkpoint=checkpoint, resume=True)
            result = _measure(trained, validation)
            recall.append(result["recall@20"])
            stderr.append(result.stderr["recall@20"])
    finally:
        checkpoint.unlink(missing_ok=True)
    return {"losses": trained.losses_, "recall@20": recall, "stderr": stderr, "others": others}


def _recommend(model_file: Path, test: "Interactions") -> list[dict[str, Any]]:
    """The oldest test sessions that fit on a line, good or bad: the last click is to be guessed."""
    from nnlib.models import load_model

    model = load_model(model_file)
    sessions = test.chronological()
    short, long = LENGTHS
    fitting = ((sessions.lengths >= short) & (sessions.lengths <= long)).nonzero()[0]
    shown = []
    for row in fitting[:SHOWN].tolist():
        *clicks, target = test.item_ids[sessions.row(row)].tolist()
        ranked = model.recommend(clicks, len(model.item_ids_))
        rank = [item for item, _ in ranked].index(target) + 1
        shown.append({"clicks": clicks, "next": target, "rank": rank, "top": ranked[:5]})
    return shown
