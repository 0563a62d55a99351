"""Interactions: a log of (user, item, time), raw ids kept and mapped once."""

import datetime
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from nnlib.array import Array
from nnlib.data.columns import Column, Where, check_ids_kind, encode, to_numbers, to_seconds
from nnlib.data.delimited import Kind, read_columns
from nnlib.data.errors import DataError
from nnlib.data.frames import check_lengths, frame_columns, sequence_column
from nnlib.data.histories import Histories


@dataclass(frozen=True, eq=False)
class Interactions:
    """E events of M users on N items, each user's events together and in time order.

    A user is whoever the events belong to; where nobody is known by name it is a session.  Raw ids
    (integers, text, anything hashable) become codes once, in order of first appearance in the
    input; `user_ids[code]` and `item_ids[code]` give them back.  Events are sorted by (user code,
    time); equal times keep the order of the input.

    Build one with `from_tsv`, `from_frame` or `from_arrays`, which check what they are given; the
    plain constructor does not.

    Shapes
        user (E,) int64, ascending · item (E,) int64 · time (E,) int64 or float64 ·
        user_ids (M,) · item_ids (N,) int64 or object · value (E,) float64 or None
    """

    user: Array  # codes 0…M−1
    item: Array  # codes 0…N−1
    time: Array  # seconds, or any number that orders the events
    user_ids: Array
    item_ids: Array
    value: Array | None = None  # a rating, a count, a dwell time

    @classmethod
    def from_arrays(
        cls, user: Any, item: Any, time: Any | None = None, value: Any | None = None
    ) -> Self:
        """A log of four sequences of equal length; without `time` the events are in order.

        Times are numbers, or dates and ISO 8601 text, which become seconds since 1970.
        Raises
            DataError: lengths differ, nothing is there, an id or a time is missing or unreadable.
        """
        given = {"user": user, "item": item, "time": time, "value": value}
        columns = {name: sequence_column(name, c) for name, c in given.items() if c is not None}
        check_lengths(columns)
        at = lambda name: lambda i: f"{name}[{i}]"
        return cls._build(columns, "user", "item", "time", "value", at)

    @classmethod
    def from_frame(
        cls, frame: Any, *, user: str, item: str, time: str | None = None, value: str | None = None
    ) -> Self:
        """A log from the named columns of a polars, pandas or any other Arrow-like frame.

        Raises
            DataError: a column is missing, or as for `from_arrays`; rows are counted from 0.
        """
        columns = frame_columns(frame, [n for n in (user, item, time, value) if n is not None])
        check_lengths(columns)
        at = lambda name: lambda i: f"column {name!r}, row {i}"
        return cls._build(columns, user, item, time, value, at)

    @classmethod
    def from_tsv(
        cls,
        path: str | Path,
        *,
        user: str = "SessionId",
        item: str = "ItemId",
        time: str | None = "Time",
        value: str | None = None,
        separator: str = "\t",
        ids: Literal["auto", "text"] = "auto",
    ) -> Self:
        """A log from a delimited text file with a header line, plain or gzip.

        Fields are taken as they stand, without quoting; for quoted CSV read the file with polars
        and use `from_frame`.

        Arguments
            user, item, time, value: names of the columns; `time=None`: lines are in time order
            separator: between the fields of a line
            ids: "auto" makes integers of a column in which every cell is one, and text of any
                other ("007" is text); "text" makes text of both
        Raises
            FileNotFoundError: there is no such file.
            DataError: anything else is wrong; file, line and column are named.
        """
        check_ids_kind(ids)
        kinds: dict[str, Kind] = {user: ids, item: ids}
        if time is not None:
            kinds[time] = "time"
        if value is not None:
            kinds[value] = "number"
        if len(kinds) < 2 + (time is not None) + (value is not None):
            raise ValueError("user, item, time and value must be different columns")
        frame = read_columns(path, kinds, separator=separator)
        return cls.from_frame(frame, user=user, item=item, time=time, value=value)

    @classmethod
    def _build(
        cls,
        columns: Mapping[str, Column],
        user: str,
        item: str,
        time: str | None,
        value: str | None,
        at: Callable[[str], Where],
    ) -> Self:
        """Encode the named columns and sort events by (user, time), unless they already are.

        `at(name)(i)` says where cell i of a column comes from.  A name without a column is None.
        """
        user_code, user_ids = encode(columns[user], at(user))
        item_code, item_ids = encode(columns[item], at(item))
        if time is None or time not in columns:
            times = np.arange(len(user_code))
        else:
            times = to_seconds(columns[time], at(time))
        values = None
        if value is not None and value in columns:
            values = to_numbers(columns[value], at(value)).astype(np.float64)
        step = np.diff(user_code)
        if not ((step > 0) | ((step == 0) & (np.diff(times) >= 0))).all():
            order = np.lexsort((times, user_code))  # stable
            user_code, item_code, times = user_code[order], item_code[order], times[order]
            values = None if values is None else values[order]
        return cls(user_code, item_code, times, user_ids, item_ids, values)

    @property
    def n_events(self) -> int:
        """E."""
        return len(self.user)

    @property
    def n_users(self) -> int:
        """M."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """N."""
        return len(self.item_ids)

    @cached_property
    def offsets(self) -> Array:
        """User m's events are offsets[m]:offsets[m + 1], (M + 1,)."""
        return np.searchsorted(self.user, np.arange(self.n_users + 1))

    def histories(self) -> Histories:
        """Everyone's items, oldest first; row = user code."""
        offsets = self.offsets
        return Histories(self.item, offsets[:-1], offsets[1:], np.arange(self.n_users))

    def chronological(self) -> Histories:
        """`histories`, rows in the order of their first events; equal times by user code."""
        return self.histories().take(np.argsort(self.start_times(), kind="stable"))

    def support(self) -> Array:
        """Number of events of each item, (N,)."""
        return np.bincount(self.item, minlength=self.n_items)

    def start_times(self) -> Array:
        """Time of each user's first event, (M,)."""
        return self.time[self.offsets[:-1]]

    def end_times(self) -> Array:
        """Time of each user's last event, (M,)."""
        return self.time[self.offsets[1:] - 1]

    def select_events(self, mask: Array) -> Self:
        """The events where `mask` (E,) is true, in codes of their own.

        Users and items without an event are dropped; the others keep the order of their codes.

        Raises
            DataError: no event is left.
        """
        mask = np.asarray(mask)
        if mask.shape != self.user.shape or mask.dtype != bool:
            raise ValueError(f"the mask must be {self.n_events} booleans, one for each event")
        if not mask.any():
            raise DataError(f"none of the {self.n_events} events is left: loosen the selection")
        user, user_ids = _compact(self.user[mask], self.user_ids)
        item, item_ids = _compact(self.item[mask], self.item_ids)
        value = None if self.value is None else self.value[mask]
        return type(self)(user, item, self.time[mask], user_ids, item_ids, value)

    def select_users(self, users: Array) -> Self:
        """All events of some users, in codes of their own; see `select_events`.

        Arguments
            users: (M,) bool, or the codes of the users in any order
        """
        users = np.asarray(users)
        if users.dtype != bool:
            chosen = np.zeros(self.n_users, bool)
            chosen[users.astype(np.int64)] = True
            users = chosen
        if users.shape != (self.n_users,):
            raise ValueError(f"the mask must be {self.n_users} booleans, one for each user")
        return self.select_events(users[self.user])

    def drop_short(self, min_events: int = 2) -> Self:
        """Without the users that have fewer than `min_events` events."""
        long = np.diff(self.offsets) >= min_events
        if not long.any():
            raise DataError(
                f"no user or session has {min_events} events or more (the log has "
                f"{self.n_events} events of {self.n_users}): is the user column the right one?"
            )
        return self.select_users(long)

    def drop_rare(self, min_support: int) -> Self:
        """Without the items that have fewer than `min_support` events."""
        frequent = self.support() >= min_support
        if not frequent.any():
            raise DataError(
                f"no item has {min_support} events or more: lower the support or bring more data"
            )
        return self.select_events(frequent[self.item])

    def in_items_of(self, item_ids: Array) -> tuple[Self, int]:
        """This log in another log's item codes, and how many events on other items were removed.

        Users are re-coded as by `select_events`; those without any event left are dropped.  The
        result has all of the other's items, so this comes last: a later selection codes anew.

        Arguments
            item_ids: the other's `item_ids`, (N',)
        Raises
            DataError: the logs have no item in common.
        """
        code = {raw: c for c, raw in enumerate(item_ids.tolist())}
        there = np.array([code.get(raw, -1) for raw in self.item_ids.tolist()], np.int64)
        item = there[self.item]
        known = item >= 0
        if not known.any():
            raise DataError(f"the two logs have no item in common{self._example(item_ids)}")
        user, user_ids = _compact(self.user[known], self.user_ids)
        value = None if self.value is None else self.value[known]
        log = type(self)(user, item[known], self.time[known], user_ids, item_ids, value)
        return log, int(self.n_events - known.sum())

    def _example(self, item_ids: Array) -> str:
        """Ids are often text on one side and integers on the other: show one of each."""
        if not len(item_ids):
            return ""
        mine, other = self.item_ids[:1].tolist()[0], item_ids[:1].tolist()[0]
        return f": its items are like {mine!r}, the other's like {other!r}"

    def fingerprint(self) -> str:
        """A short hash of the contents, the same on every machine and in every run."""
        digest = hashlib.blake2b(digest_size=8)
        for array in (self.user, self.item, self.time, self.value, self.user_ids, self.item_ids):
            if array is None:
                digest.update(b"none")
            elif array.dtype == object:
                digest.update("\n".join(map(repr, array.tolist())).encode())
            else:
                digest.update(array.dtype.kind.encode())
                digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        counts = f"{self.n_events:,} events, {self.n_users:,} users, {self.n_items:,} items"
        if not self.n_events:
            return f"Interactions({counts})"
        first, last = self.time.min(), self.time.max()
        return f"Interactions({counts}, {_moment(first)} to {_moment(last)})"


def _compact(codes: Array, ids: Array) -> tuple[Array, Array]:
    """Codes without gaps, in the same order, and the ids that are left."""
    present = np.bincount(codes, minlength=len(ids)) > 0
    return (np.cumsum(present) - 1)[codes], ids[present]


def _moment(time: Any) -> str:
    """A time as people read it: seconds since 1970 if it can be that, else the number."""
    if 1e8 <= time < 4e9:  # 1973 to 2096
        moment = datetime.datetime.fromtimestamp(float(time), datetime.UTC)
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{time:g}" if isinstance(time, np.floating) else f"{time}"
