"""What is being checked: its inputs and parameters, their names, and their values in one dtype."""

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nnlib.array import Array, to_host
from nnlib.layer import Layer
from nnlib.parameter import Parameter

Function: TypeAlias = Callable[..., tuple[Any, Callable[..., Any]]]
# Of dy, unless the caller draws it.  Not one that inputs are drawn with: dy would be the same
# numbers as x, and a mistake such as x for dy would pass.
SEED = 271_828

Parameters: TypeAlias = Layer | Iterable[Parameter | tuple[str, Parameter]]


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Several results are a tuple or list, one is itself: always a tuple."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def cast_copy(x: Any, dtype: npt.DTypeLike) -> Array:
    """A copy on the host, floating-point numbers in `dtype`, integers and booleans as they are.

    Raises
        TypeError: `x` is no array of numbers.
    """
    x = to_host(x) if hasattr(x, "dtype") else np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(
            f"an input of dtype {x.dtype} cannot be checked: "
            "pass what is not an array of numbers by a lambda, as in lambda x: f(x, option)"
        )
    return np.array(x, dtype=dtype if x.dtype.kind == "f" else x.dtype)


def named(f: Function, params: Parameters) -> dict[str, Parameter]:
    """The parameters by name, each once: those of f if it is a layer, then `params`."""
    sources: list[Parameters] = [f] if isinstance(f, Layer) else []
    found: dict[str, Parameter] = {}
    for source in [*sources, params]:
        entries = source.named_parameters() if isinstance(source, Layer) else source
        for position, entry in enumerate(entries):
            name, p = entry if isinstance(entry, tuple) else (f"params[{position}]", entry)
            if not any(p is other for other in found.values()):
                found[name] = p
    return found


def input_names(f: Function, count: int) -> list[str]:
    """What f calls its first `count` arguments; "xs[0]", "xs[1]" for those gathered by *xs."""
    names: list[str] = []
    with contextlib.suppress(TypeError, ValueError):
        for p in inspect.signature(f).parameters.values():
            if p.kind is p.VAR_POSITIONAL:
                names += [f"{p.name}[{i}]" for i in range(count - len(names))]
            elif p.kind is not p.KEYWORD_ONLY and p.kind is not p.VAR_KEYWORD:
                names.append(p.name)
    return names[:count] + [f"inputs[{i}]" for i in range(len(names), count)]


@contextlib.contextmanager
def values_in(dtype: npt.DTypeLike, parameters: Iterable[Parameter]) -> Iterator[None]:
    """Give the parameters copies of their values in `dtype` and no gradient, for a while."""
    parameters = list(parameters)
    kept = [(p.value, p.grad, p.rows) for p in parameters]
    try:
        for p in parameters:
            p.value = cast_copy(p.value, dtype)
            p.clear()
        yield
    finally:
        for p, (value, grad, rows) in zip(parameters, kept, strict=True):
            p.value, p.grad, p.rows = value, grad, rows
