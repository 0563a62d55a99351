"""Delimited text: what it may look like, and what is said of the line that it may not."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnlib.data import DataError, Interactions
from nnlib.data.delimited import first_line, read_columns

HEADER = "SessionId\tItemId\tTime\n"


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes, name: str = "clicks.tsv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_a_plain_file(write):
    log = Interactions.from_tsv(write(f"{HEADER}9\t7\t2.5\n8\t7\t1\n9\tx\t2\n"))
    assert log.user_ids.tolist() == [9, 8]
    assert log.user_ids.dtype == np.int64
    assert log.item_ids.tolist() == ["7", "x"]
    assert log.user.tolist() == [0, 0, 1]
    assert log.item.tolist() == [1, 0, 0]
    assert log.time.tolist() == [2.0, 2.5, 1.0]


@pytest.mark.parametrize(
    "text",
    [
        "SessionId\tItemId\tTime\r\n1\t2\t3\r\n\r\n1\t3\t4\r\n",
        "\ufeffSessionId\tItemId\tTime\n1\t2\t3\n1\t3\t4",
        "SessionId\tItemId\tTime\n\n1\t2\t3\n\n\n1\t3\t4\n\n",
        "Time\tx\tItemId\tSessionId\n3\t\t2\t1\n4\t?\t3\t1\n",
    ],
    ids=["crlf", "byte order mark", "blank lines", "other columns"],
)
def test_the_same_log_written_in_other_ways(write, text):
    expected = Interactions.from_arrays([1, 1], [2, 3], [3, 4]).fingerprint()
    assert Interactions.from_tsv(write(text)).fingerprint() == expected
    zipped = write(gzip.compress(text.encode()), "clicks.tsv.gz")
    assert Interactions.from_tsv(zipped).fingerprint() == expected
    misnamed = write(gzip.compress(text.encode()), "clicks [1].tsv")
    assert Interactions.from_tsv(str(misnamed)).fingerprint() == expected


def test_other_names_separators_and_values(write):
    path = write("who::what::stars\n1::a::4.5\n2::b::3\n")
    log = Interactions.from_tsv(
        path, user="who", item="what", time=None, value="stars", separator="::"
    )
    assert log.value.tolist() == [4.5, 3.0]
    assert log.time.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("cells", "ids"),
    [
        (["1", "-2", "30"], [1, -2, 30]),
        (["1", "007"], ["1", "007"]),
        (["1", "+7"], ["1", "+7"]),
        (["1", "-0"], ["1", "-0"]),
        (["1", " 7"], ["1", " 7"]),
        (["1", "1.0"], ["1", "1.0"]),
        (["1", "9223372036854775808"], ["1", "9223372036854775808"]),
        (['"a"', "#b"], ['"a"', "#b"]),
        (["nan", "None"], ["nan", "None"]),
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_ids_are_integers_only_if_all_are_written_as_python_does(
    write, cells, ids, block, monkeypatch
):
    monkeypatch.setattr("nnlib.data.delimited.BLOCK", block)
    path = write("id\tx\n" + "".join(f"{cell}\t0\n" for cell in cells))
    column = read_columns(path, {"id": "auto"}, separator="\t")["id"]
    assert column.to_list() == ids
    column = read_columns(path, {"id": "text"}, separator="\t")["id"]
    assert column.to_list() == cells


def test_ids_as_text_on_request(write):
    log = Interactions.from_tsv(write(f"{HEADER}1\t2\t3\n"), ids="text")
    assert log.user_ids.tolist() == ["1"]
    with pytest.raises(ValueError, match="ids='int'"):
        Interactions.from_tsv("clicks.tsv", ids="int")


def test_times_are_numbers_or_iso_as_the_first_one_is(write):
    stamps = ["2014-04-07T10:51:09.277Z", "2014-04-07T12:51:09+02:00", "2014-04-07 10:51:09"]
    path = write(HEADER + "".join(f"1\t2\t{stamp}\n" for stamp in stamps))
    log = Interactions.from_tsv(path)
    assert sorted(log.time.tolist()) == [1396867869.0, 1396867869.0, 1396867869.277]
    assert Interactions.from_tsv(write(f"{HEADER}1\t2\t3\n")).time.dtype == np.int64
    assert Interactions.from_tsv(write(f"{HEADER}1\t2\t3\n1\t2\t4.0\n")).time.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty: a header line and events are needed"),
        (HEADER, "holds no events"),
        (HEADER + "\n\n", "holds no events"),
        ("SessionId\tItem\n1\t2\n", "line 1: the file has no column 'ItemId' among 'SessionId'"),
        ("SessionId,ItemId,Time\n1,2,3\n", r"is '\\t' the separator\?"),
        (
            "SessionId\tItemId\tItemId\tTime\n1\t2\t3\t4\n",
            "line 1: the file has 2 columns 'ItemId'",
        ),
        (HEADER + "1\t2\t3\n1\t2\n", "line 3: 2 fields instead of 3"),
        (HEADER + "1\t2\t3\n\n1\t2\t3\t4\n1\t2\n", "line 4: 4 fields instead of 3"),
        (HEADER + "1\t2\t3\t\n1\t2\n", "line 2: 4 fields instead of 3"),
        (HEADER + "1\t2\n1\t2\t3\t4\n", "line 2: 2 fields instead of 3"),
        (HEADER + "1\t2\t3\n1\t\t3\n", "line 3: ItemId is empty"),
        (HEADER + "1\t2\t3\n\t2\t3\n", "line 3: SessionId is empty"),
        (HEADER + "1\t2\t3\n1\t2\tnan\n", "line 3: Time is 'nan', not a finite number"),
        (HEADER + "1\t2\t3\n1\t2\t1e999\n", "line 3: Time is '1e999', not a finite number"),
        (HEADER + "1\t2\t3\n1\t2\t2014-04-07\n", "line 3: Time is '2014-04-07', not a finite"),
        (HEADER + "1\t2\tsoon\n", "line 2: Time is 'soon', not a number or an ISO 8601 time"),
        (HEADER + "1\t2\t2014-04-07\n1\t2\t3\n", "line 3: Time is '3', not a number or an ISO"),
        (HEADER + "1\t2\t2014-04-07\n\n1\t2\t\n", "line 4: Time is empty"),
        (HEADER.encode() + b"1\t2\t3\n1\t\xff\t3\n", "line 3: not UTF-8 text"),
        (b"\xff\xfeS\0e\0", "line 1: not UTF-8 text"),
    ],
)
@pytest.mark.parametrize("block", [5, 1 << 20])
def test_bad_files_are_refused_with_file_line_and_field(write, text, sentence, block, monkeypatch):
    monkeypatch.setattr("nnlib.data.delimited.BLOCK", block)
    path = write(text)
    with pytest.raises(DataError, match=sentence) as caught:
        Interactions.from_tsv(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.tsv: no such file"):
        Interactions.from_tsv(tmp_path / "nowhere.tsv")
    with pytest.raises(DataError, match="is a folder: give the file inside it"):
        Interactions.from_tsv(tmp_path)
    with pytest.raises(DataError, match="is a folder"):
        first_line(tmp_path)


def test_a_damaged_gzip_file(write):
    whole = gzip.compress((HEADER + "1\t2\t3\n" * 1000).encode())
    for damaged in (whole[:-20], whole[:40] + b"\0" * 20 + whole[60:], whole[:5]):
        with pytest.raises(DataError, match="is a damaged gzip file"):
            Interactions.from_tsv(write(damaged))


def test_wrong_settings(write):
    path = write(f"{HEADER}1\t2\t3\n")
    with pytest.raises(ValueError, match="separator=''"):
        Interactions.from_tsv(path, separator="")
    with pytest.raises(ValueError, match="must be different columns"):
        Interactions.from_tsv(path, user="ItemId")


# Anything at all: a sound log or a DataError, nothing else, and no warning.

anything = settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
odd = ["", "007", "+1", "nan", "inf", '"', "\r", "\x00", "\x1f", "#", " ", "é", "\u2028", "1e9"]
stamps = st.one_of(
    st.datetimes().map(str),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
)
cells = st.one_of(
    st.sampled_from(odd), st.integers().map(str), st.floats().map(str), st.text(max_size=3), stamps
)


def read_or_refuse(path: Path) -> None:
    try:
        log = Interactions.from_tsv(path)
    except DataError:
        return
    assert len(log.user) == len(log.item) == len(log.time) > 0
    assert np.isfinite(log.time).all()
    assert log.n_users == len(np.unique(log.user))


@anything
@given(text=st.binary(max_size=100), header=st.booleans(), zipped=st.booleans())
def test_any_bytes(write, text, header, zipped):
    text = HEADER.encode() * header + text
    read_or_refuse(write(gzip.compress(text)[: None if header else -3] if zipped else text))


@anything
@given(
    table=st.lists(st.lists(cells, min_size=3, max_size=3), max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_any_cells(write, table, end):
    read_or_refuse(write(HEADER + "".join("\t".join(row) + end for row in table)))


names = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), min_size=1)


@anything
@given(
    table=st.lists(
        st.tuples(names, st.integers(0, 9).map(str), st.floats(-1e9, 1e9)), min_size=1, max_size=8
    ),
    block=st.sampled_from([1, 10, 1000]),
)
def test_what_is_written_is_read(write, monkeypatch, table, block):
    monkeypatch.setattr("nnlib.data.delimited.BLOCK", block)
    lines = [f"{user}\t{item}\t{time!r}\n" for user, item, time in table]
    log = Interactions.from_tsv(write(HEADER + "".join(lines)), ids="text")
    expected = Interactions.from_arrays(*map(list, zip(*table, strict=True)))
    assert log.fingerprint() == expected.fingerprint()


def test_real_clicks(shared_data):
    log = Interactions.from_tsv(shared_data / "rsc15-100k" / "train_full.tsv")
    assert (log.n_events, log.n_users, log.n_items) == (70_278, 17_794, 2_933)
    test = Interactions.from_tsv(shared_data / "rsc15-100k" / "test.tsv")
    assert (test.n_events, test.n_users) == (13_568, 3_416)
    assert test.in_items_of(log.item_ids)[1] == 0


def test_real_clicks_in_a_gzip_file(shared_data):
    log = Interactions.from_tsv(shared_data / "globo" / "clicks_4days.tsv.gz")
    assert log.n_events == 970_759
    assert log.drop_short().n_users == log.n_users
