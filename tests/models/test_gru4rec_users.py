"""Sessions of known users: the state goes on from one session to the next, in training and after.

The world: visits of about 12 clicks of HMMClicks, cut into sessions of 3; the sessions of a visit
are one user's.  What a user did in the session before is worth much in the next.
"""

import numpy as np
import pytest

from nnlib.data import Interactions
from nnlib.data.synthetic import HMMClicks
from nnlib.data.user_sessions import user_sessions
from nnlib.metrics import evaluate
from nnlib.metrics.evaluate import difference
from nnlib.metrics.ranking import rank_bounds
from nnlib.models import GRU4Rec, WarmStart


def log_of_users(n_visits, rng, first=0):
    """(log of sessions, {session: user})."""
    visits = HMMClicks(mean_length=12.0, seed=1).sample(n_visits, rng)
    place = np.arange(visits.n_events) - visits.offsets[:-1][visits.user]
    session = first + visits.user * 1000 + place // 3
    log = Interactions.from_arrays(session, visits.item_ids[visits.item], visits.time)
    users = dict(zip(session.tolist(), visits.user.tolist(), strict=True))
    return log, users


def small(**settings):
    return GRU4Rec(**{**dict(hidden=(8,), batch_size=4, n_sample=6, epochs=1, lr=0.1), **settings})


def test_rows_are_users_in_the_order_of_time():
    log = Interactions.from_arrays(
        ["b", "b", "a", "a", "c", "d"], [1, 2, 3, 4, 5, 6], [10, 11, 2, 3, 20, 1]
    )
    rows, event, inside = user_sessions([log], {"a": "U", "b": "U", "c": "V"})
    got = [log.item_ids[rows.row(b)].tolist() for b in range(len(rows))]
    assert got == [[6], [3, 4, 1, 2], [5]]  # d is a user by itself and came first
    np.testing.assert_array_equal(log.item[event], rows.items)
    assert inside.tolist() == [False, True, False, True, False, False]


def test_without_users_in_the_mapping_nothing_changes():
    """Every session its own user: the same steps, bit for bit."""
    log, _ = log_of_users(30, np.random.default_rng(0))
    plain, mapped = small().fit(log), small().fit(log, users={})
    assert mapped.losses_ == plain.losses_
    np.testing.assert_array_equal(mapped.net_.W.value, plain.net_.W.value)


def test_no_loss_across_the_border_of_sessions():
    """The first item of a second session is never a target: as its own negative it only falls."""
    session, item = [1, 1, 2, 2, 3, 3], [0, 1, 2, 3, 4, 0]
    log = Interactions.from_arrays(session, item, np.arange(6))
    model = small(n_sample=0, batch_size=2, epochs=30, embedding="separate")
    fit = model.fit(log, users={1: "u", 2: "u", 3: "v"})
    assert fit.recommend([0], 5)[0][0] == 1
    assert fit.recommend([0, 1], 5)[0][0] != 2


def test_warm_start_reads_what_came_before_and_nothing_else():
    rng = np.random.default_rng(3)
    (train, users), (test, more) = log_of_users(40, rng), log_of_users(12, rng, first=500)
    users |= more
    model = small().fit(train, users=users)
    warm = WarmStart(model, test, users, before=train)
    known = test.in_items_of(model.item_ids_)[0]
    sessions = known.histories()
    at_most, start = 0, known.start_times()
    owner = np.array([users[s] for s in known.user_ids.tolist()])
    before = train.in_items_of(model.item_ids_)[0]
    theirs = np.array([users[s] for s in before.user_ids.tolist()])
    for row, at, scores in warm.walk(sessions, block=5):
        for r, a, got in zip(row, at, scores, strict=True):
            past = [
                (log.start_times()[s], log.histories().row(s))
                for log, whose in ((before, theirs), (known, owner))
                for s in np.flatnonzero(whose == owner[r])
                if log.start_times()[s] < start[r]
            ]
            past = [item for _, items in sorted(past, key=lambda p: p[0]) for item in items]
            live = model.session(before=model.item_ids_[past].tolist())
            for item in known.item_ids[sessions.items[sessions.start[r] : a + 1]].tolist():
                live.click(item)
            expected = (live.states[0] @ model.net_.W.value.T + model.net_.b.value)[0]
            np.testing.assert_allclose(got, expected, atol=1e-5)
            at_most += 1
    assert at_most == (sessions.lengths - 1).sum()
    (row, at, scores), (at_of_ranks, *found) = (
        [np.concatenate(parts) for parts in zip(*walk(sessions), strict=True)]
        for walk in (warm.walk, warm.walk_ranks)
    )
    np.testing.assert_array_equal(at_of_ranks, at)
    np.testing.assert_array_equal(found, rank_bounds(scores, sessions.items[at + 1]))
    with pytest.raises(ValueError, match="not the sessions"):
        next(warm.walk(train.histories()))


def test_a_live_session_after_others_does_not_call_them_seen():
    log, _ = log_of_users(30, np.random.default_rng(0))
    model = small().fit(log)
    first, second = log.item_ids[:2].tolist()
    live = model.session(before=[first]).click(second)
    assert live.items == [second]
    assert [i for i, _ in live.top(5)] == [i for i, _ in model.recommend([first, second], 5)]
    assert second not in [i for i, _ in live.top(5, exclude_seen=True)]


@pytest.mark.slow
def test_remembering_pays_where_users_go_on():
    """Recall@20 cold, warm in use only, warm in training only, warm in both (standard error .006):
    seed 0  .369 .404 .370 .412 · seed 1  .371 .402 .375 .425.
    """
    rng = np.random.default_rng(0)
    (train, users), (test, more) = log_of_users(4000, rng), log_of_users(500, rng, first=500)
    test_users = {s: ("test", u) for s, u in more.items()}
    for seed in (0, 1):
        settings = dict(
            hidden=(48,), batch_size=32, n_sample=128, sample_alpha=0.0, epochs=3, seed=seed,
            dropout_hidden=0.2,
        )  # fmt: skip
        cold, warm = small(**settings).fit(train), small(**settings).fit(train, users=users)
        result = {
            "cold": evaluate(cold, test),
            "warm in use only": evaluate(WarmStart(cold, test, test_users), test),
            "warm in training only": evaluate(warm, test),
            "warm": evaluate(WarmStart(warm, test, test_users), test),
        }
        print(seed, {name: round(r["recall@20"], 4) for name, r in result.items()})
        gap, error = difference(result["warm"], result["cold"], "recall@20")
        assert gap > 3 * error
