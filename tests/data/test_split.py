"""Splits: every event once, whole sessions, no leakage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.data import (
    DataError,
    Interactions,
    by_event,
    by_session,
    by_time,
    last_out,
    one_out,
    within_users,
)


def random_log(seed: int, n_users: int = 12, n_times: int = 30) -> Interactions:
    rng = np.random.default_rng(seed)
    user = rng.integers(n_users, size=40)
    return Interactions.from_arrays(
        [f"u{m}" for m in user], rng.integers(9, size=40), rng.integers(n_times, size=40)
    )


def triples(log: Interactions) -> list[tuple]:
    users, items = log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist()
    return list(zip(users, items, log.time.tolist(), strict=True))


def check_partition(log, train, test):
    """Every event is in exactly one part and both are in codes of their own."""
    assert sorted(triples(train) + triples(test)) == sorted(triples(log))
    for part in (train, test):
        assert np.array_equal(np.unique(part.user), np.arange(part.n_users))
        assert np.array_equal(np.unique(part.item), np.arange(part.n_items))


seeds = st.integers(0, 10**6)


@given(seeds, st.integers(1, 20))
def test_by_seconds(seed, seconds):
    log = random_log(seed)
    cut = log.time.max() - seconds
    if log.end_times().min() >= cut:
        with pytest.raises(DataError, match=f"all {log.n_users} sessions would be test"):
            by_time(log, seconds=seconds)
        return
    train, test = by_time(log, seconds=seconds)
    check_partition(log, train, test)
    assert not set(train.user_ids) & set(test.user_ids)  # whole sessions
    assert train.time.max() < cut  # train ends before
    assert (test.end_times() >= cut).all()


def test_a_session_that_ends_exactly_at_the_cut_is_test():
    log = Interactions.from_arrays(["a", "a", "b", "c"], [1, 2, 3, 4], [0, 10, 9, 20])
    train, test = by_time(log, seconds=10)
    assert test.user_ids.tolist() == ["a", "c"]
    assert train.user_ids.tolist() == ["b"]


@given(seeds, st.floats(0.01, 0.99))
def test_by_fraction_of_the_newest(seed, fraction):
    log = random_log(seed, n_times=10**6)
    train, test = by_time(log, fraction=fraction)
    check_partition(log, train, test)
    assert test.n_users == min(max(round(fraction * log.n_users), 1), log.n_users - 1)
    assert train.end_times().max() < test.end_times().min()


def test_equal_end_times_stay_together():
    log = Interactions.from_arrays([1, 2, 3, 4], [1, 1, 1, 1], [0, 5, 5, 5])
    assert by_time(log, fraction=0.25)[1].n_users == 3
    with pytest.raises(DataError, match="too many of them end at the same time"):
        by_time(log.select_users([1, 2, 3]), fraction=0.25)


@given(seeds, st.floats(0.01, 0.99))
def test_by_session(seed, fraction):
    log = random_log(seed)
    train, test = by_session(log, fraction, np.random.default_rng(seed))
    check_partition(log, train, test)
    assert not set(train.user_ids) & set(test.user_ids)
    assert test.n_users == min(max(round(fraction * log.n_users), 1), log.n_users - 1)
    again = by_session(log, fraction, np.random.default_rng(seed))
    assert [part.fingerprint() for part in again] == [train.fingerprint(), test.fingerprint()]


def test_by_session_draws_every_session_equally_often():
    log = random_log(0)
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(log.user_ids, 0)
    for _ in range(600):
        for raw in by_session(log, 0.25, rng)[1].user_ids:
            counts[raw] += 1
    p = 3 / 12
    spread = np.sqrt(600 * p * (1 - p))
    assert max(abs(n - 600 * p) for n in counts.values()) < 4 * spread


@given(seeds)
def test_last_out(seed):
    log = random_log(seed, n_users=25)
    train, test = last_out(log)
    check_partition(log, train, test)
    assert set(train.user_ids) == set(log.user_ids)
    long = np.diff(log.offsets) > 1
    assert test.user_ids.tolist() == log.user_ids[long].tolist()
    assert np.array_equal(np.diff(test.offsets), np.ones(test.n_users))
    assert np.array_equal(test.time, log.end_times()[long])
    last = log.offsets[1:][long] - 1
    assert triples(test) == [triples(log)[e] for e in last]


def test_wrong_arguments():
    log = random_log(1)
    with pytest.raises(ValueError, match="either seconds or fraction"):
        by_time(log)
    with pytest.raises(ValueError, match="either seconds or fraction"):
        by_time(log, seconds=1, fraction=0.5)
    with pytest.raises(ValueError, match="seconds=0"):
        by_time(log, seconds=0)
    for fraction in (0, 1, -0.5, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            by_time(log, fraction=fraction)
        with pytest.raises(ValueError, match="between 0 and 1"):
            by_session(log, fraction, np.random.default_rng(0))


def test_logs_that_cannot_be_split():
    one = Interactions.from_arrays([1, 1], [1, 2])
    with pytest.raises(DataError, match="only one session"):
        by_time(one, fraction=0.5)
    with pytest.raises(DataError, match="only one session"):
        by_session(one, 0.5, np.random.default_rng(0))
    with pytest.raises(DataError, match="all 1 sessions would be test"):
        by_time(one, seconds=5)
    with pytest.raises(DataError, match="no user has two events"):
        last_out(Interactions.from_arrays([1, 2], [1, 2]))


@given(seeds, st.floats(0.01, 0.99))
def test_within_users(seed, fraction):
    log = random_log(seed)
    events = dict(zip(log.user_ids.tolist(), np.diff(log.offsets).tolist(), strict=True))
    wanted = {m: min(int(fraction * n + 0.5), n - 1) for m, n in events.items()}
    if not any(wanted.values()):
        with pytest.raises(DataError, match="no user has enough events"):
            within_users(log, fraction, np.random.default_rng(0))
        return
    train, test = within_users(log, fraction, np.random.default_rng(0))
    check_partition(log, train, test)
    held = dict(zip(test.user_ids.tolist(), np.diff(test.offsets).tolist(), strict=True))
    assert {m: held.get(m, 0) for m in wanted} == wanted
    again, _ = within_users(log, fraction, np.random.default_rng(0))
    assert again.fingerprint() == train.fingerprint()


def test_within_users_takes_any_event_alike():
    log = Interactions.from_arrays(np.repeat(np.arange(2000), 4), np.tile(np.arange(4), 2000))
    _, test = within_users(log, 0.5, np.random.default_rng(0))
    share = np.bincount(test.item_ids[test.item]) / 4000
    np.testing.assert_allclose(share, 0.25, atol=0.03)  # 4 standard errors


@given(seeds)
def test_one_out(seed):
    log = random_log(seed)
    train, test = one_out(log, np.random.default_rng(seed))
    check_partition(log, train, test)
    assert (np.diff(test.offsets) == 1).all()
    assert test.n_users == (np.diff(log.offsets) > 1).sum()
    assert train.n_users == log.n_users


@given(seeds, st.floats(0.01, 0.99))
def test_by_event(seed, fraction):
    log = random_log(seed)
    train, test = by_event(log, fraction, np.random.default_rng(seed))
    check_partition(log, train, test)
    assert test.n_events == min(max(round(fraction * 40), 1), 39)


def test_random_splits_refuse_what_cannot_be_split():
    alone = Interactions.from_arrays([1], [1])
    for split in (within_users, by_event):
        with pytest.raises(ValueError, match="fraction=1"):
            split(alone, 1, np.random.default_rng(0))
    with pytest.raises(DataError, match="only one event"):
        by_event(alone, 0.5, np.random.default_rng(0))
    with pytest.raises(DataError, match="nothing to leave out"):
        one_out(alone, np.random.default_rng(0))
