"""Every public differentiable name has a case, and every case passes on any sizes and numbers."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import nnlib.functional
import nnlib.layers
import nnlib.losses
from nnlib.array import Backward
from nnlib.check.cases import CASES, Case, Sizes, run
from nnlib.functional import activations
from nnlib.layer import Layer


def modules(package: Any) -> list[Any]:
    names = [m.name for m in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    return [importlib.import_module(name) for name in names]


def public_functions(module: Any) -> Iterator[Callable[..., Any]]:
    for name, value in vars(module).items():
        if callable(value) and not name.startswith("_") and value.__module__ == module.__name__:
            yield value


def differentiable() -> list[Callable[..., Any]]:
    """`op`s that return a backward or have an `op_backward`, all layers, all losses."""
    found: list[Callable[..., Any]] = []
    for module in modules(nnlib.functional):
        found += [
            f
            for f in public_functions(module)
            if inspect.signature(f).return_annotation == tuple[Any, Backward]
            or hasattr(module, f"{f.__name__}_backward")
        ]
    for module in modules(nnlib.layers):
        found += [
            f for f in public_functions(module) if isinstance(f, type) and issubclass(f, Layer)
        ]
    for package in (nnlib.layers, nnlib.losses):
        found += [getattr(package, name) for name in getattr(package, "__all__", ())]
    return list(dict.fromkeys(found))


def test_the_walk_finds_what_there_is() -> None:
    names = {f.__name__ for f in differentiable()}
    assert {
        "sigmoid",
        "attention_weights",
        "gru_sequence",
        "GRU",
        "GRUStep",
        "concat",
        "bpr_max",
    } <= names
    assert activations.logistic not in differentiable()  # returns y alone


@pytest.mark.parametrize("f", differentiable(), ids=lambda f: f.__name__)
def test_every_public_name_has_a_case(f: Callable[..., Any]) -> None:
    assert any(case.target is f for case in CASES), (
        f"no case in nnlib/check/cases/: the backward of {f.__module__}.{f.__name__} is unchecked"
    )


def test_names_of_cases_are_distinct() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert all(case.name.startswith(case.target.__name__) for case in CASES)


size = st.integers(1, 4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@settings(max_examples=15)
@given(sizes=st.builds(Sizes, size, size, size, size, size, size), seed=st.integers(0, 2**32 - 1))
def test_gradients_and_contract(case: Case, sizes: Sizes, seed: int) -> None:
    report = run(case, np.random.default_rng(seed), sizes)
    assert report.passed, str(report)
