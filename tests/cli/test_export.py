"""`nnlib export` writes a file that onnxruntime runs, and says what is wrong otherwise."""

import sys

import numpy as np
import pytest

from nnlib.models import load_model


def test_export(nnlib, gru_file, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    out = tmp_path / "gru.onnx"
    n = len(load_model(gru_file).item_ids_)
    assert nnlib("export", gru_file, out, "-k", 5, "--json").json() == {
        "out": str(out), "items": n, "k": 5, "states": [8],
    }  # fmt: skip
    assert f"{n} items" in nnlib("export", gru_file, out).out
    session = runtime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    feed = {"item": np.array([0]), "state_0": np.zeros((1, 8), np.float32)}
    assert session.run(["items"], feed)[0].shape == (1, 20)


def test_bad_input(refused, gru_file, tmp_path, monkeypatch):
    assert "ends in .onnx" in refused("export", gru_file, tmp_path / "gru.safetensors")
    assert "does not exist" in refused("export", gru_file, tmp_path / "no" / "gru.onnx")
    assert "no such file" in refused("export", tmp_path / "gru", tmp_path / "gru.onnx")
    pytest.importorskip("onnx")
    assert "k=0" in refused("export", gru_file, tmp_path / "gru.onnx", "-k", 0)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "nnlib[export]" in refused("export", gru_file, tmp_path / "gru.onnx")


def test_only_a_gru4rec(nnlib, refused, logs, tmp_path):
    model = tmp_path / "pop"
    assert nnlib("train", logs[0], "--out", model, "--model", "Popularity").code == 0
    assert "only a GRU4Rec" in refused("export", model, tmp_path / "pop.onnx")
