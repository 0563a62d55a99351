"""Settings, their ranges, and going on from a checkpoint."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nnlib.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
)
from nnlib.parameter import Parameter
from nnlib.storage import read_arrays, write_arrays

Make = Callable[[list[Parameter]], Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda p: SGD(p, 0.1),
    "Momentum": lambda p: Momentum(p, 0.1),
    "Nesterov": lambda p: Nesterov(p, 0.1),
    "Adagrad": lambda p: Adagrad(p, 0.1, momentum=0.3, initial=1e-6, eps=0.0),
    "RMSProp": lambda p: RMSProp(p, 0.1),
    "Adadelta": Adadelta,
    "Adam": lambda p: Adam(p, 0.1),
    "AdamW": lambda p: AdamW(p, 0.1),
}


def parameters() -> list[Parameter]:
    rng = np.random.default_rng(0)
    return [Parameter(rng.normal(size=s).astype(np.float32)) for s in [(6, 2), (3,)]]


def train(optimizer: Optimizer, steps: range) -> None:
    for t in steps:
        rng = np.random.default_rng((1, t))
        E, b = optimizer.params
        ids = rng.integers(6, size=4)
        E.accumulate_rows(ids, rng.normal(size=(4, 2)).astype(np.float32))
        b.accumulate(rng.normal(size=3).astype(np.float32))
        optimizer.lr *= 0.9
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_equals_uninterrupted_bit_for_bit(name: str, tmp_path: Path) -> None:
    straight = OPTIMIZERS[name](parameters())
    train(straight, range(8))

    first = OPTIMIZERS[name](parameters())
    train(first, range(5))
    write_arrays(tmp_path / "state.safetensors", first.arrays(), {})
    params = [Parameter(p.value.copy()) for p in first.params]
    second = OPTIMIZERS[name](params)
    second.restore(read_arrays(tmp_path / "state.safetensors")[0])
    train(second, range(5, 8))

    for p, q in zip(straight.params, second.params, strict=True):
        np.testing.assert_array_equal(p.value, q.value)
    assert straight.arrays().keys() == second.arrays().keys()
    for key, array in straight.arrays().items():
        np.testing.assert_array_equal(array, second.arrays()[key])


def test_names_of_the_state() -> None:
    optimizer = OPTIMIZERS["Adagrad"](parameters())
    assert sorted(optimizer.arrays()) == ["0.G", "0.v", "1.G", "1.v", "lr", "t"]
    assert sorted(OPTIMIZERS["Adam"](parameters()).arrays())[:4] == ["0.M", "0.V", "1.M", "1.V"]
    assert (optimizer.slots[0]["G"] == np.float32(1e-6)).all()


def test_a_restored_optimizer_shares_nothing_with_the_first() -> None:
    first, second = OPTIMIZERS["Adam"](parameters()), OPTIMIZERS["Adam"](parameters())
    train(first, range(2))
    second.restore(first.arrays())
    kept = {key: array.copy() for key, array in second.arrays().items()}
    train(first, range(2, 4))
    for key, array in second.arrays().items():
        np.testing.assert_array_equal(array, kept[key])


def test_a_foreign_state_is_refused() -> None:
    adam, sgd = OPTIMIZERS["Adam"](parameters()), OPTIMIZERS["SGD"](parameters())
    with pytest.raises(ValueError, match=r"'0\.M' is in the checkpoint or the optimizer only"):
        sgd.restore(adam.arrays())
    wider = OPTIMIZERS["Adam"]([Parameter(np.zeros((6, 3))), Parameter(np.zeros(3))])
    with pytest.raises(ValueError, match=r"'0\.M' has shape \(6, 3\) in the checkpoint, \(6, 2\)"):
        adam.restore(wider.arrays())
    assert adam.t == 0


@pytest.mark.parametrize("lr", [0, -0.1, math.nan, math.inf])
@pytest.mark.parametrize("make", [SGD, Momentum, Nesterov, Adagrad, RMSProp, Adadelta, Adam, AdamW])
def test_learning_rates(make: Callable[..., Optimizer], lr: float) -> None:
    with pytest.raises(ValueError, match=r"lr=.*: the learning rate must be positive and finite"):
        make(parameters(), lr)


@pytest.mark.parametrize(
    ("make", "name", "bad"),
    [
        (Momentum, "momentum", 1.0),
        (Nesterov, "momentum", -0.1),
        (Adagrad, "momentum", 1.5),
        (Adagrad, "initial", -1.0),
        (Adagrad, "eps", math.inf),
        (RMSProp, "decay", 1.0),
        (RMSProp, "eps", -1e-8),
        (Adadelta, "decay", math.nan),
        (Adadelta, "eps", 0.0),
        (Adam, "betas", (1.0, 0.9)),
        (Adam, "betas", (0.9, -0.1)),
        (Adam, "eps", math.nan),
        (AdamW, "weight_decay", -0.1),
    ],
)
def test_ranges_of_settings(make: Callable[..., Optimizer], name: str, bad: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name}.*: it must "):
        make(parameters(), 0.1, **{name: bad})


def test_no_parameters() -> None:
    with pytest.raises(ValueError, match="params is empty"):
        SGD([], 0.1)
