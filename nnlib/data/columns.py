"""Columns of raw values, of whatever kind the caller has, turned into codes, seconds and numbers.

A column is a NumPy array or a polars series.  Every function takes `at`, which says where cell i
comes from ("item[3]", "column 'ItemId', row 3"), so that a bad cell is named in the caller's terms.
"""

import datetime
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from nnlib.array import Array
from nnlib.data.errors import DataError

Column: TypeAlias = Any  # a numpy.ndarray or a polars.Series
Where: TypeAlias = Callable[[int], str]


def encode(ids: Column, at: Where) -> tuple[Array, Array]:
    """Codes in order of first appearance, and the raw ids by code: ids = raw[codes].

    Integers stay integers (int64); anything else hashable is kept as it is, in an object array.

    Shapes
        ids (E,) → codes (E,) int64, raw (M,)
    Raises
        DataError: an id is missing (None, NaN), a float, or not hashable.
    """
    if not isinstance(ids, np.ndarray):
        import polars as pl

        ids = _without_nulls(ids, at)
        if ids.dtype in (pl.Categorical, pl.Enum):
            ids = ids.cast(pl.String)
        if ids.dtype == pl.String:
            return _encode_text(ids)
        ids = _as_array(ids)
    if ids.dtype.kind in "iu" and fits_int64(ids):
        return _encode_integers(ids.astype(np.int64, copy=False))
    return _encode_objects(ids.tolist(), at)


def _encode_integers(ids: Array) -> tuple[Array, Array]:
    ascending, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(first)  # by first appearance
    code = np.empty_like(order)
    code[order] = np.arange(len(order))
    return code[inverse], ascending[order]


def _encode_text(cells: Column) -> tuple[Array, Array]:
    """Text without nulls, in polars' time: an Enum numbers its categories as they are listed."""
    import polars as pl

    raw = cells.unique(maintain_order=True)
    codes = cells.cast(pl.Enum(raw)).to_physical().to_numpy()
    return codes.astype(np.int64), object_array(raw.to_list())


def _encode_objects(ids: list[Any], at: Where) -> tuple[Array, Array]:
    code: dict[Any, int] = {}
    codes = np.empty(len(ids), np.int64)
    for i, raw in enumerate(ids):
        try:
            codes[i] = code.setdefault(raw, len(code))
        except TypeError:
            kind = type(raw).__name__
            raise DataError(f"{at(i)} is a {kind}: ids must be integers or text") from None
        if codes[i] == len(code) - 1 and (problem := _not_an_id(raw)):
            raise DataError(f"{at(i)} is {problem}: ids must be integers or text")
    if all(is_integer(raw) and -(2**63) <= raw < 2**63 for raw in code):
        return codes, np.array(list(code), np.int64)
    return codes, object_array(list(code))


def _not_an_id(raw: Any) -> str:
    """What is wrong with a hashable value as an id, "" if nothing is."""
    try:
        missing = raw is None or bool(raw != raw)
    except TypeError:  # pandas.NA is neither equal to itself nor not
        missing = True
    if missing:
        return f"missing ({raw})"
    return f"a float ({raw})" if isinstance(raw, float | np.floating) else ""


def to_seconds(times: Column, at: Where) -> Array:
    """Times as int64 or float64: numbers as they are, dates and ISO 8601 text as Unix time.

    Shapes
        times (E,) → (E,)
    Raises
        DataError: a time is missing, not finite or unreadable.
    """
    if not isinstance(times, np.ndarray):
        import polars as pl

        times = _without_nulls(times, at)
        if times.dtype in (pl.Datetime, pl.Date):
            return _as_array(times.cast(pl.Datetime("us")).dt.epoch("us")) / 1e6
        times = _as_array(times)
    if times.dtype.kind == "M":
        bad = np.flatnonzero(np.isnat(times))
        if bad.size:
            raise DataError(f"{at(int(bad[0]))} is missing (NaT): every event needs a time")
        return times.astype("datetime64[us]").astype(np.int64) / 1e6
    if times.dtype.kind not in "OUT":
        return to_numbers(times, at)
    cells = times.tolist()
    for i, cell in enumerate(cells):
        if not is_number(cell):
            cells[i] = iso_seconds(cell)
            if cells[i] is None:
                raise DataError(f"{at(i)} is {shown(cell)}, not a number or an ISO 8601 time")
    return to_numbers(object_array(cells), at)


def to_numbers(values: Column, at: Where) -> Array:
    """Finite numbers as int64 or float64.

    Raises
        DataError: a value is missing, infinite or not a number.
    """
    if not isinstance(values, np.ndarray):
        values = _as_array(_without_nulls(values, at))
    if values.dtype.kind not in "biuf":
        cells = values.tolist()
        for i, cell in enumerate(cells):
            if not is_number(cell):
                raise DataError(f"{at(i)} is {shown(cell)}, not a number")
        whole = all(is_integer(cell) and -(2**63) <= cell < 2**63 for cell in cells)
        values = np.array(cells, np.int64 if whole else np.float64)
    if values.dtype.kind in "biu" and fits_int64(values):
        return values.astype(np.int64)
    values = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(f"{at(int(bad[0]))} is {values[bad[0]]}: it must be a finite number")
    return values


def iso_seconds(cell: Any) -> float | None:
    """Unix time of ISO 8601 text, a date or a datetime (UTC if it names no zone), else None."""
    try:
        moment = datetime.datetime.fromisoformat(cell.strip()) if isinstance(cell, str) else cell
        if not isinstance(moment, datetime.datetime):
            moment = datetime.datetime(moment.year, moment.month, moment.day)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return float(moment.timestamp())
    except (ValueError, OverflowError, AttributeError, TypeError):
        return None


def _without_nulls(cells: Column, at: Where) -> Column:
    if cells.null_count():
        row = int(cells.is_null().arg_max())
        raise DataError(f"{at(row)} is missing (null): every event needs one")
    return cells


def _as_array(cells: Column) -> Array:
    """A polars series as NumPy array: numbers as such, anything else as objects."""
    import polars as pl

    if cells.dtype.is_decimal():
        cells = cells.cast(pl.Float64)
    if cells.dtype.is_numeric() and "128" not in str(cells.dtype):  # NumPy has no int128
        return cells.to_numpy()
    return object_array(cells.to_list())


def object_array(values: list[Any]) -> Array:
    """A one-dimensional object array, whatever the values are."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def ids_of_text(cells: list[str], kind: Literal["auto", "text"]) -> Array:
    """Ids as they are in a file: "auto" makes int64 of them if Python would write each like that.

    So "7" is a number, while "007", "+7" or anything else keeps all of them text (object).
    """
    if kind == "auto" and all(map(_is_plain_integer, set(cells))):
        return np.array([int(cell) for cell in cells], np.int64)
    return object_array(cells)


def _is_plain_integer(cell: str) -> bool:
    digits = cell.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        return False
    number = int(cell)
    return str(number) == cell and -(2**63) <= number < 2**63


def check_ids_kind(kind: str) -> None:
    """Raise a ValueError unless it is "auto" or "text"."""
    if kind not in ("auto", "text"):
        raise ValueError(f"ids={kind!r}: it must be 'auto' or 'text'")


def fits_int64(values: Array) -> bool:
    """Whether integers can be int64: all but the upper half of uint64."""
    return values.dtype != np.uint64 or bool(values.max(initial=0) < 2**63)


def is_integer(cell: Any) -> bool:
    """An integer, and not a boolean."""
    return isinstance(cell, int | np.integer) and not isinstance(cell, bool)


def is_number(cell: Any) -> bool:
    """An integer or a float, and not a boolean."""
    return is_integer(cell) or isinstance(cell, float | np.floating)


def shown(cell: Any) -> str:
    """A cell as it is quoted in an error message."""
    text = repr(cell)
    return text if len(text) <= 40 else f"{text[:37]}..."
