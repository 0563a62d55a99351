"""A stand-in for CuPy that runs on the CPU, so that GPU code can be tested without a GPU.

`DeviceArray` wraps a NumPy array and lets nobody look at it except by `get()`:

- `__array__` raises, and so does any operation that mixes it with a NumPy array, as in CuPy;
- unlike in CuPy, a NumPy array is no index and no value to assign either: that would work, but
  copies from host to device where nobody sees it;
- reductions and single elements stay on the device, as 0-d arrays; `float`, `int` and `bool` of
  them, and masks as indices, wait for the device and are counted in `waits`;
- work goes through `capture.run`, which records it while a stream is captured, and what a capture
  does not allow is refused then;
- functions exist only if CuPy has them, and take only the arguments that CuPy takes (`FUNCTIONS`;
  a test compares the table with CuPy itself where CuPy is installed).

    cupy, cupyx = modules()          # to be put into sys.modules
"""

import operator
from collections import Counter
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from cuda_tests_capture import (  # tests/cuda/capture.py; conftest.py loads it
    Pool,
    Stream,
    host_reads,
    refuse,
    run,
    using_allocator,
)

FUNCTIONS = """
    arange(start, stop, step, dtype)  array(obj, dtype, copy)  asarray(a, dtype)
    ascontiguousarray(a, dtype)  empty(shape, dtype)  zeros(shape, dtype)  ones(shape, dtype)
    full(shape, fill_value, dtype)  empty_like(prototype, dtype, shape)  zeros_like(a, dtype, shape)
    ones_like(a, dtype, shape)  full_like(a, fill_value, dtype, shape)  eye(N, M, k, dtype)
    argmax(a, axis)  argmin(a, axis)  argpartition(a, kth, axis)  argsort(a, axis, kind)
    bincount(x, weights, minlength)  clip(a, a_min, a_max, out)  concatenate(tup, axis, out, dtype)
    copyto(dst, src, casting, where)  cumsum(a, axis, dtype, out)  diag(v, k)
    diff(a, n, axis)  dot(a, b, out)  flatnonzero(a)  hstack(tup)  vstack(tup)
    lexsort(keys)  mean(a, axis, dtype, out, keepdims)  nonzero(a)  outer(a, b, out)
    repeat(a, repeats, axis)  reshape(a, newshape)  searchsorted(a, v, side)  sort(a, axis)
    split(ary, indices_or_sections, axis)  squeeze(a, axis)  stack(tup, axis, out)
    sum(a, axis, dtype, out, keepdims)  take(a, indices, axis, out)
    take_along_axis(a, indices, axis)  tril_indices(n, k, m)  unique(ar, return_index,
    return_inverse, return_counts, axis)  vdot(a, b)  where(condition, x, y)
"""
# Elementwise functions: CuPy's take `out`, `dtype` and `casting`.
UFUNCS = """
    absolute add divide equal exp expm1 greater greater_equal isfinite isnan less less_equal log
    log1p logical_and logical_not logical_or maximum minimum multiply negative not_equal power
    reciprocal sign sqrt square subtract tanh cos sin divmod
"""
FREE = {"einsum": {"optimize"}, "matmul": {"out"}}  # operands in any number, then these
BELOW = {
    "linalg": "solve(a, b)  qr(a, mode)",
    "fft": "fft(a, n, axis, norm)  ifft(a, n, axis, norm)",
    "lib.stride_tricks": """
        as_strided(x, shape, strides)  sliding_window_view(x, window_shape, axis)
    """,
}
CUBLAS = {"dot", "vdot", "outer", "solve", "qr"}  # refused within a capture
AT = {"add", "subtract", "maximum", "minimum"}  # ufuncs that have `at`
SCATTERED = tuple(np.dtype(t) for t in ("i4", "u4", "u8", "f4", "f8"))  # CUDA's atomics; no int64
SCALARS = bool | int | float | complex | np.generic

waits: Counter[str] = Counter()  # how often the host has waited for the device, by what it did


class DeviceArray:
    """An array that only its own module may touch."""

    __array_ufunc__ = None  # NumPy's operators give way, then ours refuse NumPy's arrays
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self, a: Any) -> None:
        self._a = np.asarray(a)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("implicit conversion of a device array to NumPy: use to_host")

    def __array_function__(self, function: Any, *_: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} of a device array: use array_module")

    def get(self) -> np.ndarray:
        host_reads()
        waits["get"] += 1
        return self._a.copy()

    def set(self, a: np.ndarray) -> None:
        refuse("writing to the device")
        self._a[...] = a

    def item(self) -> Any:
        host_reads()
        waits["item"] += 1
        return self._a.item()

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self._a.ctypes.data)

    def tolist(self) -> Any:
        return self.get().tolist()

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self._a)))

    def __getitem__(self, key: Any) -> "DeviceArray":
        index = _index(key)
        return DeviceArray(run(lambda: self._a[index], self._a))

    def __setitem__(self, key: Any, value: Any) -> None:
        index, new = _index(key), _operand(value)
        if new is value and any(isinstance(k, DeviceArray) for k in _parts(key)):
            refuse("a number of the host at indices of the device")  # CuPy makes it an array first
        run(lambda: self._a.__setitem__(index, new), written=(self._a,))

    def reshape(self, *shape: Any) -> "DeviceArray":
        return DeviceArray(run(lambda: self._a.reshape(*shape), self._a))

    def astype(self, dtype: Any, copy: bool = True) -> "DeviceArray":
        return DeviceArray(run(lambda: self._a.astype(dtype, copy=copy), self._a))

    def take(self, indices: Any, axis: int | None = None, out: Any = None) -> "DeviceArray":
        # CuPy wraps indices round instead of refusing them: here they are refused
        where, to = _operand(indices), _operand(out)
        written = () if to is None else (to,)
        return DeviceArray(run(lambda: self._a.take(where, axis, to), self._a, written=written))

    def argsort(self, axis: int = -1, kind: str | None = None) -> "DeviceArray":
        kind = _stable(kind)
        return DeviceArray(run(lambda: self._a.argsort(axis, kind), self._a))

    def dot(self, b: Any) -> "DeviceArray":
        refuse("a product of CuPy's")
        return DeviceArray(self._a.dot(_operand(b)))

    def view(self, dtype: Any) -> "DeviceArray":
        return DeviceArray(run(lambda: self._a.view(dtype), self._a))


DeviceArray.__name__ = DeviceArray.__qualname__ = "ndarray"  # as `Layer.to` knows arrays


def _index(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_index(k) for k in key)
    if isinstance(key, DeviceArray):
        if key.dtype == bool:
            refuse("a mask as index")
            waits["mask"] += 1
        return key._a
    if key is None or key is Ellipsis or isinstance(key, slice | int | np.integer):
        return key
    raise TypeError(f"index of type {type(key).__name__}: indices of device arrays live on it too")


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _operand(x: Any) -> Any:
    """What NumPy works on for `x`, which is of the device or a scalar."""
    if isinstance(x, DeviceArray):
        return x._a
    if x is None or isinstance(x, SCALARS):
        return x
    raise TypeError(f"unsupported type {type(x).__name__} beside a device array")


def _argument(x: Any) -> Any:
    """An argument: device arrays opened, shapes, dtypes and lists as they are, host arrays not."""
    if isinstance(x, np.ndarray):
        raise TypeError("a NumPy array given to a function of CuPy: use to_device")
    if isinstance(x, tuple | list):
        return type(x)(_argument(y) for y in x)
    return x._a if isinstance(x, DeviceArray) else x


def _result(y: Any) -> Any:
    if isinstance(y, tuple | list):
        return type(y)(_result(x) for x in y)
    return y if y is None or isinstance(y, DeviceArray) else DeviceArray(y)


def _stable(kind: str | None) -> str:
    if kind not in (None, "stable"):
        raise ValueError(f"kind={kind!r}: CuPy sorts stably only")
    return "stable"


def _forward(name: str) -> Any:
    def method(self: DeviceArray, *arguments: Any, **options: Any) -> Any:
        opened = {k: _operand(v) for k, v in options.items()}
        written = (self._a,) if name == "fill" else () if "out" not in opened else (opened["out"],)
        compute = lambda: getattr(self._a, name)(*arguments, **opened)
        result = run(compute, self._a, written=written)
        return self if result is self._a else _result(result)

    return method


def _operator(name: str) -> Any:
    function = getattr(operator, name)

    def binary(self: DeviceArray, other: Any) -> DeviceArray:
        if name == "matmul":
            refuse("a product of CuPy's")
        x = _operand(other)
        return DeviceArray(run(lambda: function(self._a, x)))

    def reflected(self: DeviceArray, other: Any) -> DeviceArray:
        x = _operand(other)
        return DeviceArray(run(lambda: function(x, self._a)))

    def in_place(self: DeviceArray, other: Any) -> DeviceArray:
        x, mine = _operand(other), self._a[...]  # a view: of a single element too
        ufunc = getattr(operator, f"i{name.strip('_')}")
        run(lambda: ufunc(mine, x), written=(mine,))
        return self

    return binary, reflected, in_place


def _conversion(name: str) -> Any:
    def convert(self: DeviceArray) -> Any:
        host_reads()
        waits[name] += 1
        return getattr(self._a, f"__{name}__")()

    return convert


for _name in ("sum", "mean", "max", "min", "all", "any", "argmax", "argmin", "cumsum", "copy",
              "ravel", "fill", "conj", "swapaxes", "transpose", "squeeze", "prod"):  # fmt: skip
    setattr(DeviceArray, _name, _forward(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_",
              "xor", "lshift", "rshift"):  # fmt: skip
    _bare = _name.strip("_")
    for _prefix, _method in zip(("", "r", "i"), _operator(_name), strict=True):
        setattr(DeviceArray, f"__{_prefix}{_bare}__", _method)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(DeviceArray, f"__{_name}__", _operator(_name)[0])
for _name in ("neg", "abs", "invert"):
    setattr(DeviceArray, f"__{_name}__", _forward(f"__{_name}__"))
for _name in ("float", "int", "bool", "index"):
    setattr(DeviceArray, f"__{_name}__", _conversion(_name))
for _name in ("T", "real", "imag"):
    setattr(DeviceArray, _name, property(lambda self, name=_name: _result(getattr(self._a, name))))
for _name in ("shape", "dtype", "ndim", "size", "flags", "itemsize", "nbytes", "strides"):
    setattr(DeviceArray, _name, property(lambda self, name=_name: getattr(self._a, name)))


class Generator:
    """`cupy.random.Generator`, which has a few methods of NumPy's, on a NumPy generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def random(self, size: Any = None, dtype: Any = np.float64) -> DeviceArray:
        refuse("a random number of CuPy's")
        return DeviceArray(self._rng.random(size, dtype))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> DeviceArray:
        refuse("a random number of CuPy's")
        return DeviceArray(self._rng.standard_normal(size, dtype))

    def integers(
        self, low: int, high: int | None = None, size: Any = None, dtype: Any = np.int64
    ) -> DeviceArray:
        refuse("a random number of CuPy's")
        return DeviceArray(self._rng.integers(int(low), high and int(high), size, dtype))


def parameters_of(text: str) -> dict[str, list[str]]:
    """{name: parameters} of a table like `FUNCTIONS`."""
    found = (entry.split("(") for entry in text.split(")") if entry.strip())
    return {name.strip(): [p.strip() for p in rest.split(",")] for name, rest in found}


def modules() -> tuple[ModuleType, ModuleType]:
    """(cupy, cupyx), with nothing in them but what is listed here."""
    cupy, cupyx = ModuleType("cupy"), ModuleType("cupyx")
    for name, parameters in parameters_of(FUNCTIONS).items():
        setattr(cupy, name, _function(name, parameters))
    for name in UFUNCS.split():
        setattr(cupy, name, _ufunc(name))
    for name, options in FREE.items():
        setattr(cupy, name, _free(name, options))
    cupy.abs = cupy.absolute
    cupy.add.reduceat = _function("reduceat", ["array", "indices", "axis"], np.add)
    for name in ("inf", "nan", "pi", "newaxis", "float32", "float64", "int32", "int64", "finfo"):
        setattr(cupy, name, getattr(np, name))
    cupy.ndarray = DeviceArray
    cupy.array = cupy.asarray = _array
    cupy.asnumpy = lambda a: a.get()
    default_rng = np.random.default_rng
    cupy.random = SimpleNamespace(default_rng=lambda seed: Generator(default_rng(seed)))
    for path, table in BELOW.items():
        owner = operator.attrgetter(path)(np)
        functions = {n: _function(n, p, owner) for n, p in parameters_of(table).items()}
        for name in reversed(path.split(".")):
            functions = {name: SimpleNamespace(**functions)}
        vars(cupy).update(functions)
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1, CUDARuntimeError=RuntimeError, runtimeGetVersion=lambda: 12090
    )
    cupy.cuda = SimpleNamespace(
        runtime=runtime, Stream=Stream, MemoryPool=Pool, using_allocator=using_allocator,
        get_current_stream=lambda: Stream.stack[-1],
    )  # fmt: skip
    cupyx.scatter_add = _scatter("add")
    cupyx.scatter_max = _scatter("maximum")
    return cupy, cupyx


def _array(a: Any, dtype: Any = None, copy: Any = None) -> DeviceArray:
    if isinstance(a, DeviceArray):
        return DeviceArray(run(lambda: np.array(a._a, dtype)))
    refuse("writing to the device")
    return DeviceArray(np.array(a, dtype))


def _opened(arguments: Any, options: Any) -> list[np.ndarray]:
    return [a for a in (*arguments, *options.values()) if isinstance(a, np.ndarray)]


def _function(name: str, parameters: list[str], owner: Any = np) -> Any:
    def function(*arguments: Any, **options: Any) -> Any:
        given = dict(zip(parameters, arguments, strict=False), **options)
        if len(arguments) > len(parameters) or (unknown := given.keys() - parameters):
            raise TypeError(f"cupy.{name} takes {parameters}, not {sorted(unknown)}")
        if "kind" in given:
            given["kind"] = _stable(given["kind"])
        elif name == "argsort":
            given["kind"] = "stable"
        if name == "sliding_window_view":
            given["writeable"] = True  # as CuPy's views are
        if name in ("nonzero", "flatnonzero", "unique", "bincount"):
            refuse(name)
            waits[name] += 1
        if name in CUBLAS:
            refuse("a product of CuPy's")
        values = [_argument(given.pop(p)) for p in parameters[: len(arguments)]]
        opened = {k: _argument(v) for k, v in given.items()}
        out = values[0] if name == "copyto" else opened.get("out")
        result = run(
            lambda: getattr(owner, name)(*values, **opened),
            *_opened(values, opened),
            written=() if out is None else (out,),
        )
        return options["out"] if options.get("out") is not None else _result(result)

    return function


def _ufunc(name: str) -> Any:
    ufunc = getattr(np, name)

    def function(*arguments: Any, out: Any = None, **options: Any) -> Any:
        if unknown := options.keys() - {"dtype", "casting"}:
            raise TypeError(f"cupy.{name} does not take {sorted(unknown)}")
        if len(arguments) > ufunc.nin + ufunc.nout:
            raise TypeError(f"cupy.{name} takes {ufunc.nin} arrays")
        if not any(isinstance(a, DeviceArray) for a in arguments):
            _ = [_operand(a) for a in arguments]  # all scalars: CuPy takes them too
        opened, to = [_operand(a) for a in arguments], _operand(out)
        written = () if to is None else (to,)
        result = run(lambda: ufunc(*opened, out=to, **options), written=written)
        return _result(result) if out is None else out

    if name in AT:
        function.at = _at(name)  # type: ignore[attr-defined]
    function.__name__ = name
    return function


def _at(name: str) -> Any:
    def at(a: DeviceArray, indices: Any, b: Any) -> None:
        if a.dtype not in SCATTERED:
            raise TypeError(f"cupy.{name}.at takes no {a.dtype}: no atomic operation for it")
        if not isinstance(b, DeviceArray):
            refuse("a number of the host at indices of the device")
        index, value = _index(indices), _operand(b)
        run(lambda: getattr(np, name).at(a._a, index, value), written=(a._a,))

    return at


def _scatter(name: str) -> Any:
    at = _at(name)
    return lambda a, slices, value: at(a, slices, value)


def _free(name: str, options: set[str]) -> Any:
    def function(*operands: Any, **given: Any) -> Any:
        if unknown := given.keys() - options:
            raise TypeError(f"cupy.{name} does not take {sorted(unknown)}")
        refuse("a product of CuPy's")
        result = getattr(np, name)(
            *(x if isinstance(x, str) else _argument(x) for x in operands),
            **{k: _argument(v) for k, v in given.items()},
        )
        return given["out"] if given.get("out") is not None else _result(result)

    return function
