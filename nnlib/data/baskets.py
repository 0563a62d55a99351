"""Baskets: items bought together, read from files that have a basket on each line."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from nnlib.data.columns import check_ids_kind, ids_of_text
from nnlib.data.errors import DataError
from nnlib.data.files import BYTE_ORDER_MARK, opened
from nnlib.data.histories import Histories
from nnlib.data.interactions import Interactions


def read_baskets(
    path: str | Path,
    separator: Literal[" ", "\t", ","] = " ",
    *,
    ids: Literal["auto", "text"] = "auto",
) -> Interactions:
    """A log of baskets from a text file, plain or gzip, with a basket on each line.

    Every basket is a user of its own, whose raw id and only time are the number of the line.  A
    basket is a set: an item that its line names again is kept once, and a warning says how many
    there were.  So it does of lines without an item, which are left out; blank lines at the end of
    the file and empty fields at the end of a line are taken for padding.  There is no quoting.

    Arguments
        separator: between items; " " stands for any white space, with the others items may have
            spaces inside, but those around them are removed
        ids: "auto" makes integers of the items if all are, "text" leaves them text
    Raises
        FileNotFoundError: there is no such file.
        DataError: there is no basket, a field between two others is empty, or a line is not UTF-8;
            file and line are named.
    Source
        The format of Belgian retail (" ", Brijs et al. 1999) and of groceries (",", Hahsler's
        arules).
    """
    if separator not in (" ", "\t", ","):
        raise ValueError(f"separator={separator!r}: it must be ' ', '\\t' or ','")
    check_ids_kind(ids)
    path = Path(path)
    items: list[str] = []
    lines: list[int] = []
    sizes: list[int] = []
    empty, again = _Oddities(), _Oddities()
    n_empty_before = 0  # blank lines count as baskets only if one follows
    for line, fields in _lines(path, separator):
        if not fields:
            empty.add(f"line {line}")
            continue
        n_empty_before = empty.n
        basket = dict.fromkeys(fields)
        if len(basket) < len(fields):
            twice = next(item for item in basket if fields.count(item) > 1)
            again.add(f"{twice!r}, line {line}", len(fields) - len(basket))
        items += basket
        lines.append(line)
        sizes.append(len(basket))
    if not lines:
        raise DataError(f"{path} holds no baskets: a line needs at least one item")
    if n_empty_before:
        _warn(f"{path}: {n_empty_before} empty baskets (the first: {empty.first}) were left out")
    if again.n:
        _warn(
            f"{path}: {again.n} items that their basket names again (the first: {again.first}) "
            "were kept once"
        )
    basket_of = np.repeat(np.array(lines), sizes)
    return Interactions.from_arrays(basket_of, ids_of_text(items, ids), basket_of)


def baskets(log: Interactions) -> Histories:
    """The baskets of a log, one a row: the events of a user at one time.

    Rows are in the order of the log, a user's baskets oldest first; `user` is their user's code.
    """
    new = np.ones(log.n_events, bool)
    new[1:] = (np.diff(log.user) != 0) | (np.diff(log.time) != 0)
    start = np.flatnonzero(new)
    return Histories(log.item, start, np.append(start[1:], log.n_events), log.user[start])


class _Oddities:
    """How many there were, and the first."""

    def __init__(self) -> None:
        self.n, self.first = 0, ""

    def add(self, what: str, n: int = 1) -> None:
        self.first = self.first or what
        self.n += n


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def _lines(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(number, items) of every line."""
    with opened(path) as file:
        for number, raw in enumerate(file, start=1):
            try:
                text = raw.removeprefix(BYTE_ORDER_MARK if number == 1 else b"").decode()
            except UnicodeDecodeError as error:
                problem = "not UTF-8 text, convert the file first"
                raise DataError(f"{path}, line {number}: {problem}") from error
            if separator == " ":
                yield number, text.split()
                continue
            fields = [field.strip() for field in text.split(separator)]
            while fields and not fields[-1]:
                fields.pop()
            if "" in fields:
                place = fields.index("") + 1
                raise DataError(
                    f"{path}, line {number}: field {place} is empty, but others follow: an item or "
                    "a separator is missing or too many"
                )
            yield number, fields
