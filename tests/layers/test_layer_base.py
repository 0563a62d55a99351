"""Layer: finding parameters, converting them, and files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.layer import Layer
from nnlib.layers import GRU, Dense, Embedding, Sequential
from nnlib.parameter import Parameter
from nnlib.storage import write_arrays


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


class Assorted(Layer):
    """Parameters and arrays wherever an attribute can hold them."""

    def __init__(self, shared: Parameter) -> None:
        self.second = shared
        self.blocks = [Dense(2, 3, rng=rng()), (shared, Dense(3, 1, rng=rng(), bias=False))]
        self.by_name = {"a": Parameter(np.ones(2, np.float32)), "path": np.arange(3)}
        self.scale = np.ones(2, np.float32)
        self.arrays = [np.zeros(1, np.float32), np.zeros(2, np.float32)]
        self.n, self.text, self.none = 3, "W", None

    def __call__(self, x: Array, rng: Any = None) -> tuple[Array, Any]:
        return x, lambda dy: dy.copy()


def test_parameters_are_found_in_order_and_shared_ones_once() -> None:
    shared = Parameter(np.zeros(4, np.float32))
    layer = Assorted(shared)
    names = [name for name, _ in layer.named_parameters()]
    assert names == ["second", "blocks.0.W", "blocks.0.b", "blocks.1.1.W", "by_name.a"]
    assert layer.parameters()[0] is shared
    assert len(layer.parameters()) == 5


def test_tied_layers_have_one_set_of_parameters() -> None:
    dense = Dense(3, 3, rng=rng())
    twice = Sequential(dense, dense)
    assert [name for name, _ in twice.named_parameters()] == ["steps.0.W", "steps.0.b"]
    x = rng().standard_normal((2, 3))
    y, backward = twice(x)
    backward(np.ones_like(y))
    np.testing.assert_allclose(dense.b.grad, 2 + 2 * dense.W.value.sum(axis=1), rtol=1e-6)


def test_astype_converts_parameters_and_arrays_of_floats_only() -> None:
    layer = Assorted(Parameter(np.zeros(4, np.float32)))
    layer.second.accumulate(np.ones(4, np.float32))
    assert layer.astype(np.float64) is layer
    assert {p.value.dtype for p in layer.parameters()} == {np.dtype(np.float64)}
    assert layer.scale.dtype == np.float64
    assert [a.dtype for a in layer.arrays] == [np.float64, np.float64]
    assert layer.by_name["path"].dtype == np.arange(3).dtype
    assert layer.second.grad is None
    assert layer.blocks[1][0] is layer.second


def test_to_cpu_changes_nothing() -> None:
    layer = GRU(2, 3, rng=rng())
    before = {name: p.value.copy() for name, p in layer.named_parameters()}
    layer.to("cpu")
    for name, p in layer.named_parameters():
        np.testing.assert_array_equal(p.value, before[name])


def test_save_and_load(tmp_path: Path) -> None:
    layer = Sequential(Embedding(4, 3, rng=rng()), Dense(3, 2, rng=rng()))
    layer.save(tmp_path / "layer.safetensors")
    other = Sequential(
        Embedding(4, 3, rng=np.random.default_rng(1)), Dense(3, 2, rng=np.random.default_rng(2))
    )
    values = [p.value for p in other.parameters()]
    other.parameters()[0].accumulate(np.ones((4, 3), np.float32))
    assert other.load(tmp_path / "layer.safetensors") is other
    for p, q, value in zip(layer.parameters(), other.parameters(), values, strict=True):
        np.testing.assert_array_equal(p.value, q.value)
        assert q.value is value  # in place: an optimizer or a tied layer may hold it
        assert q.grad is None
    assert list(tmp_path.iterdir()) == [tmp_path / "layer.safetensors"]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Dense(3, 4, rng=rng()), r"'W' has shape \(3, 2\), the layer \(3, 4\)"),
        (Dense(3, 2, rng=rng(), bias=False), "'b' is in the file or the layer only"),
        (Embedding(3, 2, rng=rng()), "'E' is in the file or the layer only"),
        (Dense(3, 2, rng=rng()).astype(np.float64), "'W' is float32, the layer float64"),
    ],
)
def test_a_file_of_another_layer_is_refused(tmp_path: Path, layer: Layer, message: str) -> None:
    Dense(3, 2, rng=rng()).save(tmp_path / "dense")
    before = {name: p.value.copy() for name, p in layer.named_parameters()}
    with pytest.raises(ValueError, match=message):
        layer.load(tmp_path / "dense")
    for name, p in layer.named_parameters():
        np.testing.assert_array_equal(p.value, before[name])


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "header", "foreign"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "damaged"
    layer = Dense(30, 20, rng=rng())
    layer.save(path)
    content = path.read_bytes()
    if damage == "foreign":
        from safetensors.numpy import save_file

        arrays = {name: p.value for name, p in layer.named_parameters()}
        save_file(arrays, path)  # a safetensors file without nnlib's header
    else:
        path.write_bytes(
            {
                "empty": b"",
                "text": b"W = 1\n" * 50,
                "truncated": content[:-100],
                "header": b"\xff" * 8 + content[8:],
            }[damage]
        )
    value = layer.W.value.copy()
    with pytest.raises(ValueError, match=f"{path.name}: .*safetensors"):
        layer.load(path)
    np.testing.assert_array_equal(layer.W.value, value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such file"):
        Dense(1, 1, rng=rng()).load(tmp_path / "nowhere")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = Dense(3, 2, rng=rng())
    layer.save(tmp_path / "dense")
    content = (tmp_path / "dense").read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError, match="no space"):
        write_arrays(tmp_path / "dense", {"W": np.zeros(3)}, {})
    assert (tmp_path / "dense").read_bytes() == content
    assert list(tmp_path.iterdir()) == [tmp_path / "dense"]
