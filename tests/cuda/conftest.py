"""The double of CuPy in place of CuPy, for the tests of this folder that ask for it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nnlib.cuda import cuda_kernels, graph, kernel
from nnlib.models import epochs


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
def load() -> Callable[[str], ModuleType]:
    """load(name): a module of this folder."""
    return _load


@pytest.fixture(scope="session")
def double() -> ModuleType:
    """tests/cuda/double.py."""
    _load("capture")
    return _load("double")


@pytest.fixture
def device(double: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The double in place of CuPy: `device="cuda"` works, on the CPU and without kernels."""
    cupy, cupyx = double.modules()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    monkeypatch.setattr(epochs, "cuda_kernels", nullcontext)
    double.waits.clear()
    _load("capture").reset()
    return double


@pytest.fixture(params=["forwards", "backwards"])
def kernels(
    request: pytest.FixtureRequest, device: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """The kernels as well, compiled for the CPU; the order of threads must not matter."""
    with _kernels(monkeypatch, backwards=request.param == "backwards") as on_cpu:
        yield on_cpu


@pytest.fixture
def library(
    device: ModuleType, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Kernels in one order, and cuBLAS, all of which can be recorded."""
    library = load("fake_cublas").FakeCublas(load("capture").run_at)
    monkeypatch.setattr(graph, "find_cublas", lambda: library)
    with _kernels(monkeypatch, backwards=False):
        yield library


@contextmanager
def _kernels(monkeypatch: pytest.MonkeyPatch, backwards: bool) -> Iterator[ModuleType]:
    on_cpu = _load("kernels_on_cpu")
    if on_cpu.COMPILER is None:
        pytest.skip("no C++ compiler to run the kernels on the CPU with")
    monkeypatch.setattr(sys.modules["cupy"], "RawModule", on_cpu.RawModule, raising=False)
    monkeypatch.setattr(epochs, "cuda_kernels", cuda_kernels)
    kernel._module.cache_clear()
    on_cpu.RawModule.backwards = backwards
    on_cpu.launches.clear()
    yield on_cpu
    kernel._module.cache_clear()
