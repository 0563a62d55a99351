"""Readers of published data sets: YOOCHOOSE clicks (RecSys Challenge 2015) and MovieLens."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

from nnlib.data.delimited import first_line, read_columns
from nnlib.data.interactions import Interactions
from nnlib.data.split import DAY, by_time


@dataclass(frozen=True)
class Rsc15Counts:
    """Sizes of a split, beside those of the split that papers call RSC15.

    Variants of the preprocessing (repeats removed, other filters, the newest 1/64) give results
    that cannot be compared with it, so only a split of exactly these sizes has the name.
    """

    train_sessions: int
    train_events: int
    train_items: int
    test_sessions: int
    test_events: int

    RSC15: ClassVar["Rsc15Counts"]

    @classmethod
    def of(cls, train: Interactions, test: Interactions) -> Self:
        """The sizes of this split."""
        return cls(train.n_users, train.n_events, train.n_items, test.n_users, test.n_events)

    @property
    def name(self) -> str:
        """Only if all five sizes are RSC15's is it "RSC15", otherwise "custom clicks"."""
        return "RSC15" if self == self.RSC15 else "custom clicks"

    def __str__(self) -> str:
        """A table of five rows: here, RSC15."""
        expected = asdict(self.RSC15)
        lines = [f"{'':16}{'here':>12}{'RSC15':>12}"]
        for key, count in asdict(self).items():
            differs = "" if count == expected[key] else "   differs"
            lines.append(f"{key.replace('_', ' '):16}{count:12,}{expected[key]:12,}{differs}")
        verdict = "this is RSC15" if self.name == "RSC15" else "this is not RSC15: custom clicks"
        return "\n".join([*lines, verdict])


Rsc15Counts.RSC15 = Rsc15Counts(7_966_257, 31_637_239, 37_483, 15_324, 71_222)


def read_rsc15(
    path: str | Path, *, report: Callable[[str], object] | None = print
) -> tuple[Interactions, Interactions]:
    """The RSC15 split of `yoochoose-clicks.dat`, as (train, test).

        (1) sessions of one click are dropped
        (2) items with fewer than 5 clicks are dropped, test day included
        (3) sessions left with one click are dropped; (1)-(3) are not repeated
        (4) `rsc15_split`
    Consecutive repeats are kept.  The sizes are reported beside those of RSC15: the challenge's
    file gives them exactly.

    Arguments
        report: takes the table of sizes, e.g. `print`; None for silence
    Raises
        FileNotFoundError: there is no such file.
        DataError: a line is malformed, or nothing is left after a step.
    Source
        The preprocessing released with GRU4Rec; Hidasi et al. 2016, section 4.
    """
    log = read_yoochoose(path).drop_short(2)  # (1)
    log = log.drop_rare(5).drop_short(2)  # (2) (3)
    train, test = rsc15_split(log)  # (4)
    if report is not None:
        report(str(Rsc15Counts.of(train, test)))
    return train, test


def rsc15_split(log: Interactions, seconds: float = DAY) -> tuple[Interactions, Interactions]:
    """The sessions that end in the last day against those before, as (train, test).

        (1) a session is test if its last event is at or after max time − seconds, else train
        (2) events on items that train does not have leave test, then sessions of one event
    Applied to the resulting train once more, it gives the split to tune on.

    Raises
        DataError: train or test would be empty.
    """
    train, test = by_time(log, seconds=seconds)  # (1)
    known, _ = test.in_items_of(train.item_ids)
    return train, known.drop_short(2)  # (2)


def read_yoochoose(path: str | Path) -> Interactions:
    """All clicks of `yoochoose-clicks.dat`: session, ISO time, item, category; no header, commas.

    Times become seconds since 1970, read as UTC.  The category is not used.

    Raises
        FileNotFoundError: there is no such file.
        DataError: a line is malformed; its number and the column are named.
    """
    frame = read_columns(
        path,
        {"session": "auto", "item": "auto", "time": "time"},
        separator=",",
        names=("session", "time", "item", "category"),
    )
    return Interactions.from_frame(frame, user="session", item="item", time="time")


def read_movielens(path: str | Path) -> Interactions:
    """Ratings of MovieLens: `u.data` (100K, tabs) or `ratings.dat` (1M, 10M, "::").

    Ratings become `value`.  People rate many films in one sitting and in the order in which the
    site shows them, so this is no data to judge a sequential model by.

    Raises
        FileNotFoundError: there is no such file.
        DataError: a line is malformed; its number and the column are named.
    """
    frame = read_columns(
        path,
        {"user": "auto", "item": "auto", "time": "time", "rating": "number"},
        separator="::" if "::" in first_line(path) else "\t",
        names=("user", "item", "rating", "time"),
    )
    return Interactions.from_frame(frame, user="user", item="item", time="time", value="rating")
