"""Ctrl-C in the middle of training, by real signals: a model that can be used is left."""

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest

from nnlib.data import Interactions
from nnlib.metrics import evaluate
from nnlib.models import GRU4Rec
from nnlib.models.session.gru4rec_network import GRU4RecNetwork

pytestmark = pytest.mark.usefixtures("ctrl_c_interrupts")

MODEL = GRU4Rec(hidden=(6,), batch_size=4, n_sample=8, epochs=3, momentum=0.3, dropout_hidden=0.3)
STEPS = 60  # of an epoch


def log():
    session = np.repeat(np.arange(60), 5)
    return Interactions.from_arrays(session, np.random.default_rng(0).integers(0, 20, 300), session)


def weights(model):
    return [p.value.copy() for p in model.net_.parameters()]


def press(monkeypatch, step, times=1, before=lambda: None):
    """Send SIGINT to this process when the network has computed the forward part of a step."""
    original, calls = GRU4RecNetwork.__call__, []

    def call(self, *args, **options):
        calls.append(1)
        result = original(self, *args, **options)
        if len(calls) == step:
            before()
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return result

    monkeypatch.setattr(GRU4RecNetwork, "__call__", call)
    return calls


def after_steps(n):
    """The weights that training has after exactly `n` steps: stopped by an error in the next."""
    kept = []

    class Stopped(Exception): ...

    with pytest.MonkeyPatch.context() as patch:
        original = GRU4RecNetwork.__call__

        def call(self, *args, **options):
            kept.append([p.value.copy() for p in self.parameters()])
            if len(kept) > n:
                raise Stopped
            return original(self, *args, **options)

        patch.setattr(GRU4RecNetwork, "__call__", call)
        with pytest.raises(Stopped):
            replace(MODEL).fit(log())
    return kept[-1]


@pytest.mark.parametrize(("step", "epoch"), [(1, 1), (77, 2), (2 * STEPS, 2)])
def test_the_step_is_finished_and_the_model_can_be_used(monkeypatch, step, epoch):
    expected = after_steps(step)
    handler = signal.getsignal(signal.SIGINT)
    calls, model = press(monkeypatch, step), replace(MODEL)
    with pytest.raises(KeyboardInterrupt) as stop:
        model.fit(log())
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(calls) == step
    said = str(stop.value)
    assert said.startswith(f"interrupted in epoch {epoch} of 3, after step {step}: the GRU4Rec has")
    for mine, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert len(model.losses_) == (step - 1) // STEPS
    assert 0 <= evaluate(model, log())["recall@20"] <= 1
    assert len(model.recommend([0, 1], 3)) == 3


def test_it_can_be_saved_and_the_checkpoint_is_that_of_the_last_epoch(monkeypatch, tmp_path):
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        press(patch, 77)
        model = replace(MODEL)
        with pytest.raises(KeyboardInterrupt):
            model.fit(log(), checkpoint=path)
    model.save(tmp_path / "model")
    assert GRU4Rec.load(tmp_path / "model").recommend([0], 3) == model.recommend([0], 3)
    resumed = replace(MODEL).fit(log(), checkpoint=path, resume=True)
    for mine, theirs in zip(weights(resumed), weights(replace(MODEL).fit(log())), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_earlier_fit_is_not_mixed_with_half_a_step(monkeypatch):
    """A second Ctrl-C does not wait, so the model keeps what an earlier fit gave it."""
    model = replace(MODEL).fit(log())
    before = weights(model)
    press(monkeypatch, 77, times=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(log())
    for mine, theirs in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_program_stays(monkeypatch):
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *a: pressed.append(1))
    try:
        press(monkeypatch, 5)
        replace(MODEL, epochs=1).fit(log())
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [1]


def test_training_in_another_thread():
    model = replace(MODEL, epochs=1)
    thread = threading.Thread(target=model.fit, args=(log(),))
    thread.start()
    thread.join()
    assert model.losses_
