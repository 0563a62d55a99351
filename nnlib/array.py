"""NumPy or CuPy: which module an array belongs to, and moving arrays between host and GPU.

CuPy is imported here and in `nnlib.cuda` only, and only once an array is asked to go to the GPU.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np

Array: TypeAlias = Any  # a numpy.ndarray or a cupy.ndarray, which have no common type
Backward: TypeAlias = Callable[..., Any]
Device: TypeAlias = Literal["cpu", "cuda"]

ON_HOST = (np.ndarray, np.generic)  # a tuple: a union of types would be made anew at every look

F = TypeVar("F", bound=Callable[..., Any])

# Kernels by the name of the function they replace, on the CPU and on the GPU.
COMPILED: dict[str, Callable[..., Any]] = {}
FUSED: dict[str, Callable[..., Any]] = {}


class DeviceError(RuntimeError):
    """A GPU was asked for and there is none that can be used."""


def array_module(x: Array) -> ModuleType:
    """The module, numpy or cupy, whose functions take `x`."""
    if isinstance(x, ON_HOST):
        return np
    return sys.modules["cupy"]


def to_device(x: Array, device: Device) -> Array:
    """`x` on the CPU ("cpu") or the GPU ("cuda"); `x` itself if it is there already.

    Raises
        DeviceError: the GPU was asked for and cannot be used; the message says why.
    """
    if device == "cpu":
        return to_host(x)
    check_device(device)
    return sys.modules["cupy"].asarray(x)


def to_host(x: Array) -> Array:
    """`x` as a NumPy array."""
    if isinstance(x, ON_HOST):
        return np.asarray(x)
    return x.get()


def check_device(device: str) -> None:
    """Raise a `DeviceError` or `ValueError` unless `device` can be used here."""
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device={device!r}: it must be 'cpu' or 'cuda'")
    if device == "cuda" and (problem := gpu_problem()):
        raise DeviceError(f"device='cuda': {problem}; use device='cpu' or mend that")


def gpu_problem() -> str | None:
    """Why no GPU can be used, in one clause; None if one can."""
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed (pip install 'nnlib[cuda12]' or 'nnlib[cuda13]')"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no CUDA device ({error})"
    return None if count else "CuPy finds no CUDA device"


def generator(seed: int | Sequence[int], device: Device) -> np.random.Generator:
    """A random generator whose draws live on `device`; CPU and GPU streams differ."""
    if device == "cpu":
        return np.random.default_rng(seed)
    check_device(device)
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return cast(np.random.Generator, sys.modules["cupy"].random.default_rng(int(state[0])))


def keep_freed_memory() -> None:
    """Let the C library keep freed arrays of up to 31 MB instead of handing them to the kernel.

    glibc returns freed memory beyond a threshold, which it raises to the size of a freed block
    (32 MB at most) whenever one was larger.  Above it, every temporary of a training step comes
    back as new, zeroed pages: hundreds of page faults a step.
    """
    np.empty(31 * 2**20, np.uint8)  # freed at once, and never touched, so it costs nothing


def fusable(reference: F) -> F:
    """Let a kernel of the same name in `COMPILED` or `FUSED` replace `reference` on its device.

    Without a kernel the same code runs on NumPy and CuPy, so every function works on both devices.
    The reference stays at hand: `without_kernel(op)`.
    """
    name = reference.__name__

    @functools.wraps(reference)
    def op(first: Array, *rest: Any, **options: Any) -> Any:
        kernels = COMPILED if type(first) is np.ndarray else FUSED
        return kernels.get(name, reference)(first, *rest, **options)

    return cast(F, op)


def without_kernel(op: F) -> F:
    """The reference that a kernel stands in for, for arrays that the kernel does not take."""
    return cast(F, op.__wrapped__)  # type: ignore[attr-defined]
