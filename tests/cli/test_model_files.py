"""`load_model` on files of every kind: a model, or one of two errors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from nnlib.data import Interactions
from nnlib.data.synthetic import HMMClicks
from nnlib.models import MODELS, BayesCeiling, GRU4Rec, Recommender, load_model

WORLD = HMMClicks(n_items=12, n_categories=2, n_stages=1, n_emit=5, n_pool=6)
CLICKS = WORLD.sample(30, np.random.default_rng(0))
TRAIN = replace(CLICKS, value=1.0 + CLICKS.item % 5)  # for models of ratings
QUICK = {"hidden": (3,), "n_sample": 4, "batch_size": 4, "epochs": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def saved(folder) -> dict[str, bytes]:
    """A file of every model."""
    contents = {}
    for name, cls in MODELS.items():
        settings = {GRU4Rec: QUICK, BayesCeiling: {"world": WORLD}}.get(cls, {})
        path = folder / name
        cls(**settings).fit(TRAIN).save(path)
        contents[name] = path.read_bytes()
    return contents


def attempt(path: Path, content: bytes) -> Recommender | None:
    """The model, None for one of the two errors that are allowed; anything else is raised."""
    path.write_bytes(content)
    try:
        return load_model(path)
    except (ValueError, FileNotFoundError) as error:
        named = str(path) in str(error)
    assert named, "the message must say which file"
    return None


@pytest.mark.parametrize("name", MODELS)
def test_the_class_is_found_from_the_file(folder, saved, name):
    model = load_model(folder / name)
    assert type(model) is MODELS[name]
    assert model.recommend(TRAIN.item_ids[:1].tolist(), 3)


@pytest.mark.parametrize("name", MODELS)
def test_reading_draws_no_random_numbers(folder, saved, name, monkeypatch):
    def drawn(*seed):
        raise AssertionError("weights that the file gives were drawn first")

    monkeypatch.setattr(np.random, "default_rng", drawn)
    load_model(folder / name)


def test_every_public_model_is_listed_under_its_own_name():
    assert all(cls.__name__ == name for name, cls in MODELS.items())


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_model(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path)


@given(st.binary(max_size=300))
def test_random_bytes(folder, content):
    assert attempt(folder / "random", content) is None


@given(st.sampled_from(sorted(MODELS)), st.floats(0, 1, exclude_max=True))
def test_truncated(folder, saved, name, share):
    content = saved[name]
    assert attempt(folder / "cut", content[: int(share * len(content))]) is None


@given(
    st.sampled_from(sorted(MODELS)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1),
)
def test_flipped_bytes_anywhere(folder, saved, name, flips):
    content = bytearray(saved[name])
    for place, mask in flips:
        content[int(place * len(content))] ^= mask
    attempt(folder / "flipped", bytes(content))


@given(st.sampled_from(sorted(MODELS)), st.floats(0, 1, exclude_max=True), st.integers(32, 126))
def test_another_character_in_the_header(folder, saved, name, place, character):
    """Flips in the weights are harmless; what can go wrong is the header, so aim there."""
    content = bytearray(saved[name])
    length = int.from_bytes(content[:8], "little")
    content[8 + int(place * length)] = character
    attempt(folder / "header", bytes(content))


HEADER = {"format": 1, "model": "Popularity", "settings": {}, "ids": "integers"}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"format": "pt"},
        {"nnlib": "not JSON"},
        {"nnlib": "[]"},
        {"nnlib": "{}"},
        {"nnlib": json.dumps({**HEADER, "model": "LSTM"})},
        {"nnlib": json.dumps({**HEADER, "model": ["Popularity"]})},
        {"nnlib": json.dumps({**HEADER, "format": 99})},
        {"nnlib": json.dumps({**HEADER, "settings": {"colour": 1}})},
        {"nnlib": json.dumps({**HEADER, "settings": 5})},
        {"nnlib": json.dumps({**HEADER, "ids": "json"})},
        {"nnlib": json.dumps({**HEADER, "model": "GRU4Rec"})},
        {"nnlib": json.dumps({**HEADER, "model": "GRU4Rec", "settings": {"hidden": [-1]}})},
        {"nnlib": json.dumps({**HEADER, "model": "GRU4Rec", "settings": {"hidden": 7}})},
        {"nnlib": json.dumps({**HEADER, "model": "GRU4Rec", "settings": {"hidden": [10**15]}})},
        {"nnlib": json.dumps({"checkpoint": "GRU4Rec"})},
    ],
)
def test_foreign_safetensors(folder, metadata):
    path = folder / "foreign"
    save_file({"item_ids": np.arange(4.0), "weight": np.zeros((2, 3))}, path, metadata=metadata)
    with pytest.raises(ValueError, match="foreign"):
        load_model(path)


def test_pickle_is_never_read(folder):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    assert attempt(folder / "pickle", pickle.dumps(Bomb())) is None


def test_a_checkpoint_is_no_model(folder):
    checkpoint = folder / "run.checkpoint"
    GRU4Rec(**QUICK).fit(TRAIN, checkpoint=checkpoint)
    with pytest.raises(ValueError, match="checkpoint of an unfinished GRU4Rec"):
        load_model(checkpoint)


def test_text_ids_come_back(folder):
    log = Interactions.from_arrays(["a", "a", "b", "b"], ["é", "[x]", "é", "007"])
    MODELS["Markov"]().fit(log).save(folder / "text")
    assert load_model(folder / "text").item_ids_.tolist() == ["é", "[x]", "007"]
