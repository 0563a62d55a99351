"""The exported step, run by onnxruntime, against a live session of the model it came from."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from nnlib.models import GRU4Rec
from nnlib.models.base import NotFittedError
from nnlib.models.session.onnx_step import export_onnx

pytest.importorskip("onnx", reason="the exporter needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="what runs the exported file")

N = 60
IDS = np.arange(N) * 3 + 7


def untrained(**settings):
    """A model with random weights and biases."""
    model = GRU4Rec(**settings)
    rng = np.random.default_rng(0)
    model.item_ids_, model.losses_, model.net_ = IDS, [], model._build(N)
    for p in model.net_.parameters():
        p.value[...] = rng.normal(0, 0.5, p.value.shape)
    return model


def exported(model, path, **options):
    export_onnx(model, path, **options)
    return onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def start(model, n=1):
    return {f"state_{i}": np.zeros((n, h), np.float32) for i, h in enumerate(model.hidden)}


def step(onnx, item, states):
    """(items, scores, states) after one click of each visitor."""
    items, scores, *new = onnx.run(None, {"item": np.array(item, np.int64), **states})
    return items, scores, dict(zip(states, new, strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": (8,), "embedding": "shared"},
        {"hidden": (8,), "embedding": 5},
        {"hidden": (8,), "embedding": None},
        {"hidden": (8, 6), "embedding": "shared", "reset": "before"},
        {"hidden": (8, 6), "embedding": None, "reset": "after"},
        {"hidden": (6, 6, 6), "embedding": "separate"},
    ],
    ids=str,
)
def test_click_by_click_as_a_live_session(settings, tmp_path):
    model = untrained(**settings)
    onnx, live, states = (
        exported(model, tmp_path / "step.onnx", k=12),
        model.session(),
        start(model),
    )
    for code in np.random.default_rng(1).integers(0, N, 25).tolist():
        items, scores, states = step(onnx, [code], states)
        expected = live.click(int(IDS[code])).top(12)
        np.testing.assert_allclose(scores[0], [s for _, s in expected], rtol=0, atol=1e-5)
        assert IDS[items[0]].tolist() == [item for item, _ in expected]
        for h, name in zip(live.states, states, strict=True):
            np.testing.assert_allclose(states[name], h, rtol=0, atol=1e-5)


def test_many_visitors_at_once(tmp_path):
    model = untrained(hidden=(8, 6))
    onnx, clicks = exported(model, tmp_path / "step.onnx"), np.arange(20).reshape(4, 5) % 17
    states, alone = start(model, 4), [start(model) for _ in clicks]
    for t in range(5):
        items, _, states = step(onnx, clicks[:, t], states)
        for b in range(4):
            of_one, _, alone[b] = step(onnx, clicks[b : b + 1, t], alone[b])
            assert of_one[0].tolist() == items[b].tolist()
    assert items.shape == (4, 20)


def test_raw_ids_are_in_the_file(tmp_path):
    model = untrained(hidden=(4,))
    assert json.loads(properties(exported(model, tmp_path / "a.onnx"))["item_ids"]) == IDS.tolist()
    model.item_ids_ = np.array([f"item {i}" for i in range(N)], object)
    assert json.loads(properties(exported(model, tmp_path / "b.onnx"))["item_ids"])[3] == "item 3"


def properties(onnx):
    return onnx.get_modelmeta().custom_metadata_map


def test_a_shared_table_is_written_once(tmp_path):
    model = untrained(hidden=(64,), embedding="shared")
    export_onnx(model, tmp_path / "step.onnx")
    weights = sum(p.value.nbytes for p in model.net_.parameters())
    assert weights < (tmp_path / "step.onnx").stat().st_size < weights + 8_000


def test_no_more_items_than_there_are(tmp_path):
    model = untrained(hidden=(4,))
    items, _, _ = step(exported(model, tmp_path / "step.onnx", k=1000), [0], start(model))
    assert sorted(items[0].tolist()) == list(range(N))


def test_what_cannot_be_exported(tmp_path, monkeypatch):
    path = tmp_path / "step.onnx"
    with pytest.raises(NotFittedError):
        export_onnx(GRU4Rec(), path)
    model = untrained(hidden=(4,))
    with pytest.raises(ValueError, match="k=0"):
        export_onnx(model, path, k=0)
    other = replace(model)
    other.item_ids_, other.net_ = IDS, object()
    with pytest.raises(ValueError, match="only GRU4Rec can"):
        export_onnx(other, path)
    monkeypatch.setattr("nnlib.models.session.onnx_step.LIMIT", 100)
    with pytest.raises(ValueError, match="at most 2 GB"):
        export_onnx(model, path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"nnlib\[export\]"):
        export_onnx(model, path)
    assert not path.exists()
