"""Everything that can be differentiated, every optimizer and the ranks, on the double of CuPy.

The examples are those of the gradient checks.  What an example holds, its layer's parameters and
its targets, is moved to the device with it.
"""

import copy
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from nnlib import optim
from nnlib.array import array_module, to_device, to_host
from nnlib.check.cases import CASES, SIZES, Case
from nnlib.check.subject import as_tuple, named
from nnlib.functional import rows
from nnlib.layer import Layer
from nnlib.metrics import ranking
from nnlib.parameter import Parameter

# Examples that are host code themselves, and layers that are made for the host.
ON_THE_HOST = {
    "hierarchical_softmax": "the example scatters with NumPy",
    "hierarchical_softmax_cut": "the example scatters with NumPy",
}


def moved(x: Any, memo: dict[int, Any] | None = None) -> Any:
    """`x` with every array in it on the device: layers, closures and tuples are gone through."""
    memo = {} if memo is None else memo
    if id(x) not in memo:
        memo[id(x)] = _moved(x, memo), x  # x is kept: its id must not be given to another object
    return memo[id(x)][0]


def _moved(x: Any, memo: dict[int, Any]) -> Any:
    if isinstance(x, np.ndarray):
        return to_device(x, "cuda")
    if isinstance(x, Layer):
        mine = copy.copy(x)
        memo[id(x)] = mine, x
        vars(mine).update({name: moved(value, memo) for name, value in vars(x).items()})
        return mine
    if isinstance(x, Parameter):
        return Parameter(moved(x.value, memo))
    if isinstance(x, dict):
        return {key: moved(value, memo) for key, value in x.items()}
    if isinstance(x, list | tuple):
        parts = [moved(part, memo) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    if isinstance(x, FunctionType) and x.__closure__:
        for cell in x.__closure__:
            cell.cell_contents = moved(cell.cell_contents, memo)
    return x


def results(case: Case, device: Any = None) -> dict[str, Any]:
    """Outputs, gradients of inputs and of parameters, on the host."""
    default_rng = np.random.default_rng
    f, inputs, params = case.make(default_rng(1), SIZES)
    rng = default_rng(2)
    with pytest.MonkeyPatch.context() as patch:
        if device:
            f, inputs, params = moved((f, inputs, params))
            # examples with dropout make their generator themselves
            patch.setattr(np.random, "default_rng", lambda s: device.Generator(default_rng(s)))
        y, backward = f(*inputs)
        dy = [rng.normal(size=part.shape) for part in as_tuple(y)]
        dx = backward(*(moved(dy) if device else dy))
    arrays = {"y": y, "dx": dx, **{n: p.dense_grad() for n, p in named(f, params).items()}}
    return {
        f"{name}[{i}]": to_host(part)
        for name, value in arrays.items()
        for i, part in enumerate(as_tuple(value))
        if part is not None
    }


def equal(mine: dict[str, Any], reference: dict[str, Any]) -> None:
    assert mine.keys() == reference.keys()
    for name, expected in reference.items():
        assert mine[name].dtype == np.asarray(expected).dtype, name
        np.testing.assert_allclose(mine[name], expected, 1e-9, 1e-11, err_msg=name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_function(case: Case, device: Any) -> None:
    if case.target.__name__ in ON_THE_HOST:
        pytest.skip(ON_THE_HOST[case.target.__name__])
    equal(results(case, device), results(case))


OPTIMIZERS = {
    "SGD": {"lr": 0.1},
    "Momentum": {"lr": 0.1, "momentum": 0.9},
    "Nesterov": {"lr": 0.1, "momentum": 0.9},
    "Adagrad": {"lr": 0.1},
    "Adagrad with momentum": {"lr": 0.1, "momentum": 0.5},
    "RMSProp": {"lr": 0.1},
    "Adadelta": {},
    "Adam": {"lr": 0.1},
    "AdamW": {"lr": 0.1, "weight_decay": 0.1},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str, device: Any) -> None:
    """Dense and row gradients, repeated ids among them, over three steps, with clipping and L2."""

    def run(where: Any) -> list[Any]:
        rng = np.random.default_rng(0)
        put = lambda x: to_device(x, where)
        dense, table = (Parameter(put(rng.normal(size=(6, 4)))) for _ in range(2))
        optimizer = getattr(optim, name.split()[0])([dense, table], **OPTIMIZERS[name])
        for _ in range(3):
            dense.accumulate(put(rng.normal(size=(6, 4))))
            table.accumulate_rows(put(rng.integers(6, size=9)), put(rng.normal(size=(9, 4))))
            optim.l2_penalty([dense], 0.1)
            norm = optim.clip_global_norm([dense, table], 1.0)
            optimizer.step()
        optim.soft_threshold([dense], 0.01)
        optimizer.restore({k: to_host(v) for k, v in optimizer.arrays().items()})
        return [to_host(x) for x in (dense.value, table.value, norm)]

    for mine, expected in zip(run("cuda"), run("cpu"), strict=True):
        np.testing.assert_allclose(mine, expected, 1e-10)


@pytest.mark.parametrize("n", [0, 1, 40, 400])  # on either side of rows.FEW
@pytest.mark.parametrize("size", [1, 30, 10**4])
def test_rows(n: int, size: int, device: Any) -> None:
    rng = np.random.default_rng(n)
    ids, values = rng.integers(size, size=n), rng.normal(size=(n, 3))
    on = lambda *arrays: tuple(to_device(a, "cuda") for a in arrays)
    for mine, expected in zip(
        (
            *(rows.coalesce(*on(ids, values)) if n else ()),
            *rows.distinct(*on(ids, np.zeros(size, np.int32))),
        ),
        (*(rows.coalesce(ids, values) if n else ()), *rows.distinct(ids, np.zeros(size, np.int32))),
        strict=True,
    ):
        np.testing.assert_allclose(to_host(mine), expected, 1e-12)
    (table,) = on(np.zeros((size, 3)))
    rows.add_rows(table, *on(ids, values))
    expected = np.zeros((size, 3))
    np.add.at(expected, ids, values)
    np.testing.assert_allclose(to_host(table), expected, atol=1e-12)


@pytest.mark.parametrize("ties", ["standard", "conservative", "median"])
def test_ranks(ties: Any, device: Any) -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.integers(5, size=(7, 11)).astype(np.float32), rng.integers(11, size=7)
    mine = ranking.ranks(to_device(scores, "cuda"), to_device(target, "cuda"), ties)
    np.testing.assert_array_equal(to_host(mine), ranking.ranks(scores, target, ties))
    scores[3, 4] = np.nan
    with pytest.raises(ValueError, match="item 4 in row 3"):
        ranking.ranks(to_device(scores, "cuda"), to_device(target, "cuda"), ties)


def test_the_double_refuses_what_cupy_refuses(device: Any) -> None:
    x, host = to_device(np.arange(3.0), "cuda"), np.arange(3.0)
    xp = array_module(x)
    for mistake in (
        lambda: np.asarray(x),
        lambda: np.sqrt(x),
        lambda: np.concatenate([x, x]),
        lambda: x + host,
        lambda: host * x,
        lambda: x[np.array([0])],
        lambda: x.__setitem__(slice(None), host),
        lambda: xp.maximum(x, host),
        lambda: xp.concatenate([x, host]),
        lambda: xp.maximum.at(xp.zeros(3, np.int64), xp.arange(2), 1),
        lambda: xp.sum(x, where=x > 0),
    ):
        with pytest.raises(TypeError):
            mistake()
    with pytest.raises(ValueError, match="stably"):
        xp.argsort(x, kind="quicksort")
    with pytest.raises(AttributeError):
        xp.vecdot(x, x)
    assert float((np.float64(2) * x + 1).sum()) == 9
    assert device.waits["float"] == 1


def test_the_double_offers_nothing_that_cupy_has_not(double: Any) -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed to compare with")
    import inspect

    tables = {"": double.FUNCTIONS, **double.BELOW}
    for path, table in tables.items():
        owner = cupy
        for part in filter(None, path.split(".")):
            owner = getattr(owner, part)
        for name, parameters in double.parameters_of(table).items():
            theirs = inspect.signature(getattr(owner, name)).parameters
            assert set(parameters) <= set(theirs), f"cupy.{name} takes {sorted(theirs)}"
    for name in double.UFUNCS.split():
        assert isinstance(getattr(cupy, name), cupy.ufunc), name
