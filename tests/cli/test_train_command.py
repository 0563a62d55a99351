"""`nnlib train`: what it writes, what it says, and where its settings come from."""

import json
import os
import signal

import numpy as np
import pytest

from nnlib.data import Histories
from nnlib.models import MODELS, GRU4Rec, Popularity, load_model
from nnlib.models.epochs import Epochs

HISTORY = Histories(np.array([0, 1]), np.array([0]), np.array([2]))


def test_trains_evaluates_and_saves(nnlib, logs, small, tmp_path):
    train, test = logs
    out = tmp_path / "gru.safetensors"
    outcome = nnlib("train", train, "--test", test, "--out", out, *small)
    assert outcome.code == 0
    assert "trained on" in outcome.out
    assert "recall@k" in outcome.out
    assert str(out) in outcome.out.replace("\n", "")
    model = load_model(out)
    assert isinstance(model, GRU4Rec)
    assert (model.hidden[0], model.epochs, len(model.losses_)) == (8, 2, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["gru.safetensors"], "no checkpoint left"


def test_json_is_all_there_is_on_standard_output(nnlib, logs, small, tmp_path):
    train, test = logs
    out = tmp_path / "m.safetensors"
    result = nnlib("train", train, "--test", test, "--out", out, "--json", *small).json()
    assert result["model"] == "GRU4Rec"
    assert result["settings"]["epochs"] == 2
    assert result["train"]["sessions"] == 150
    assert len(result["losses"]) == 2
    assert 0 < result["evaluation"]["recall@20"] <= 1
    assert result["out"] == str(out)


def test_every_baseline_can_be_trained(nnlib, logs, tmp_path):
    for name in MODELS.keys() - {"GRU4Rec", "BayesCeiling", "MatrixFactorization"}:
        out = tmp_path / f"{name}.safetensors"
        assert nnlib("train", logs[0], "--out", out, "--model", name).code == 0
        assert type(load_model(out)).__name__ == name


def test_same_command_same_bytes(nnlib, logs, small, tmp_path):
    for name in "ab":
        nnlib("train", logs[0], "--out", tmp_path / name, *small)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_columns_may_have_other_names(nnlib, logs, tmp_path):
    text = logs[0].read_text().replace("SessionId\tItemId\tTime", "visit\tthing\tat")
    (tmp_path / "log.tsv").write_text(text)
    options = ["--model", "Popularity", "--user", "visit", "--item", "thing", "--time", "at"]
    assert nnlib("train", tmp_path / "log.tsv", "--out", tmp_path / "m", *options).code == 0


@pytest.mark.parametrize(
    "text",
    [
        '[model]\nname = "GRU4Rec"\nhidden = [6, 5]\nlr = 1\nembedding = "none"\nepochs = 3\n',
        'name = "GRU4Rec"\nhidden = [6, 5]\nlr = 1.0\nembedding = "none"\nepochs = 3\n',
    ],
    ids=["table", "flat"],
)
def test_configuration_and_options_that_win(nnlib, logs, tmp_path, text):
    config = tmp_path / "gru.toml"
    config.write_text(text)
    options = [
        "--config",
        config,
        "--epochs",
        1,
        "-s",
        "n_sample=8",
        "-s",
        "loss=bpr-max",
        "--json",
    ]
    result = nnlib("train", logs[0], "--out", tmp_path / "m", *options).json()
    settings = {"hidden": [6, 5], "lr": 1.0, "embedding": None, "epochs": 1, "loss": "bpr-max"}
    assert settings.items() <= result["settings"].items()


def test_the_default_is_the_constructors(nnlib, logs, tmp_path):
    out = tmp_path / "m"
    nnlib("train", logs[0], "--out", out, "--model", "Popularity")
    assert load_model(out) == Popularity()


def test_a_model_is_replaced_but_nothing_else(nnlib, refused, logs, tmp_path):
    out = tmp_path / "m"
    assert nnlib("train", logs[0], "--out", out, "--model", "Popularity").code == 0
    assert nnlib("train", logs[0], "--out", out, "--model", "Markov").code == 0
    assert type(load_model(out)).__name__ == "Markov"
    (tmp_path / "thesis.tex").write_text("precious")
    assert "no model" in refused("train", logs[0], "--out", tmp_path / "thesis.tex")


def test_interruption_is_one_sentence(nnlib, logs, small, tmp_path, monkeypatch):
    def interrupted(self, train, *, progress=False, checkpoint=None, resume=False):
        checkpoint.write_bytes(b"epoch 1")
        raise KeyboardInterrupt

    monkeypatch.setattr(GRU4Rec, "fit", interrupted)
    outcome = nnlib("train", logs[0], "--out", tmp_path / "m", *small)
    assert outcome.code == 130
    assert outcome.err.count("\n") == 1
    assert "m.checkpoint is kept" in outcome.err
    assert "--resume" in outcome.err


@pytest.mark.parametrize("name", ["Item2Vec", "Word2Vec", "ImplicitALS"])
def test_ctrl_c_saves_the_model_of_the_last_step(nnlib, logs, tmp_path, monkeypatch, name):
    original, calls = Epochs.record, []

    def record(self, *args):
        original(self, *args)
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(Epochs, "record", record)
    try:
        outcome = nnlib("train", logs[0], "--out", tmp_path / "m", "--model", name)
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.code == 130
    assert outcome.err.count("\n") == 1
    assert f"it is saved as {tmp_path / 'm.interrupted'}" in outcome.err
    assert len(load_model(tmp_path / "m.interrupted").scores(HISTORY)) == 1
    assert not (tmp_path / "m").exists()


def test_interruption_of_the_evaluation(nnlib, logs, tmp_path, monkeypatch):
    def interrupted(model, log):
        raise KeyboardInterrupt

    monkeypatch.setattr("nnlib.metrics.evaluate", interrupted)
    out = tmp_path / "m"
    options = ["--out", out, "--test", logs[1], "--model", "Popularity"]
    outcome = nnlib("train", logs[0], *options)
    assert outcome.code == 130
    assert f"the model is saved as {out}" in outcome.err
    assert load_model(out) == Popularity()


def test_divergence_names_step_and_array_and_keeps_nothing_half_done(nnlib, logs, small, tmp_path):
    out = tmp_path / "m"
    outcome = nnlib("train", logs[0], "--out", out, "--lr", "1e38", *small)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "step" in outcome.err
    assert not out.exists()


def test_a_checkpoint_goes_on(nnlib, logs, small, tmp_path, monkeypatch):
    """Saving fails after training: the checkpoint is still there and nothing is trained again."""
    out, whole = tmp_path / "m", tmp_path / "whole"
    save = GRU4Rec.save

    def full(self, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(GRU4Rec, "save", full)
    outcome = nnlib("train", logs[0], "--out", out, *small)
    assert outcome.code == 1
    assert "No space left" in outcome.err
    checkpoint = tmp_path / "m.checkpoint"
    assert checkpoint.exists()

    monkeypatch.setattr(GRU4Rec, "save", save)
    assert "--resume" in nnlib("train", logs[0], "--out", out, *small).err
    assert nnlib("train", logs[0], "--out", out, "--resume", *small).code == 0
    assert not checkpoint.exists()
    nnlib("train", logs[0], "--out", whole, "--resume", *small)  # without one: from the start
    assert out.read_bytes() == whole.read_bytes()


def test_progress_is_shown_to_people_only(nnlib, logs, small, tmp_path, monkeypatch):
    seen = []
    fit = GRU4Rec.fit

    def spy(self, train, *, progress=False, checkpoint=None, resume=False):
        seen.append(progress)
        return fit(self, train)

    monkeypatch.setattr(GRU4Rec, "fit", spy)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    nnlib("train", logs[0], "--out", tmp_path / "a", *small)
    json.loads(nnlib("train", logs[0], "--out", tmp_path / "b", "--json", *small).out)
    assert seen == [True, False]
