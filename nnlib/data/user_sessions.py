"""Sessions of users who are known: what lets a model remember from one session to the next."""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nnlib.array import Array
from nnlib.data.histories import Histories
from nnlib.data.interactions import Interactions


class UserSessions(NamedTuple):
    """One row per user: all events, session after session.

    Shapes
        rows: U rows of `rows.items` (E,), ordered by the time of the user's first event
        event (E,) int, where each item of `rows.items` was in the logs' items put together
        inside (E,) bool, whether the next event of the row is of the same session
    """

    rows: Histories
    event: Array
    inside: Array


def user_sessions(logs: Sequence[Interactions], users: Mapping[Hashable, Hashable]) -> UserSessions:
    """Put the sessions of each user in a row, in the order in which they start.

    Arguments
        logs: rows are sessions; all logs have the same item codes
        users: raw user id of a raw session id; a session that is not in it is a user by itself
    """
    owner_ids = [users.get(s, (i, s)) for i, log in enumerate(logs) for s in log.user_ids.tolist()]
    code = {raw: c for c, raw in enumerate(dict.fromkeys(owner_ids))}
    owner = np.array([code[raw] for raw in owner_ids], np.int64)
    start = np.concatenate([log.start_times() for log in logs])
    lengths = np.concatenate([np.diff(log.offsets) for log in logs])
    first = np.cumsum(lengths) - lengths

    since = np.full(len(code), np.inf)
    np.minimum.at(since, owner, start)
    order = np.lexsort((start, owner, since[owner]))  # of sessions; stable
    owner, lengths = owner[order], lengths[order]
    ends = np.cumsum(lengths)
    event = np.repeat(first[order] - (ends - lengths), lengths) + np.arange(lengths.sum())
    items = np.concatenate([log.item for log in logs])[event]
    inside = np.ones(len(items), bool)
    inside[ends - 1] = False
    last = np.append(owner[1:] != owner[:-1], True)  # sessions after which another user comes
    stops = ends[last]
    return UserSessions(Histories(items, np.append(0, stops[:-1]), stops), event, inside)
