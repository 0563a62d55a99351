"""Checkpoints, resuming, and the stop at numbers that are not finite."""

import re
from dataclasses import replace

import numpy as np
import pytest

from nnlib.data import Interactions
from nnlib.models import GRU4Rec
from nnlib.models.epochs import CHECK_EVERY, DivergedError
from nnlib.models.session.gru4rec_network import GRU4RecNetwork
from nnlib.storage import read_arrays, write_arrays


def log(seed=0, n_sessions=60):
    rng = np.random.default_rng(seed)
    session = np.repeat(np.arange(n_sessions), 5)
    return Interactions.from_arrays(session, rng.integers(0, 20, len(session)), session)


MODEL = GRU4Rec(
    hidden=(6,), batch_size=4, n_sample=8, epochs=3, lr=0.1, momentum=0.3, dropout_hidden=0.3,
    dropout_embed=0.2, seed=5,
)  # fmt: skip


def weights(model):
    return {name: p.value.copy() for name, p in model.net_.named_parameters()}


def assert_same(a, b):
    for name, value in weights(a).items():
        np.testing.assert_array_equal(value, weights(b)[name], err_msg=name)
    assert a.losses_ == b.losses_


class Killed(Exception):
    pass


def kill_after(monkeypatch, steps):
    """Make the network raise in the middle of training, as a crash would."""
    original, calls = GRU4RecNetwork.__call__, []

    def call(self, *args, **kwargs):
        calls.append(1)
        if len(calls) > steps:
            raise Killed
        return original(self, *args, **kwargs)

    monkeypatch.setattr(GRU4RecNetwork, "__call__", call)


@pytest.mark.parametrize("steps", [10, 65, 130])  # an epoch has 60 steps
def test_resumed_training_ends_with_the_same_weights(tmp_path, monkeypatch, steps):
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        kill_after(patch, steps)
        with pytest.raises(Killed):
            replace(MODEL).fit(log(), checkpoint=path)
    assert path.exists() == (steps > 60)
    resumed = replace(MODEL).fit(log(), checkpoint=path, resume=True)
    assert_same(resumed, replace(MODEL).fit(log()))


def test_a_finished_run_resumes_with_more_epochs(tmp_path):
    path = tmp_path / "run.checkpoint"
    replace(MODEL, epochs=1).fit(log(), checkpoint=path)
    more = replace(MODEL, epochs=3).fit(log(), checkpoint=path, resume=True)
    assert_same(more, replace(MODEL).fit(log()))
    assert_same(replace(MODEL).fit(log(), checkpoint=path, resume=True), more)


def test_fewer_epochs_than_a_checkpoint_has_are_refused(tmp_path):
    path = tmp_path / "run.checkpoint"
    replace(MODEL, epochs=2).fit(log(), checkpoint=path)
    said = re.escape(f"{path}: a checkpoint after 2 epochs, more than epochs=1: set epochs to 2")
    with pytest.raises(ValueError, match=said):
        replace(MODEL, epochs=1).fit(log(), checkpoint=path, resume=True)
    assert len(replace(MODEL, epochs=2).fit(log(), checkpoint=path, resume=True).losses_) == 2


def test_an_existing_checkpoint_is_not_overwritten(tmp_path):
    path = tmp_path / "run.checkpoint"
    replace(MODEL, epochs=1).fit(log(), checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="resume it or delete it"):
        replace(MODEL).fit(log(), checkpoint=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "data", "message"),
    [
        ({"lr": 0.2, "hidden": (7,)}, 0, r"other settings \(hidden, lr\): delete it"),
        ({}, 1, "other training data"),
    ],
)
def test_a_checkpoint_of_something_else(tmp_path, change, data, message):
    path = tmp_path / "run.checkpoint"
    replace(MODEL, epochs=1).fit(log(), checkpoint=path)
    with pytest.raises(ValueError, match=message):
        replace(MODEL, **change).fit(log(data), checkpoint=path, resume=True)


def rewritten(path, settings):
    """The checkpoint at `path` with the settings that a function makes of its own."""
    arrays, header = read_arrays(path)
    write_arrays(path, arrays, {**header, "settings": settings(header["settings"])})


def test_a_setting_that_is_newer_than_a_checkpoint_had_its_default(tmp_path):
    path = tmp_path / "run.checkpoint"
    replace(MODEL, epochs=1).fit(log(), checkpoint=path)
    rewritten(path, lambda saved: {k: v for k, v in saved.items() if k not in ("graph", "bptt")})
    with pytest.raises(ValueError, match=r"other settings \(bptt\)"):
        replace(MODEL, bptt=2).fit(log(), checkpoint=path, resume=True)
    assert_same(replace(MODEL).fit(log(), checkpoint=path, resume=True), replace(MODEL).fit(log()))


@pytest.mark.parametrize(
    "settings",
    [
        lambda saved: {**saved, "graph": True},
        lambda saved: {**saved, "gone": 1},  # of another nnlib, which had a setting more
        lambda saved: {k: v for k, v in saved.items() if k != "lr"},  # whose default is another
    ],
)
def test_other_settings_in_a_checkpoint_are_refused(tmp_path, settings):
    path = tmp_path / "run.checkpoint"
    replace(MODEL, epochs=1).fit(log(), checkpoint=path)
    rewritten(path, settings)
    with pytest.raises(ValueError, match=r"other settings \((graph|gone|lr)\)"):
        replace(MODEL).fit(log(), checkpoint=path, resume=True)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 30])
def test_a_damaged_checkpoint(tmp_path, content):
    path = tmp_path / "run.checkpoint"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        replace(MODEL).fit(log(), checkpoint=path, resume=True)
    path.unlink()
    replace(MODEL).fit(log()).save(path)
    with pytest.raises(ValueError, match="another kind of model"):
        replace(MODEL).fit(log(), checkpoint=path, resume=True)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_names_step_array_and_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    original, calls = GRU4RecNetwork.__call__, []

    def poisoned(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 77:  # the 17th step of the second epoch
            self.cells[0].b.value[0] = np.nan
        return original(self, *args, **kwargs)

    monkeypatch.setattr(GRU4RecNetwork, "__call__", poisoned)
    with pytest.raises(DivergedError) as error:
        replace(MODEL).fit(log(), checkpoint=path)
    message = str(error.value)
    assert "epoch 2: the loss of step 77 is nan" in message
    assert f"the last good checkpoint is {path} (epoch 1)" in message
    assert "first array with such values:" in message
    assert len(calls) < 77 + CHECK_EVERY
    monkeypatch.undo()
    assert_same(replace(MODEL).fit(log(), checkpoint=path, resume=True), replace(MODEL).fit(log()))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_parameter_that_is_not_finite_is_found_before_it_is_saved(tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    original, calls = GRU4RecNetwork.__call__, []

    def poisoned(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 60:
            self.W.value[:] = np.where(np.arange(20)[:, None] == 19, np.inf, self.W.value)
            monkeypatch.setattr("nnlib.models.epochs.Epochs.record", lambda *a: None)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(GRU4RecNetwork, "__call__", poisoned)
    with pytest.raises(DivergedError, match="no checkpoint was written"):
        replace(MODEL).fit(log(), checkpoint=path)
    assert not path.exists()


def test_progress_is_shown_on_standard_error(capsys):
    replace(MODEL, epochs=1).fit(log(), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "GRU4Rec" in err
    assert "events/s" in err
    assert "loss" in err


def test_the_same_seed_gives_the_same_model():
    assert_same(replace(MODEL).fit(log()), replace(MODEL).fit(log()))
    other = replace(MODEL, seed=6).fit(log())
    assert (other.net_.W.value != replace(MODEL).fit(log()).net_.W.value).any()
