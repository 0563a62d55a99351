"""Ctrl-C during the training of every model that is trained in epochs."""

import os
import signal

import numpy as np
import pytest

from nnlib.data import Interactions
from nnlib.models import (
    MODELS,
    Content2Vec,
    CosineGRU4Rec,
    DistilledGRU4Rec,
    Item2Vec,
    MatrixFactorization,
    ParagraphVectors,
    Prod2Vec,
    Word2Vec,
    load_model,
)
from nnlib.models.epochs import Epochs

pytestmark = pytest.mark.usefixtures("ctrl_c_interrupts")

# A new model is here as soon as it is in the list of models.
TRAINED = [name for name, cls in MODELS.items() if "epochs" in cls.__dataclass_fields__]
VARIANTS = {  # what ends in another way than with the default settings
    "exact": Item2Vec(exact=True),
    "clusters": Prod2Vec(variant="cluster", n_clusters=3),
    "gradient descent": MatrixFactorization(solver="sgd"),
    "tree": Word2Vec(output="hierarchical-softmax"),
    "tree of documents": ParagraphVectors(output="hierarchical-softmax"),
    "modules alone": Content2Vec(epochs=4, pretrain_epochs=4, merge_epochs=0),
    "merging": Content2Vec(epochs=4, pretrain_epochs=0, merge_epochs=4),
    "together": Content2Vec(epochs=4, pretrain_epochs=0, merge_epochs=0),
}
EVERY = {name: MODELS[name]() for name in TRAINED} | VARIANTS


def log():
    """Some users' purchases, a basket a day, with ratings."""
    rng = np.random.default_rng(0)
    user, day = np.repeat(np.arange(60), 6), np.tile(np.repeat(np.arange(3), 2), 60)
    item = rng.integers(0, 20, len(user))
    return Interactions.from_arrays(user, item, day, rng.integers(1, 6, len(user)).astype(float))


def press(monkeypatch, step, name):
    """Send SIGINT to this process just after a step of the model of this name."""
    original, calls = Epochs.record, []

    def record(self, *args):
        original(self, *args)
        calls.append(self.header["checkpoint"] == name)
        if sum(calls) == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Epochs, "record", record)


def test_every_training_loop_is_asked():
    assert {"GRU4Rec", "Word2Vec", "ImplicitALS", "ReLeVar"} <= set(TRAINED)
    assert len(TRAINED) >= 16


@pytest.mark.parametrize("model", EVERY.values(), ids=EVERY)
def test_the_model_can_be_used(model, monkeypatch, tmp_path):
    name = type(model).__name__
    with monkeypatch.context() as patch:
        press(patch, 2, name)
        with pytest.raises(KeyboardInterrupt) as stop:
            model.fit(log())
    said = str(stop.value)
    assert said.startswith("interrupted in epoch "), said
    assert said.endswith(f": the {name} has the weights of that step, it can be used"), said
    assert len(model.losses_) <= 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    assert np.isfinite(model.scores(log().histories())).all()
    best = model.recommend([0, 1, 2], 3)
    assert len(best) == 3
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").recommend([0, 1, 2], 3) == best


@pytest.mark.parametrize("model", [DistilledGRU4Rec(), CosineGRU4Rec()])
def test_a_model_that_needs_another_first(model, monkeypatch):
    press(monkeypatch, 2, "PrefixGRU4Rec")
    with pytest.raises(KeyboardInterrupt, match=r"was trained: the .* itself has not begun"):
        model.fit(log())
    assert not hasattr(model, "item_ids_")


def test_ctrl_c_while_the_result_is_made(monkeypatch):
    """The model is finished first: nothing of it is left half done."""
    original, model = Prod2Vec._clusters, Prod2Vec(variant="cluster", epochs=2)

    def clusters(self, train):
        os.kill(os.getpid(), signal.SIGINT)
        return original(self, train)

    monkeypatch.setattr(Prod2Vec, "_clusters", clusters)
    with pytest.raises(KeyboardInterrupt, match="after the last epoch: the Prod2Vec is trained"):
        model.fit(log())
    assert len(model.recommend([0, 1, 2], 3)) == 3
    assert len(model.losses_) == 2
