"""YOOCHOOSE and MovieLens readers, and the RSC15 preprocessing against a slow reference."""

import datetime
import gzip
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnlib.data import (
    DataError,
    Interactions,
    Rsc15Counts,
    read_movielens,
    read_rsc15,
    read_yoochoose,
    rsc15_split,
)

CLICKS = """\
1,2014-04-07T10:51:09.277Z,214536502,0
1,2014-04-07T10:54:09.868Z,214536500,0
7,2014-04-07T09:00:00.000Z,214536500,S
1,2014-04-07T10:54:00.000Z,214536506,12
"""


def test_yoochoose(tmp_path):
    path = tmp_path / "yoochoose-clicks.dat"
    path.write_text(CLICKS)
    log = read_yoochoose(path)
    assert log.user_ids.tolist() == [1, 7]
    assert log.item_ids.tolist() == [214536502, 214536500, 214536506]
    assert log.item.tolist() == [0, 2, 1, 1]
    assert log.time.tolist()[0] == 1396867869.277
    zipped = tmp_path / "clicks.dat.gz"
    zipped.write_bytes(gzip.compress(CLICKS.encode()))
    assert read_yoochoose(zipped).fingerprint() == log.fingerprint()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no events"),
        (CLICKS + "8,2014-04-07T09:00:00.000Z,2145", "line 5: 3 fields instead of 4"),
        (CLICKS + "8,,214536500,0\n", "line 5: time is empty"),
        (CLICKS + "8,yesterday,214536500,0\n", "line 5: time is 'yesterday', not a number or"),
        (CLICKS + ",2014-04-07T09:00:00.000Z,214536500,0\n", "line 5: session is empty"),
        ("SessionId\tItemId\tTime\n1\t2\t3\n", "line 1: 1 fields instead of 4"),
    ],
)
def test_bad_yoochoose_files(tmp_path, text, sentence):
    path = tmp_path / "clicks.dat"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_yoochoose(path)
    with pytest.raises(FileNotFoundError):
        read_yoochoose(tmp_path / "none.dat")


def reference(events, day):
    """RSC15's preprocessing, a list of (session, item, time) in, two out: one step a line."""
    clicks = Counter(s for s, _, _ in events)
    events = [e for e in events if clicks[e[0]] > 1]
    support = Counter(i for _, i, _ in events)
    events = [e for e in events if support[e[1]] >= 5]
    clicks = Counter(s for s, _, _ in events)
    events = [e for e in events if clicks[e[0]] > 1]
    if not events:
        return [], []
    end: dict = {}
    for s, _, t in events:
        end[s] = max(end.get(s, t), t)
    cut = max(end.values()) - day
    train = [e for e in events if end[e[0]] < cut]
    items = {i for _, i, _ in train}
    test = [e for e in events if end[e[0]] >= cut and e[1] in items]
    clicks = Counter(s for s, _, _ in test)
    return train, [e for e in test if clicks[e[0]] > 1]


def triples(log):
    users, items = log.user_ids[log.user].tolist(), log.item_ids[log.item].tolist()
    return list(zip(users, items, log.time.tolist(), strict=True))


START = datetime.datetime(2014, 9, 1, tzinfo=datetime.UTC)
HOUR = 3600


@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    seed=st.integers(0, 10**6),
    n_sessions=st.integers(2, 40),
    n_items=st.integers(2, 8),
    hours=st.integers(26, 72),
)
def test_rsc15_preprocessing_against_the_reference(tmp_path, seed, n_sessions, n_items, hours):
    rng = np.random.default_rng(seed)
    events = []
    for session in rng.permutation(n_sessions):
        start = int(rng.integers(hours)) * HOUR  # whole hours: ties, and ends exactly at the cut
        for click in range(int(rng.integers(1, 6))):
            item = int(n_items * rng.random() ** 2)
            events.append((int(session), item, start + click * HOUR * int(rng.integers(2))))
    path = tmp_path / "clicks.dat"
    stamp = lambda t: (START + datetime.timedelta(seconds=t)).isoformat().replace("+00:00", "Z")
    path.write_text("".join(f"{s},{stamp(t)},{i},0\n" for s, i, t in events))
    train, test = reference([(s, i, t + START.timestamp()) for s, i, t in events], 24 * HOUR)
    if not train or not test:
        with pytest.raises(DataError):
            read_rsc15(path, report=None)
        return
    ours = read_rsc15(path, report=None)
    for log, expected in zip(ours, (train, test), strict=True):
        assert sorted(triples(log)) == sorted(expected)
    counts = Rsc15Counts.of(*ours)
    assert counts.train_sessions == len({s for s, _, _ in train})
    assert counts.train_items == len({i for _, i, _ in train})


def test_the_sizes_are_reported_and_the_name_is_refused(tmp_path, capsys):
    events = [
        f"{s},2014-04-0{1 + 2 * (s // 4)}T10:00:0{k}.000Z,{k},0\n" for s in range(8) for k in (1, 2)
    ]
    path = tmp_path / "clicks.dat"
    path.write_text("".join(events))
    train, test = read_rsc15(path)
    printed = capsys.readouterr().out
    assert (train.n_users, test.n_users) == (4, 4)
    assert "train sessions             4   7,966,257   differs" in printed
    assert "31,637,239" in printed
    assert "37,483" in printed
    assert "15,324" in printed
    assert "71,222" in printed
    assert "this is not RSC15" in printed
    assert Rsc15Counts.of(train, test).name == "custom clicks"


def test_only_the_five_exact_sizes_are_rsc15():
    sizes = [7_966_257, 31_637_239, 37_483, 15_324, 71_222]
    exact = Rsc15Counts(*sizes)
    assert exact.name == "RSC15"
    assert "differs" not in str(exact)
    assert "this is RSC15" in str(exact)
    for k in range(5):
        near = list(sizes)
        near[k] += 1
        assert Rsc15Counts(*near).name == "custom clicks"
        assert str(Rsc15Counts(*near)).count("differs") == 1


def test_the_split_of_real_clicks_once_more(shared_data):
    train = Interactions.from_tsv(shared_data / "rsc15-100k" / "train_full.tsv")
    inner, valid = rsc15_split(train)
    expected = Interactions.from_tsv(shared_data / "rsc15-100k" / "train_tr.tsv")
    assert (inner.n_users, inner.n_events) == (expected.n_users, expected.n_events)
    expected = Interactions.from_tsv(shared_data / "rsc15-100k" / "train_valid.tsv")
    assert sorted(triples(valid)) == sorted(triples(expected))


@pytest.mark.parametrize("separator", ["\t", "::"])
def test_movielens(tmp_path, separator):
    path = tmp_path / "ratings.dat"
    path.write_text(
        "196 242 3 881250949\n186 302 4.5 891717742\n196 302 1 881250948\n".replace(" ", separator)
    )
    log = read_movielens(path)
    assert log.user_ids.tolist() == [196, 186]
    assert log.item_ids[log.item].tolist() == [302, 242, 302]
    assert log.value.tolist() == [1.0, 3.0, 4.5]
    assert log.time.dtype == np.int64
    path.write_text(f"196{separator}242{separator}3\n")
    with pytest.raises(DataError, match="line 1: 3 fields instead of 4"):
        read_movielens(path)
    path.write_text("196 242 x 881250949".replace(" ", separator))
    with pytest.raises(DataError, match="line 1: rating is 'x', not a number"):
        read_movielens(path)


def test_real_ratings(shared_data):
    log = read_movielens(shared_data / "ml-100k" / "u.data")
    assert (log.n_events, log.n_users, log.n_items) == (100_000, 943, 1_682)
    assert np.isin(log.value, [1, 2, 3, 4, 5]).all()


@settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(text=st.one_of(st.binary(max_size=60), st.text("01:,\t\n.Z-T", max_size=40)))
@pytest.mark.parametrize("read", [read_yoochoose, read_movielens])
def test_any_bytes_in_any_reader(tmp_path, read, text):
    path = tmp_path / "any"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    try:
        log = read(path)
    except DataError:
        return
    assert log.n_events > 0
