"""Train and test logs: by time, by session, at random within users, one event out.

Each function returns (train, test), two logs in codes of their own with the raw ids kept; together
they have every event once.  Test may hold items that train has never seen, which no model can
rank: `test.in_items_of(train.item_ids)` removes those events and says how many there were.
"""

import numpy as np

from nnlib.data.errors import DataError
from nnlib.data.interactions import Interactions

DAY = 86_400  # seconds


def by_time(
    log: Interactions, *, seconds: float | None = None, fraction: float | None = None
) -> tuple[Interactions, Interactions]:
    """The newest sessions are test: those whose last event is late enough.

        (1) test = {m : end_m ≥ cut}         whole sessions, never cut
        (2) cut  = max end − seconds         or so that at least `fraction` of the sessions pass
    Sessions are taken by their last event, so training sessions end before any test session does.
    `by_time(train, fraction=1/64)[1]` is the newest 64th of a training set.

    Arguments
        seconds: length of the test period, > 0, in the unit of `log.time`
        fraction: share of the sessions, in (0, 1); equal end times are not separated
    Raises
        DataError: one of the two parts would be empty.
    Source
        The preprocessing that GRU4Rec's authors released takes the last event; Hidasi & Karatzoglou
        2018 write "first event".
    """
    if (seconds is None) == (fraction is None):
        raise ValueError("give either seconds or fraction")
    end = log.end_times()
    if seconds is not None:
        if not seconds > 0:
            raise ValueError(f"seconds={seconds}: the test period must be longer than 0")
        cut = end.max() - seconds
        advice = f"seconds={seconds:g} must be less than the {end.max() - end.min():g} they span"
    else:
        cut = np.sort(end)[-_share(log, fraction)]
        advice = "too many of them end at the same time; use by_session"
    test = end >= cut  # (1)
    if test.all():
        raise DataError(f"all {log.n_users} sessions would be test, none train: {advice}")
    return log.select_users(~test), log.select_users(test)


def by_session(
    log: Interactions, fraction: float, rng: np.random.Generator
) -> tuple[Interactions, Interactions]:
    """A random `fraction` of the sessions, whole, is test.

    Training sessions may be later than test sessions: the model knows the future, which flatters
    it.  For data without usable times.

    Raises
        DataError: there is only one session.
    """
    test = np.zeros(log.n_users, bool)
    test[rng.permutation(log.n_users)[: _share(log, fraction)]] = True
    return log.select_users(~test), log.select_users(test)


def last_out(log: Interactions) -> tuple[Interactions, Interactions]:
    """Each user's last event is test, the others are train; one event alone stays in train.

    Raises
        DataError: no user has two events.
    """
    last = np.zeros(log.n_events, bool)
    last[log.offsets[1:] - 1] = True
    last[log.offsets[:-1]] = False  # also the last, where it is the only one
    if not last.any():
        raise DataError("no user has two events: there is nothing to leave out")
    return log.select_events(~last), log.select_events(last)


def one_out(log: Interactions, rng: np.random.Generator) -> tuple[Interactions, Interactions]:
    """One random event of each user is test, the others are train; see `last_out` for the last.

    Raises
        DataError: no user has two events.
    """
    size = np.diff(log.offsets)
    if not (size > 1).any():
        raise DataError("no user has two events: there is nothing to leave out")
    test = np.zeros(log.n_events, bool)
    test[(log.offsets[:-1] + (rng.random(log.n_users) * size).astype(np.int64))[size > 1]] = True
    return log.select_events(~test), log.select_events(test)


def within_users(
    log: Interactions, fraction: float, rng: np.random.Generator
) -> tuple[Interactions, Interactions]:
    """A random `fraction` of each user's events is test, rounded; at least one stays in train.

    For data without a usable order.  Half an event is rounded up, so with fraction=0.2 a user
    needs three events to lose one.

    Raises
        DataError: no user has enough events to lose one.
    """
    _check_fraction(fraction)
    size = np.diff(log.offsets)
    n_test = np.minimum(np.floor(fraction * size + 0.5).astype(np.int64), size - 1)
    order = np.lexsort((rng.random(log.n_events), log.user))  # each user's events shuffled
    place = np.arange(log.n_events) - log.offsets[:-1][log.user]
    test = np.zeros(log.n_events, bool)
    test[order] = place < n_test[log.user]
    if not test.any():
        raise DataError(f"no user has enough events to leave {fraction:g} of them out")
    return log.select_events(~test), log.select_events(test)


def by_event(
    log: Interactions, fraction: float, rng: np.random.Generator
) -> tuple[Interactions, Interactions]:
    """A random `fraction` of all events is test, whosever they are: the split of rating data.

    Raises
        DataError: there is only one event.
    """
    _check_fraction(fraction)
    if log.n_events < 2:
        raise DataError("there is only one event: a split needs two")
    n_test = min(max(round(fraction * log.n_events), 1), log.n_events - 1)
    test = np.zeros(log.n_events, bool)
    test[rng.permutation(log.n_events)[:n_test]] = True
    return log.select_events(~test), log.select_events(test)


def _share(log: Interactions, fraction: float | None) -> int:
    """`fraction` of the sessions, at least one and not all."""
    fraction = _check_fraction(fraction)
    if log.n_users < 2:
        raise DataError("there is only one session: a split needs two")
    return min(max(round(fraction * log.n_users), 1), log.n_users - 1)


def _check_fraction(fraction: float | None) -> float:
    if fraction is None or not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction}: it must be between 0 and 1, both excluded")
    return fraction
