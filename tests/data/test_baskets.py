"""Baskets from files: what a line may look like, what is said of those that are odd."""

import gzip
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nnlib.data import DataError, Interactions, baskets, read_baskets


@pytest.fixture
def write(tmp_path):
    def write(text, name="baskets.txt"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def rows(log):
    return [log.item_ids[log.histories().row(u)].tolist() for u in range(log.n_users)]


def test_a_basket_is_a_user_and_a_moment(write):
    log = read_baskets(write("3 1 2\n2 4\n"))
    assert rows(log) == [[3, 1, 2], [2, 4]]
    assert log.item_ids.dtype == np.int64
    assert log.user_ids.tolist() == [1, 2]  # lines
    assert log.time.tolist() == [1, 1, 1, 2, 2]
    assert len(baskets(log)) == 2


@pytest.mark.parametrize(
    ("separator", "text"),
    [
        (" ", "a b\n c\td  \n"),
        (" ", "\ufeffa b\r\nc d\r\n\r\n\n"),
        ("\t", "a\tb\nc\td\t\t\n"),
        (",", "a,b\nc, d,,,"),
        (",", "a , b,\nc,d\n\n,,\n"),
    ],
)
def test_the_same_baskets_written_in_other_ways(write, separator, text):
    expected = [["a", "b"], ["c", "d"]]
    assert rows(read_baskets(write(text), separator)) == expected
    assert rows(read_baskets(write(gzip.compress(text.encode())), separator)) == expected


def test_items_with_spaces_and_ids_as_text(write):
    assert rows(read_baskets(write("whole milk,butter\n"), ",")) == [["whole milk", "butter"]]
    assert rows(read_baskets(write("1 02\n"))) == [["1", "02"]]
    assert rows(read_baskets(write("1 2\n"), ids="text")) == [["1", "2"]]


def test_an_item_named_again_is_kept_once_and_counted(write):
    path = write("a b\nc d c c\na a\n")
    with pytest.warns(UserWarning, match=r"3 items .* again \(the first: 'c', line 2\) were kept"):
        log = read_baskets(path)
    assert rows(log) == [["a", "b"], ["c", "d"], ["a"]]


def test_empty_baskets_are_left_out_and_counted(write):
    path = write("a b\n\n,\n \nc\n\n")
    with pytest.warns(UserWarning, match=r"3 empty baskets \(the first: line 2\) were left out"):
        log = read_baskets(path, ",")
    assert log.user_ids.tolist() == [1, 5]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "baskets.txt holds no baskets: a line needs at least one item"),
        ("\n , \n\n", "holds no baskets"),
        ("a,b\na,,b\n", "line 2: field 2 is empty, but others follow"),
        (",a\n", "line 1: field 1 is empty, but others follow"),
        (b"a,b\n\xff,b\n", "line 2: not UTF-8 text, convert the file first"),
        (gzip.compress(b"a,b\n" * 99)[:-20], "is a damaged gzip file"),
    ],
)
def test_what_is_no_file_of_baskets(write, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read_baskets(write(text), ",")


def test_bad_arguments(write, tmp_path):
    with pytest.raises(ValueError, match="separator=';': it must be ' ', "):
        read_baskets(write("a;b"), ";")
    with pytest.raises(ValueError, match="ids='int': it must be 'auto' or 'text'"):
        read_baskets(write("1 2"), ids="int")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_baskets(tmp_path / "none")
    with pytest.raises(DataError, match="is a folder"):
        read_baskets(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=50) | st.text("ab ,\n\t1", max_size=50).map(str.encode),
    st.sampled_from([" ", ",", "\t"]),
)
@example(b"1 -0 \n9223372036854775808", " ")
@example("²,１\n".encode(), ",")
def test_any_bytes_are_read_or_refused_in_one_sentence(write, data, separator):
    path = write(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            log = read_baskets(path, separator)
        except DataError:
            return
    lines = data.removeprefix(b"\xef\xbb\xbf").decode().split("\n")
    for line, items in zip(log.user_ids.tolist(), rows(log), strict=True):
        found = lines[line - 1].split(None if separator == " " else separator)
        assert list(map(str, items)) == list(dict.fromkeys(f.strip() for f in found if f.strip()))


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1), min_size=1))
def test_baskets_of_a_log_are_its_users_moments(events):
    flat = [(user, time, item) for user, row in enumerate(events) for time, item in row]
    user, time, item = zip(*flat, strict=True)
    log = Interactions.from_arrays(user, item, time)
    found = baskets(log)
    assert found.lengths.sum() == log.n_events
    keys = [(log.user[start], log.time[start]) for start in found.start.tolist()]
    assert keys == sorted(set(zip(log.user.tolist(), log.time.tolist(), strict=True)))
    for b, (u, t) in enumerate(keys):
        mine = (log.user == u) & (log.time == t)
        assert found.row(b).tolist() == log.item[mine].tolist()
        assert found.user[b] == u


def test_published_files(shared_data):
    groceries = shared_data / "groceries" / "groceries_mba.csv"
    retail = shared_data / "belgian-retail" / "retail.dat.gz"
    if not groceries.is_file() or not retail.is_file():
        pytest.skip("no groceries or no Belgian retail data")
    log = read_baskets(groceries, ",")
    assert (log.n_users, log.n_items) == (9835, 169)
    assert "whole_milk" in log.item_ids
    log = read_baskets(retail)
    assert (log.n_users, log.n_items, log.n_events) == (88_162, 16_470, 908_576)
    assert log.item_ids.dtype == np.int64
