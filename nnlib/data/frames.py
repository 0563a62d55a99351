"""Sequences and data frames of any kind, taken apart into columns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnlib.data.columns import Column, object_array
from nnlib.data.errors import DataError


def sequence_column(name: str, values: Any) -> Column:
    """A sequence as a column; a list of mixed things stays what it is."""
    if _module(values) == "polars":
        return values
    if hasattr(values, "__array__"):
        column = np.asarray(values)
    elif isinstance(values, Sequence) and not isinstance(values, str | bytes):
        column = object_array(list(values))
    else:
        raise DataError(f"{name} is a {type(values).__name__}: give an array or a list")
    if column.ndim != 1:
        raise DataError(f"{name} has the shape {column.shape}: it must have one dimension")
    return column


def frame_columns(frame: Any, names: Sequence[str]) -> dict[str, Column]:
    """The named columns of a polars, pandas or any other Arrow-like frame.

    Raises
        DataError: this is no frame, or a name is missing or not unique.
    """
    import polars as pl

    if _module(frame) == "pandas":
        # NumPy, not Arrow: pandas' own route to Arrow needs pyarrow, which may not be there.
        _check_names(list(frame.columns), names)
        return {name: _pandas_column(frame[name]) for name in names}
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, pl.DataFrame):
        if hasattr(frame, "__arrow_c_stream__"):
            frame = pl.DataFrame(frame)
        elif hasattr(frame, "__dataframe__"):
            frame = pl.from_dataframe(frame)
        else:
            raise DataError(f"a {type(frame).__name__} is not a data frame: use from_arrays")
    _check_names(frame.columns, names)
    return {name: frame[name] for name in names}


def check_lengths(columns: Mapping[str, Column]) -> None:
    """Raise a `DataError` unless all columns have the same length, at least 1."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise DataError(f"the columns differ in length: {text}")
    if not max(lengths.values()):
        raise DataError("the log is empty: there must be at least one event")


def _check_names(found: Sequence[Any], names: Sequence[str]) -> None:
    for name in names:
        count = sum(1 for other in found if other == name)
        if count != 1:
            listed = ", ".join(repr(other) for other in found[:12])
            has = f"has no column {name!r}" if not count else f"has {count} columns {name!r}"
            raise DataError(f"the frame {has} among {listed}")


def _pandas_column(column: Any) -> Column:
    if hasattr(column.dtype, "tz"):
        return np.asarray(column.to_numpy(dtype="datetime64[ns]"))
    return np.asarray(column.to_numpy())


def _module(thing: Any) -> str:
    return type(thing).__module__.partition(".")[0]
