"""Delimited text: named columns of a TSV or CSV file, and the line number of whatever is wrong.

The file is read in blocks of whole lines.  NumPy checks that every line has the right number of
fields, so that polars, which is fast but forgiving, only ever sees regular input; each block is
turned into numbers at once, so that 33 million clicks take 24 bytes each and not their text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np

from nnlib.array import Array
from nnlib.data.columns import iso_seconds, shown
from nnlib.data.errors import DataError
from nnlib.data.files import BYTE_ORDER_MARK, opened

if TYPE_CHECKING:
    import polars as pl

Kind: TypeAlias = Literal["auto", "text", "time", "number"]
Fail: TypeAlias = Callable[[int, str], DataError]  # (row of the block, problem) → error to raise

BLOCK = 1 << 25  # bytes read at once
ISO_FORMATS = ("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")


def read_columns(
    path: str | Path,
    kinds: Mapping[str, Kind],
    *,
    separator: str,
    names: Sequence[str] | None = None,
) -> "pl.DataFrame":
    """The columns named in `kinds` of a delimited file, plain or gzip.

    Fields are taken as they stand: there is no quoting.  Blank lines are skipped.

    Arguments
        kinds: of each wanted column: "text"; "auto", integers if every cell is one as Python
            writes it (so that "007" stays text), else text; "time", numbers or ISO 8601, as the
            first cell is; "number"
        separator: one or more characters
        names: of all columns, of a file without a header; None: the first line has them
    Raises
        FileNotFoundError: there is no such file.
        DataError: anything else is wrong; file, line and column are named.
    """
    import polars as pl

    if not separator or "\n" in separator:
        raise ValueError(f"separator={separator!r}: one or more characters, no line end")
    path = Path(path)
    readers: dict[str, _Column] = {name: _READERS[kind]() for name, kind in kinds.items()}
    line = 1  # number of the next block's first line
    for text in _blocks(path):
        if line == 1:
            text = text.removeprefix(BYTE_ORDER_MARK)
            if names is None:
                header, _, text = text.partition(b"\n")
                names = _decode(header.rstrip(b"\r"), path, 1).split(separator)
                line = 2
            _check_names(path, names, kinds, separator)
        assert names is not None
        line = _read_block(path, text, line, names, separator, readers)
    if names is None:
        raise DataError(f"{path} is empty: a header line and events are needed")
    frame = pl.DataFrame({name: reader.column() for name, reader in readers.items()})
    if not frame.height:
        raise DataError(f"{path} holds no events: check that this is the right file")
    return frame


def first_line(path: str | Path) -> str:
    """The first line of a file, plain or gzip, to see from it how the file is written.

    Raises
        FileNotFoundError, DataError: as for `read_columns`.
    """
    text = next(_blocks(Path(path)), b"")
    return _decode(text.partition(b"\n")[0], Path(path), 1)


def _blocks(path: Path) -> Iterator[bytes]:
    """The file's bytes, cut at line ends."""
    with opened(path) as file:
        rest = b""
        while part := file.read(BLOCK):
            cut = part.rfind(b"\n") + 1
            if cut:
                yield rest + part[:cut]
                rest = part[cut:]
            else:
                rest += part
        if rest:
            yield rest + b"\n"


def _decode(text: bytes, path: Path, line: int) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line += text.count(b"\n", 0, error.start)
        raise DataError(f"{path}, line {line}: not UTF-8 text, convert the file first") from error


def _check_names(path: Path, names: Sequence[str], kinds: Mapping[str, Kind], sep: str) -> None:
    if not all(name.isprintable() for name in names):
        raise DataError(f"{path}, line 1: not a header of column names: is it a table of text?")
    for name in kinds:
        if (count := names.count(name)) != 1:
            problem = f"has no column {name!r}" if not count else f"has {count} columns {name!r}"
            found = ", ".join(repr(n) for n in names[:12]) + (", ..." if len(names) > 12 else "")
            hint = f"; is {sep!r} the separator?" if len(names) == 1 else ""
            raise DataError(f"{path}, line 1: the file {problem} among {found}{hint}")


def _read_block(
    path: Path,
    text: bytes,
    line: int,
    names: Sequence[str],
    separator: str,
    readers: Mapping[str, "_Column"],
) -> int:
    """Give each reader its cells of these lines; returns the number of the line after them."""
    import polars as pl

    if not text.isascii():
        _decode(text, path, line)
    n_lines = text.count(b"\n")
    text = text.replace(b"\r\n", b"\n")
    sep = separator.encode()
    if len(sep) > 1:
        text, sep = text.replace(sep, b"\x1f"), b"\x1f"
    numbers = line + np.arange(n_lines)
    if text.startswith(b"\n") or b"\n\n" in text:
        rows = text.split(b"\n")[:-1]
        numbers = numbers[[bool(row) for row in rows]]
        text = b"".join(row + b"\n" for row in rows if row)
    if not text:
        return line + n_lines
    _check_fields(path, text, numbers, sep, len(names))
    wanted = sorted(names.index(name) for name in readers)
    frame = pl.read_csv(
        text,
        has_header=False,
        separator=sep.decode(),
        quote_char=None,
        infer_schema_length=0,
        columns=wanted,
    )
    for place, cells in zip(wanted, frame.get_columns(), strict=True):
        name = names[place]

        def fail(row: int, problem: str, name: str = name) -> DataError:
            return DataError(f"{path}, line {numbers[row]}: {name} {problem}")

        if cells.null_count():
            raise fail(int(cells.is_null().arg_max() or 0), "is empty")
        readers[name].add(cells, fail)
    return line + n_lines


def _check_fields(path: Path, text: bytes, numbers: Array, sep: bytes, n_fields: int) -> None:
    """Raise unless every line has n_fields − 1 separators."""
    buffer = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(buffer == 10)
    found = np.flatnonzero(buffer == sep[0])
    if len(found) == len(ends) * (n_fields - 1):
        if n_fields == 1:
            return
        by_line = found.reshape(len(ends), n_fields - 1)
        if (by_line[:, -1] < ends).all() and (by_line[1:, 0] > ends[:-1]).all():
            return
    counts = np.diff(np.searchsorted(found, ends), prepend=0) + 1
    row = int(np.argmax(counts != n_fields))
    raise DataError(
        f"{path}, line {numbers[row]}: {counts[row]} fields instead of {n_fields}, "
        "the line is malformed or cut off"
    )


class _Column(Protocol):
    def add(self, cells: "pl.Series", fail: Fail) -> None: ...
    def column(self) -> "pl.Series": ...


class _Text:
    """Cells as they stand."""

    def __init__(self) -> None:
        self.parts: list[pl.Series] = []

    def add(self, cells: "pl.Series", fail: Fail) -> None:
        self.parts.append(cells)

    def column(self) -> "pl.Series":
        import polars as pl

        return pl.concat(self.parts) if self.parts else pl.Series([], dtype=pl.String)


class _Auto(_Text):
    """Integers as long as every cell is one; writing those out again gives the text back."""

    def add(self, cells: "pl.Series", fail: Fail) -> None:
        import polars as pl

        numbers = cells.cast(pl.Int64, strict=False)
        canonical = not numbers.null_count() and (numbers.cast(pl.String) == cells).all()
        self.parts.append(numbers if canonical else cells)

    def column(self) -> "pl.Series":
        import polars as pl

        if any(part.dtype == pl.String for part in self.parts):
            self.parts = [part.cast(pl.String) for part in self.parts]
        return super().column()


class _Number(_Text):
    """Finite numbers: Int64 if all are integers, else Float64."""

    expected = "a number"

    def add(self, cells: "pl.Series", fail: Fail) -> None:
        import polars as pl

        numbers = cells.cast(pl.Int64, strict=False)
        if numbers.null_count():
            numbers = cells.cast(pl.Float64, strict=False)
            finite = numbers.is_finite().fill_null(False)
            if not finite.all():
                row = int(finite.not_().arg_max() or 0)
                raise fail(row, f"is {shown(cells[row])}, not {self.expected}")
        self.parts.append(numbers)

    def column(self) -> "pl.Series":
        import polars as pl

        if len({part.dtype for part in self.parts}) > 1:
            self.parts = [part.cast(pl.Float64) for part in self.parts]
        return super().column()


class _Time(_Number):
    """Numbers, or ISO 8601 text as seconds since 1970; the first cell decides which."""

    expected = "a finite number (the file's first time is one)"

    def __init__(self) -> None:
        super().__init__()
        self.iso: bool | None = None

    def add(self, cells: "pl.Series", fail: Fail) -> None:
        import polars as pl

        if self.iso is None:
            self.iso = cells[:1].cast(pl.Float64, strict=False).null_count() > 0
        if not self.iso:
            super().add(cells, fail)
            return
        seconds = _iso_to_seconds(cells)
        for row in np.flatnonzero(np.isnan(seconds)).tolist():  # written in another way
            number = iso_seconds(cells[row])
            if number is None:
                raise fail(row, f"is {shown(cells[row])}, not a number or an ISO 8601 time")
            seconds[row] = number
        self.parts.append(pl.Series(seconds))


def _iso_to_seconds(cells: "pl.Series") -> Array:
    """Seconds since 1970 of the cells written as the first one is, NaN for the others."""
    for form in ISO_FORMATS:
        moments = cells.str.to_datetime(form, strict=False, time_unit="us")
        if moments[0] is not None:
            seconds = moments.dt.epoch("us") / 1e6
            return seconds.fill_null(float("nan")).to_numpy().copy()
    return np.full(len(cells), np.nan)


_READERS = {"auto": _Auto, "text": _Text, "time": _Time, "number": _Number}
