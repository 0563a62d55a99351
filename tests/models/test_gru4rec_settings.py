"""GRU4Rec refuses settings out of range with one sentence, before anything is trained."""

import re

import numpy as np
import pytest

from nnlib.array import DeviceError, gpu_problem
from nnlib.data import Interactions
from nnlib.models import GRU4Rec
from nnlib.storage import read_arrays, write_arrays

LOG = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 6, 5], [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": ()}, "hidden=()"),
        ({"hidden": (10, 0)}, "hidden=(10, 0)"),
        ({"hidden": 100}, "hidden=100"),
        ({"loss": "softmax"}, "loss='softmax'"),
        ({"embedding": "tied"}, "embedding='tied'"),
        ({"embedding": 0}, "embedding=0"),
        ({"reset": "middle"}, "reset='middle'"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"n_sample": -1}, "n_sample=-1"),
        ({"epochs": 0}, "epochs=0"),
        ({"bptt": 0}, "bptt=0"),
        ({"seed": -1}, "seed=-1"),
        ({"sample_alpha": -0.5}, "sample_alpha=-0.5"),
        ({"logq": float("nan")}, "logq=nan"),
        ({"bpreg": float("inf")}, "bpreg=inf"),
        ({"elu": -1.0}, "elu=-1.0"),
        ({"dropout_embed": 1.0}, "dropout_embed=1.0"),
        ({"dropout_hidden": -0.1}, "dropout_hidden=-0.1"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": "fast"}, "lr='fast'"),
        ({"logq": 1.0, "loss": "bpr-max"}, "set logq=0"),
        ({"batch_size": 1, "n_sample": 0}, "leave no negatives"),
        ({"device": "tpu"}, "device='tpu'"),
    ],
)
def test_out_of_range(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        GRU4Rec(**settings)


@pytest.mark.skipif(gpu_problem() is None, reason="there is a GPU")
def test_a_gpu_where_there_is_none():
    with pytest.raises(DeviceError, match="use device='cpu'"):
        GRU4Rec(device="cuda").fit(LOG)


@pytest.mark.skipif(gpu_problem() is None, reason="there is a GPU")
def test_a_model_trained_on_a_gpu_loads_without_one(tmp_path):
    path = tmp_path / "model.safetensors"
    model = GRU4Rec(hidden=(4,), n_sample=2, epochs=1).fit(LOG)
    model.device = "cuda"
    arrays = model.arrays()
    write = {**arrays, "item_ids": LOG.item_ids}
    header = {"format": 1, "model": "GRU4Rec", "settings": model.settings(), "ids": "integers"}
    write_arrays(path, write, header)
    loaded = GRU4Rec.load(path)
    assert loaded.device == "cpu"
    assert loaded.recommend([5], 2) == GRU4Rec.load(path).recommend([5], 2)


def test_sizes_that_do_not_fit_the_weights_allocate_nothing(tmp_path):
    path = tmp_path / "model.safetensors"
    GRU4Rec(hidden=(4,), n_sample=2, epochs=1).fit(LOG).save(path)
    arrays, header = read_arrays(path)
    header["settings"]["hidden"] = [10**6]
    write_arrays(path, arrays, header)
    with pytest.raises(ValueError, match="not the shape of the weights"):
        GRU4Rec.load(path)


def test_a_session_longer_than_the_batch_is_wide():
    """Fewer sessions than batch_size: a smaller batch, no error."""
    model = GRU4Rec(hidden=(3,), batch_size=500, n_sample=3, epochs=2).fit(LOG)
    assert np.isfinite(model.losses_).all()
