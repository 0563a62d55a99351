"""Word vectors in the formats of word2vec, which gensim and many other programs read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from nnlib.array import Array
from nnlib.data.columns import check_ids_kind, ids_of_text
from nnlib.data.errors import DataError
from nnlib.data.files import opened
from nnlib.storage import replacing

NUMBER = np.dtype("<f4")  # of the binary format
LONGEST_ID = 10_000  # bytes, and
LONGEST_VECTOR = 1_000_000  # numbers: beyond them it is another kind of file


def write_word_vectors(
    path: str | Path, ids: Array | Sequence[Any], table: Array, *, binary: bool = False
) -> None:
    """Write a table of vectors, one for each id; the file is written whole or not at all.

    The first line holds V and D.  In a text file a line for each vector follows, the id and D
    numbers in as many digits as their type needs, separated by spaces; in a binary file the id, a
    space and D float32 numbers, each without a line end.

    Shapes
        ids (V,) · table (V, D) float
    Raises
        ValueError: an id has white space inside, is empty, or is there twice; shapes do not fit, or
            a number is not finite.
    Source
        Mikolov et al.'s word2vec.c, whose binary files have a line end after each vector; gensim
        writes none and reads both.
    """
    table = np.asarray(table)
    names = [str(raw) for raw in np.asarray(ids, object).tolist()]
    _check(names, table)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(f"{table.shape[0]} {table.shape[1]}\n".encode())
        for name, vector in zip(names, table, strict=True):
            if binary:
                file.write(name.encode() + b" " + vector.astype(NUMBER).tobytes())
            else:
                file.write(f"{name} {' '.join(map(str, vector))}\n".encode())


def read_word_vectors(
    path: str | Path,
    *,
    binary: bool | None = None,
    ids: Literal["auto", "text"] = "auto",
) -> tuple[Array, Array]:
    """(ids, table) of a word2vec file, plain or gzip.

    Shapes
        → ids (V,) int64 or object, table (V, D) float32
    Arguments
        binary: None finds out from the first vector
        ids: "auto" makes integers of the ids if all are, "text" leaves them text
    Raises
        FileNotFoundError: there is no such file.
        DataError: it is no word2vec file, is cut off, or holds an id twice or a number that is not
            finite; file and line, or number of the vector, are named.
    """
    check_ids_kind(ids)
    path = Path(path)
    with opened(path) as file:
        n, n_factors = _header(path, file.readline(64))
        if binary is None:
            binary = not _is_text(path, n_factors)
        vectors = (_binary if binary else _text)(path, file, n, n_factors)
        names, rows = [], []
        for where, name, row in vectors:
            try:
                names.append(name.decode())
            except UnicodeDecodeError as error:
                raise DataError(f"{path}, {where}: the id {name!r} is not UTF-8 text") from error
            if not np.isfinite(row).all():
                raise DataError(f"{path}, {where}: a number of {names[-1]!r} is not finite")
            rows.append(row)
    if len(rows) != n:
        raise DataError(f"{path}: {len(rows)} vectors instead of {n}, the file is cut off")
    if len(set(names)) < n:
        raise DataError(f"{path}: {_twice(names)!r} is there twice, ids must differ")
    return ids_of_text(names, ids), np.stack(rows)


def _header(path: Path, line: bytes) -> tuple[int, int]:
    try:
        n, n_factors = map(int, line.split())
    except ValueError:
        n = n_factors = 0
    if n < 1 or not 1 <= n_factors <= LONGEST_VECTOR:
        raise DataError(
            f"{path}, line 1: {line[:40]!r} is not the number of vectors and their length, as "
            "'400 100': this is no word2vec file"
        )
    return n, n_factors


def _is_text(path: Path, n_factors: int) -> bool:
    """Whether the first vector is a line of numbers; four bytes of a float32 hardly ever are."""
    with opened(path) as file:
        file.readline(64)
        line = file.readline(LONGEST_ID + 64 * n_factors)
    try:
        return len([float(field) for field in line.split()[1:]]) == n_factors
    except ValueError:
        return False


def _text(
    path: Path, file: IO[bytes], n: int, n_factors: int
) -> Iterator[tuple[str, bytes, Array]]:
    for line, text in enumerate(file, start=2):
        fields = text.split()
        if not fields and line > n + 1:
            continue
        where = f"line {line}"
        if line > n + 1:
            raise DataError(f"{path}, {where}: the first line promises {n} vectors, more are there")
        if len(fields) != n_factors + 1:
            raise DataError(
                f"{path}, {where}: {len(fields)} fields instead of an id and {n_factors} numbers"
            )
        try:
            row = np.array([float(field) for field in fields[1:]])
        except ValueError:
            bad = next(field for field in fields[1:] if not _is_float(field))
            raise DataError(f"{path}, {where}: {bad!r} is not a number") from None
        yield where, fields[0], _float32(row)


def _binary(
    path: Path, file: IO[bytes], n: int, n_factors: int
) -> Iterator[tuple[str, bytes, Array]]:
    size = n_factors * NUMBER.itemsize
    for number in range(1, n + 1):
        where = f"vector {number}"
        name = bytearray()
        while (byte := file.read(1)) != b" ":
            if not byte:
                if name.strip():
                    raise DataError(f"{path}, {where}: the file is cut off")
                return
            if len(name) > LONGEST_ID:
                raise DataError(f"{path}, {where}: no id, this is no binary word2vec file")
            name += byte
        data = file.read(size)
        if len(data) < size:
            raise DataError(f"{path}, {where}: the file is cut off")
        yield where, bytes(name).lstrip(b"\n"), np.frombuffer(data, NUMBER).astype(np.float32)
    if file.read(2).strip():
        raise DataError(f"{path}: the first line promises {n} vectors, more are there")


def _is_float(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _float32(numbers: Array) -> Array:
    """float32, infinite where too large for it."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)


def _check(names: list[str], table: Array) -> None:
    """Raise a ValueError unless the format can hold these."""
    if table.ndim != 2 or not table.size or table.dtype.kind != "f":
        raise ValueError(f"a table of {table.dtype} {table.shape}: it must be float, (V, D)")
    if len(names) != len(table):
        raise ValueError(f"{len(names)} ids for {len(table)} vectors: one for each")
    for name in names:
        if name.encode().split() != [name.encode()]:
            advice = "replace it, for example by '_'" if name.strip() else "give it a name"
            raise ValueError(f"the id {name!r} has white space or is empty: {advice}")
    if len(set(names)) < len(names):
        raise ValueError(f"the id {_twice(names)!r} is there twice: ids must differ")
    bad = np.flatnonzero(~np.isfinite(_float32(table)).all(axis=1))
    if len(bad):
        raise ValueError(
            f"the vector of {names[bad[0]]!r} has a number that is not finite as a float32"
        )


def _twice(names: list[str]) -> str:
    """A name that is there more than once."""
    return Counter(names).most_common(1)[0][0]
