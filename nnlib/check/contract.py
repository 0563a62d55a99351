"""The contract of `y, backward = f(*inputs)`: what no comparison of numbers shows.

A backward can return the right numbers and still be wrong: it may write to the `dy` that another
branch is about to use, keep it, forget one of two calls, or turn float32 into float64.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnlib.array import Array
from nnlib.check.subject import (
    SEED,
    Function,
    Parameters,
    as_tuple,
    cast_copy,
    input_names,
    named,
    values_in,
)
from nnlib.parameter import Parameter


def check_contract(
    f: Function,
    *inputs: Array,
    params: Parameters = (),
    rng: np.random.Generator | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> list[str]:
    """Every clause of the contract that f breaks, one sentence each; an empty list if none.

    Checked: the forward is deterministic; results and gradients have the dtype of the inputs;
    gradients have the shapes of what they belong to, integer inputs have None; inputs, parameters
    and dy are not written to; no gradient shares memory with them or with another gradient; a
    second call of backward gives the same and adds as much again; backward is linear in dy; and a
    scalar's dy is 1 if left out.

    Arguments
        f, inputs, params, rng: as for `check_gradients`
        dtype: that the check runs in: floating-point inputs and parameters are cast to it
    """
    rng = np.random.default_rng(SEED) if rng is None else rng
    parameters = named(f, params)
    copies = [cast_copy(x, dtype) for x in inputs]
    names = input_names(f, len(inputs))
    with values_in(dtype, parameters.values()):
        return list(_breaches(f, dict(zip(names, copies, strict=True)), parameters, rng, dtype))


def _breaches(
    f: Function,
    inputs: dict[str, Array],
    parameters: dict[str, Parameter],
    rng: np.random.Generator,
    dtype: npt.DTypeLike,
) -> Iterator[str]:
    dtype = np.dtype(dtype)
    read_only = [*inputs.items(), *((name, p.value) for name, p in parameters.items())]
    before = [x.copy() for _, x in read_only]

    y, backward = f(*inputs.values())
    outputs = [np.array(part, copy=True) for part in as_tuple(y)]
    again = as_tuple(f(*inputs.values())[0])
    if not _same(outputs, again):
        yield (
            "two calls with the same inputs differ: give it its noise anew each time, "
            "as in lambda x: f(x, rng=np.random.default_rng(7))"
        )
    for part in outputs:
        if part.dtype != dtype:
            yield f"a result is {part.dtype} where the inputs are {dtype}"

    dys = _random_like(outputs, rng)
    dys_before = [dy.copy() for dy in dys]
    dinputs = as_tuple(backward(*dys))
    dparams = {name: p.dense_grad() for name, p in parameters.items()}
    yield from _malformed(inputs, dinputs, parameters, dtype)
    if not _same(dys, dys_before):
        yield "backward writes to dy"
    for (name, x), old in zip(read_only, before, strict=True):
        if not _same([x], [old]):
            yield f"{name} is written to"
    for (name, p), (_, value) in zip(parameters.items(), read_only[len(inputs) :], strict=True):
        if p.value is not value:
            yield f"{name}.value is replaced"
    yield from _aliases(
        list(_gradients(inputs, dinputs, parameters)), [("dy", dy) for dy in dys] + read_only
    )

    dinputs = tuple(None if d is None else np.array(d, copy=True) for d in dinputs)
    if not _same(_arrays(dinputs), _arrays(as_tuple(backward(*dys)))):
        yield "a second call of backward gives another gradient"
    for name, p in parameters.items():
        if not _close(p.dense_grad(), 2 * dparams[name]):
            yield f"a second call of backward does not add the same gradient to {name} again"

    def gradient(*dys: Any) -> list[Array]:
        for p in parameters.values():
            p.clear()
        results = _arrays(as_tuple(backward(*dys)))
        return results + [p.dense_grad() for p in parameters.values()]

    others = _random_like(outputs, rng)
    size = max((float(np.abs(dy).max(initial=0)) for dy in dys + others), default=0)
    mixed = [0.5 * dy - 2 * other for dy, other in zip(dys, others, strict=True)]
    parts = zip(gradient(*mixed), gradient(*dys), gradient(*others), strict=True)
    if not all(_close(whole, 0.5 * a - 2 * b, size) for whole, a, b in parts):
        yield "backward is not linear in dy"
    if len(outputs) == 1 and outputs[0].ndim == 0:
        one = np.ones((), dtype)
        if not all(_close(a, b, 1) for a, b in zip(gradient(), gradient(one), strict=True)):
            yield "backward() is not backward(1.0)"


def _malformed(
    inputs: dict[str, Array],
    dinputs: tuple[Any, ...],
    parameters: dict[str, Parameter],
    dtype: np.dtype[Any],
) -> Iterator[str]:
    """Gradients that are missing, superfluous, or of another shape or dtype than they should."""
    if len(dinputs) != len(inputs):
        yield f"backward returns {len(dinputs)} gradients for {len(inputs)} inputs"
    for (name, x), dx in zip(inputs.items(), dinputs, strict=False):
        if x.dtype.kind != "f":
            if dx is not None:
                yield f"the gradient of {name}, which is {x.dtype}, is not None"
        elif dx is None:
            yield f"the gradient of {name} is None"
        elif np.shape(dx) != x.shape or np.asarray(dx).dtype != dtype:
            yield (
                f"the gradient of {name} is {np.asarray(dx).dtype} {np.shape(dx)}, "
                f"{name} is {dtype} {x.shape}"
            )
    for name, p in parameters.items():
        if p.grad is not None and (p.grad.shape != p.value.shape or p.grad.dtype != dtype):
            yield (
                f"the gradient of {name} is {p.grad.dtype} {p.grad.shape}, "
                f"{name} is {dtype} {p.value.shape}"
            )
        for part in p.rows:
            if part.values.dtype != dtype:
                yield f"a row gradient of {name} is {part.values.dtype}, {name} is {dtype}"
            if part.distinct and len(np.unique(part.ids)) < part.ids.size:
                yield f"row ids of {name} repeat although they are said to be distinct"


def _gradients(
    inputs: dict[str, Array], dinputs: tuple[Any, ...], parameters: dict[str, Parameter]
) -> Iterator[tuple[str, Array]]:
    for name, dx in zip(inputs, dinputs, strict=False):
        if isinstance(dx, np.ndarray):
            yield f"the gradient of {name}", dx
    for name, p in parameters.items():
        if p.grad is not None:
            yield f"the gradient of {name}", p.grad
        for i, part in enumerate(p.rows):
            yield f"row gradient {i} of {name}", part.values


def _aliases(gradients: list[tuple[str, Array]], others: list[tuple[str, Array]]) -> Iterator[str]:
    """Gradients belong to whoever receives them, who may write to them: nothing may be shared."""
    for i, (name, g) in enumerate(gradients):
        for other, x in others + gradients[:i]:
            if np.shares_memory(g, x):
                yield f"{name} shares memory with {other}: return a copy"


def _random_like(arrays: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    return [np.asarray(rng.standard_normal(x.shape), x.dtype) for x in arrays]


def _arrays(values: tuple[Any, ...]) -> list[Array]:
    return [np.asarray(value) for value in values if value is not None]


def _same(a: Sequence[Array], b: Sequence[Array]) -> bool:
    """Bit for bit, NaN equal to NaN."""
    return len(a) == len(b) and all(
        np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f")
        for x, y in zip(a, b, strict=True)
    )


def _close(a: Array, b: Array, size: float = 0.0) -> bool:
    """Equal but for rounding, relative to the largest element, or to `size` if that is larger."""
    if np.shape(a) != np.shape(b):
        return False
    scale = np.max(np.abs(b), initial=size)
    return bool(np.max(np.abs(a - b), initial=0) <= 2**12 * np.finfo(b.dtype).eps * scale)
