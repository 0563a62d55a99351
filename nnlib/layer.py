"""Layer: a callable with parameters that returns its result and its backward."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nnlib.array import Array, Device, to_device
from nnlib.parameter import Parameter


class Layer:
    """Base of everything with parameters:  `y, backward = layer(x)`,  `dx = backward(dy)`.

    A subclass assigns Parameters and other Layers as attributes (or in lists, tuples and dicts)
    and defines `__call__`.  Nothing is registered: the attributes are walked in the order in which
    they were assigned, and a Parameter that occurs twice counts once, so tying weights needs
    nothing.
    """

    __call__: Callable[..., tuple[Any, Callable[..., Any]]]

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, as ("cell.W", parameter), in definition order."""
        seen: set[int] = set()
        for name, _, _, value in _walk(self, ""):
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> list[Parameter]:
        """Every parameter once, in definition order."""
        return [parameter for _, parameter in self.named_parameters()]

    def to(self, device: Device) -> Self:
        """Move parameters and plain arrays to the CPU or the GPU; gradients are dropped."""
        return self._convert(lambda array: to_device(array, device))

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Convert parameters and plain floating-point arrays; gradients are dropped."""
        return self._convert(
            lambda array: array.astype(dtype) if array.dtype.kind == "f" else array
        )

    def save(self, path: str | Path) -> None:
        """Write the parameters to a safetensors file, whole or not at all."""
        from nnlib.storage import write_arrays

        write_arrays(path, {name: p.value for name, p in self.named_parameters()}, {})

    def load(self, path: str | Path) -> Self:
        """Read the parameters from a file that `save` wrote for a layer of the same shape.

        Raises
            ValueError: not such a file, or its names, shapes or dtypes differ from this layer's.
        """
        from nnlib.storage import read_arrays

        arrays, _ = read_arrays(path)
        parameters = dict(self.named_parameters())
        if missing := sorted(parameters.keys() ^ arrays.keys()):
            raise ValueError(f"{path}: parameter {missing[0]!r} is in the file or the layer only")
        for name, p in parameters.items():
            if arrays[name].shape != p.value.shape:
                raise ValueError(
                    f"{path}: {name!r} has shape {arrays[name].shape}, the layer {p.value.shape}"
                )
            if arrays[name].dtype != p.value.dtype:
                raise ValueError(
                    f"{path}: {name!r} is {arrays[name].dtype}, the layer {p.value.dtype}: "
                    "convert the layer with astype first"
                )
        for name, p in parameters.items():
            p.value[...] = to_device(arrays[name], "cpu" if _on_host(p.value) else "cuda")
            p.clear()
        return self

    def _convert(self, function: Callable[[Array], Array]) -> Self:
        done: set[int] = set()
        for _, owner, key, value in list(_walk(self, "")):
            if isinstance(value, Parameter):
                if id(value) not in done:
                    done.add(id(value))
                    value.value = function(value.value)
                    value.clear()
            elif isinstance(owner, dict | list):
                owner[key] = function(value)
        return self


def _on_host(x: Array) -> bool:
    return isinstance(x, np.ndarray)


def _walk(owner: Any, prefix: str) -> Iterator[tuple[str, Any, Any, Any]]:
    """(name, container, key, value) of every Parameter and plain array below `owner`."""
    if isinstance(owner, Layer):
        owner = vars(owner)
    items = owner.items() if isinstance(owner, dict) else enumerate(owner)
    for key, value in items:
        name = f"{prefix}{key}"
        if isinstance(value, Layer | dict | list | tuple):
            yield from _walk(value, f"{name}.")
        elif isinstance(value, Parameter) or type(value).__name__ == "ndarray":
            yield name, owner, key, value
