"""Interactions: raw ids, order, selections, other logs' codes."""

import datetime
import decimal
import pickle
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.data import DataError, Interactions

USER = ["b", "a", "b", "c", "a", "b"]
ITEM = [7, 5, 9, 7, 7, 9]
TIME = [3.0, 1.0, 2.0, 9.0, 1.0, 2.0]


def example() -> Interactions:
    return Interactions.from_arrays(USER, ITEM, TIME)


def events(log: Interactions) -> list[tuple]:
    """(raw user, raw item, time, value) in the log's order."""
    value = log.time * 0 if log.value is None else log.value
    return list(
        zip(
            log.user_ids[log.user].tolist(),
            log.item_ids[log.item].tolist(),
            log.time.tolist(),
            value.tolist(),
            strict=True,
        )
    )


def check_sound(log: Interactions) -> None:
    """What every log promises."""
    assert log.user.dtype == log.item.dtype == np.int64
    assert log.time.dtype in (np.int64, np.float64)
    assert np.array_equal(np.unique(log.user), np.arange(log.n_users))
    assert np.array_equal(np.unique(log.item), np.arange(log.n_items))
    same_user = np.diff(log.user) == 0
    assert (np.diff(log.user) >= 0).all()
    assert (np.diff(log.time)[same_user] >= 0).all()
    assert log.value is None or log.value.dtype == np.float64


def test_codes_are_in_order_of_first_appearance_and_events_in_order_of_user_and_time():
    log = example()
    check_sound(log)
    assert log.user_ids.tolist() == ["b", "a", "c"]
    assert log.item_ids.tolist() == [7, 5, 9]
    assert log.item_ids.dtype == np.int64
    assert log.user.tolist() == [0, 0, 0, 1, 1, 2]
    assert log.item.tolist() == [2, 2, 0, 1, 0, 0]  # ties keep the order of the input
    assert log.time.tolist() == [2.0, 2.0, 3.0, 1.0, 1.0, 9.0]
    assert (log.n_events, log.n_users, log.n_items) == (6, 3, 3)
    assert log.offsets.tolist() == [0, 3, 5, 6]
    assert log.offsets is log.offsets  # computed once
    assert log.support().tolist() == [3, 1, 2]
    assert log.start_times().tolist() == [2.0, 1.0, 9.0]
    assert log.end_times().tolist() == [3.0, 1.0, 9.0]


def test_histories_and_their_chronological_order():
    log = example()
    rows = log.histories()
    assert [rows.row(b).tolist() for b in range(3)] == [[2, 2, 0], [1, 0], [0]]
    assert rows.user.tolist() == [0, 1, 2]
    rows = log.chronological()
    assert [rows.row(b).tolist() for b in range(3)] == [[1, 0], [2, 2, 0], [0]]
    assert rows.user.tolist() == [1, 0, 2]


def test_sessions_that_start_together_keep_the_order_of_their_codes():
    start = np.random.default_rng(0).integers(5, size=300)  # many: short sorts are always stable
    log = Interactions.from_arrays(np.arange(300), np.zeros(300, int), start)
    assert log.chronological().user.tolist() == sorted(range(300), key=lambda m: start[m])


def test_without_times_the_rows_are_in_order():
    log = Interactions.from_arrays([1, 2, 1], ["x", "y", "z"])
    assert log.time.tolist() == [0, 2, 1]
    assert log.item_ids[log.item].tolist() == ["x", "z", "y"]


raw_ids = st.one_of(st.integers(-3, 3), st.sampled_from(["", "a", "007", "7"]), st.just((1, 2)))
rows = st.lists(
    st.tuples(raw_ids, raw_ids, st.integers(0, 3), st.integers(-2, 2)), min_size=1, max_size=12
)


@given(rows)
def test_nothing_is_lost_and_the_sort_is_stable(rows):
    log = Interactions.from_arrays(*map(list, zip(*rows, strict=True)))
    check_sound(log)
    users = list(dict.fromkeys(row[0] for row in rows))
    expected = sorted(rows, key=lambda row: (users.index(row[0]), row[2]))
    assert events(log) == expected
    assert log.user_ids.tolist() == users
    assert log.item_ids.tolist() == list(dict.fromkeys(row[1] for row in rows))


@given(rows, st.data())
def test_selections_keep_the_chosen_events_and_the_order_of_codes(rows, data):
    log = Interactions.from_arrays(*map(list, zip(*rows, strict=True)))
    n = log.n_events
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    if not mask.any():
        with pytest.raises(DataError, match=f"none of the {n} events"):
            log.select_events(mask)
        return
    part = log.select_events(mask)
    check_sound(part)
    assert events(part) == [e for e, kept in zip(events(log), mask, strict=True) if kept]
    kept = set(part.item_ids.tolist())
    assert part.item_ids.tolist() == [raw for raw in log.item_ids.tolist() if raw in kept]


def test_select_users_takes_codes_or_a_mask():
    log = example()
    by_code, by_mask = log.select_users([2, 0]), log.select_users(np.array([True, False, True]))
    assert events(by_code) == events(by_mask)
    assert by_code.user_ids.tolist() == ["b", "c"]
    assert by_code.item_ids.tolist() == [7, 9]


def test_drop_short_and_drop_rare():
    log = example()
    assert log.drop_short().user_ids.tolist() == ["b", "a"]
    assert log.drop_short(3).user_ids.tolist() == ["b"]
    assert log.drop_rare(2).item_ids.tolist() == [7, 9]
    with pytest.raises(DataError, match="no user or session has 4 events or more"):
        log.drop_short(4)
    with pytest.raises(DataError, match="no item has 9 events or more"):
        log.drop_rare(9)


def test_in_items_of_another_log():
    other = Interactions.from_arrays(["u", "u", "u", "w"], [9, 4, 7, 9])
    log, removed = example().in_items_of(other.item_ids)
    assert removed == 1  # item 5
    assert log.item_ids is other.item_ids
    assert log.item.tolist() == [0, 0, 2, 2, 2]
    assert log.user_ids[log.user].tolist() == ["b", "b", "b", "a", "c"]
    gone, removed = example().in_items_of(np.array([5]))
    assert (gone.user_ids.tolist(), gone.user.tolist(), removed) == (["a"], [0], 5)


def test_logs_without_a_common_item_show_an_id_of_each():
    with pytest.raises(DataError, match="items are like 7, the other's like '7'"):
        example().in_items_of(np.array(["7", "9"], object))


def test_fingerprint_sees_every_part_and_is_the_same_in_another_process():
    log = example()
    same = Interactions.from_arrays(np.array(USER), np.array(ITEM), np.array(TIME))
    assert log.fingerprint() == same.fingerprint()
    changed = [
        Interactions.from_arrays(["x", *USER[1:]], ITEM, TIME),
        Interactions.from_arrays(USER, [8, *ITEM[1:]], TIME),
        Interactions.from_arrays(USER, [str(i) for i in ITEM], TIME),
        Interactions.from_arrays(USER, ITEM, [3.5, *TIME[1:]]),
        Interactions.from_arrays(USER, ITEM, [int(t) for t in TIME]),
        Interactions.from_arrays(USER, ITEM, TIME, TIME),
    ]
    assert len({log.fingerprint(), *(other.fingerprint() for other in changed)}) == 7
    whole, real = [0, 0], [0.0, 0.0]  # equal, and the same bytes
    logs = [Interactions.from_arrays([1, 1], [1, 2], t) for t in (whole, real)]
    assert logs[0].fingerprint() != logs[1].fingerprint()
    code = (
        "from nnlib.data import Interactions;"
        f"print(Interactions.from_arrays({USER}, {ITEM}, {TIME}).fingerprint())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == log.fingerprint()


def test_repr_is_one_line():
    assert repr(example()) == "Interactions(6 events, 3 users, 3 items, 1 to 9)"
    log = Interactions.from_arrays([1, 1], [2, 3], ["2014-04-07T10:51:09Z", "2014-04-08"])
    assert repr(log).endswith("2014-04-07 10:51 to 2014-04-08 00:00)")


def test_a_log_can_be_pickled():
    again = pickle.loads(pickle.dumps(example()))
    assert again.fingerprint() == example().fingerprint()


FRAME = {"who": USER, "what": ITEM, "when": TIME, "much": [1, 2, 3, 4, 5, 6], "rest": [None] * 6}
NAMES = {"user": "who", "item": "what", "time": "when", "value": "much"}


class ArrowOnly:
    """A frame of which only the Arrow stream is known."""

    def __init__(self, frame):
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema=None):
        return self.frame.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame(FRAME),
        pl.DataFrame(FRAME).lazy(),
        pl.DataFrame(FRAME).with_columns(pl.col("who").cast(pl.Categorical)),
        pl.DataFrame(FRAME).with_columns(pl.col("what").cast(pl.UInt16)),
        pl.DataFrame(FRAME).with_columns(pl.col("much").cast(pl.Decimal(10, 2))),
        ArrowOnly(pl.DataFrame(FRAME)),
        pd.DataFrame(FRAME),
        pd.DataFrame(FRAME).astype({"who": "category", "what": "Int64", "much": "Float64"}),
        pd.DataFrame(FRAME).set_index(np.arange(6)[::-1]),
    ],
    ids=["polars", "lazy", "categorical", "uint16", "decimal", "arrow", "pandas", "nullable", "ix"],
)
def test_all_frames_give_the_same_log(frame):
    log = Interactions.from_frame(frame, **NAMES)
    assert log.fingerprint() == Interactions.from_arrays(*list(FRAME.values())[:4]).fingerprint()


def test_importing_nnlib_imports_no_frames():
    code = (
        "import sys, nnlib.data; print({'polars', 'pandas', 'pyarrow', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


MOMENT = datetime.datetime(2014, 4, 7, 10, 51, 9, 277000)
SECONDS = 1396867869.277
PARIS = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (["2014-04-07T10:51:09.277Z"], SECONDS),
        (["2014-04-07 12:51:09.277+02:00"], SECONDS),
        (["2014-04-07"], 1396828800.0),
        ([MOMENT], SECONDS),
        ([MOMENT.replace(tzinfo=datetime.UTC).astimezone(PARIS)], SECONDS),
        ([MOMENT.date()], 1396828800.0),
        (np.array([MOMENT], "datetime64[ms]"), SECONDS),
        (np.array([3], np.uint8), 3),
        (np.array([0.5], np.float32), 0.5),
        (pl.Series([MOMENT]), SECONDS),
        (
            pl.Series([MOMENT]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
            SECONDS,
        ),
        (pl.Series([MOMENT.date()]), 1396828800.0),
        (pl.Series(["2014-04-07T10:51:09.277Z"]), SECONDS),
        (pd.Series([MOMENT]), SECONDS),
    ],
)
def test_times_of_all_kinds_become_seconds(times, seconds):
    log = Interactions.from_arrays(["u"], ["i"], times)
    assert log.time.tolist() == [seconds]
    frame = pl.DataFrame({"t": times, "k": ["x"]})
    log = Interactions.from_frame(frame, user="k", item="k", time="t")
    assert log.time.tolist() == [seconds]


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set here")
def test_times_without_a_zone_are_utc_wherever_this_runs(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        for moment in (MOMENT, MOMENT.isoformat(), MOMENT.isoformat(" ")):
            assert Interactions.from_arrays([1], [1], [moment]).time.tolist() == [SECONDS]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_pandas_times_with_a_zone():
    frame = pd.DataFrame({"k": [1], "t": pd.to_datetime([MOMENT]).tz_localize("UTC")})
    frame["t"] = frame["t"].dt.tz_convert("Asia/Tokyo")
    log = Interactions.from_frame(frame, user="k", item="k", time="t")
    assert log.time.tolist() == [SECONDS]


NAN = float("nan")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (([1, 2], [1]), "differ in length: user has 2, item has 1"),
        (([], []), "the log is empty"),
        ((1, [1]), "user is a int: give an array or a list"),
        (("ab", [1, 2]), "user is a str"),
        ((np.ones((2, 2), int), [1, 2]), r"user has the shape \(2, 2\)"),
        (([1, None], [1, 2]), r"user\[1\] is missing \(None\)"),
        (([1, 2], ["x", NAN]), r"item\[1\] is missing \(nan\)"),
        (([1, 2], np.array([1.0, NAN])), r"item\[0\] is a float \(1.0\)"),
        (([1, 2], [3, pd.NA]), r"item\[1\] is missing \(<NA>\)"),
        (([1, 2], [3, [4]]), r"item\[1\] is a list: ids must be integers or text"),
        (([1, 2], [3, 4], [0.0, NAN]), r"time\[1\] is nan: it must be a finite number"),
        (([1, 2], [3, 4], [0.0, np.inf]), r"time\[1\] is inf"),
        (([1, 2], [3, 4], [0, None]), r"time\[1\] is None, not a number or an ISO 8601 time"),
        (([1, 2], [3, 4], ["2014-01-01", "soon"]), r"time\[1\] is 'soon', not a number"),
        (([1], [3], np.array(["NaT"], "datetime64[s]")), r"time\[0\] is missing \(NaT\)"),
        (([1, 2], [3, 4], [0, 1], [1, "much"]), r"value\[1\] is 'much', not a number"),
        (([1, 2], [3, 4], [0, 1], [NAN, 1]), r"value\[0\] is nan"),
        (([1], [decimal.Decimal("nan")]), r"item\[0\] is missing"),
        (([1], pl.Series([None, 1])[:1]), r"item\[0\] is missing \(null\)"),
    ],
)
def test_bad_arrays_are_refused_with_the_place(arrays, sentence):
    with pytest.raises(DataError, match=sentence):
        Interactions.from_arrays(*arrays)


@pytest.mark.parametrize("frame", [pl.DataFrame, pd.DataFrame])
def test_bad_frames_are_refused_with_column_and_row(frame):
    bad = frame({"u": ["x", None], "i": [1, 2], "t": [1.0, NAN]})
    with pytest.raises(DataError, match="column 'u', row 1 is missing"):
        Interactions.from_frame(bad, user="u", item="i")
    with pytest.raises(DataError, match="column 't', row 1 is"):
        Interactions.from_frame(bad, user="i", item="i", time="t")
    with pytest.raises(DataError, match="the frame has no column 'item' among 'u', 'i', 't'"):
        Interactions.from_frame(bad, user="u", item="item")


def test_other_things_are_no_frames():
    with pytest.raises(DataError, match="a dict is not a data frame"):
        Interactions.from_frame({"u": [1]}, user="u", item="u")
    twice = pd.DataFrame([[1, 2]], columns=["u", "u"])
    with pytest.raises(DataError, match="has 2 columns 'u'"):
        Interactions.from_frame(twice, user="u", item="u")


def test_masks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="6 booleans, one for each event"):
        example().select_events(np.ones(3, bool))
    with pytest.raises(ValueError, match="3 booleans, one for each user"):
        example().select_users(np.ones(6, bool))


def test_integers_too_large_for_int64_are_kept():
    log = Interactions.from_arrays(np.array([2**63 + 1, 5], np.uint64), [-(2**70), 2])
    assert log.user_ids.tolist() == [2**63 + 1, 5]
    assert log.item_ids.tolist() == [-(2**70), 2]
