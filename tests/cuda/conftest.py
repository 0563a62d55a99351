"""The double of CuPy in place of CuPy, for the tests of this folder that ask for it."""

import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    full = f"cuda_tests_{name}"
    if full not in sys.modules:
        spec = util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@pytest.fixture(scope="session")
def double() -> ModuleType:
    """tests/cuda/double.py."""
    return _load("double")


@pytest.fixture
def device(double: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The double in place of CuPy: `device="cuda"` works, on the CPU."""
    cupy, cupyx = double.modules()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    double.waits.clear()
    yield double
