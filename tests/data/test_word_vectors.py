"""word2vec files: what is written comes back, gensim agrees, and broken files are named."""

import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnlib.data import DataError, read_word_vectors, write_word_vectors

BOTH = pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

NAMES = st.lists(
    st.text(min_size=1, max_size=6).filter(lambda s: s.encode().split() == [s.encode()]),
    min_size=1,
    max_size=5,
    unique=True,
)


def finite_table(draw, n, dtype=np.float32):
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    return draw(arrays(dtype, (n, draw(st.integers(1, 4))), elements=numbers))


@st.composite
def vectors(draw):
    names = draw(NAMES)
    return names, finite_table(draw, len(names))


@BOTH
@FIXTURE
@given(given_vectors=vectors())
def test_what_is_written_comes_back(tmp_path, binary, given_vectors):
    names, table = given_vectors
    write_word_vectors(tmp_path / "v", names, table, binary=binary)
    (tmp_path / "v.gz").write_bytes(gzip.compress((tmp_path / "v").read_bytes()))
    for path in (tmp_path / "v", tmp_path / "v.gz"):
        ids, back = read_word_vectors(path, ids="text")
        assert ids.tolist() == names
        np.testing.assert_array_equal(back, table)
        assert back.dtype == np.float32
    np.testing.assert_array_equal(read_word_vectors(path, binary=binary)[1], table)


@BOTH
def test_ids_are_integers_if_all_are_written_so(tmp_path, binary):
    path, table = tmp_path / "v", np.eye(2)
    write_word_vectors(path, np.array([30, -4]), table, binary=binary)
    ids, _ = read_word_vectors(path)
    assert ids.dtype == np.int64
    assert ids.tolist() == [30, -4]
    assert read_word_vectors(path, ids="text")[0].tolist() == ["30", "-4"]
    write_word_vectors(path, ["30", "04"], table, binary=binary)
    assert read_word_vectors(path)[0].tolist() == ["30", "04"]


def test_the_formats_to_the_byte(tmp_path):
    path = tmp_path / "v"
    write_word_vectors(path, ["ab", "ü"], np.array([[0.1, -2], [3, 1e-9]], np.float32))
    assert path.read_text() == "2 2\nab 0.1 -2.0\nü 3.0 1e-09\n"
    write_word_vectors(path, ["ab"], np.array([[1.0, -2.0]]), binary=True)
    assert path.read_bytes() == b"1 2\nab \x00\x00\x80?\x00\x00\x00\xc0"


def test_binary_files_with_line_ends_as_word2vec_writes_them(tmp_path):
    path = tmp_path / "v"
    one, two = (np.array([x, 10], "<f4").tobytes() for x in (1, 2))
    path.write_bytes(b"2 2\na " + one + b"\nb " + two + b"\n")
    ids, table = read_word_vectors(path)
    assert ids.tolist() == ["a", "b"]
    assert table.tolist() == [[1, 10], [2, 10]]


@pytest.mark.oracle
@BOTH
def test_gensim_reads_and_writes_the_same(tmp_path, binary):
    gensim = pytest.importorskip("gensim.models")
    rng = np.random.default_rng(0)
    names = [f"wörd{i}" for i in range(50)]
    table = rng.normal(size=(50, 7)).astype(np.float32)
    path = tmp_path / "v"
    write_word_vectors(path, names, table, binary=binary)
    theirs = gensim.KeyedVectors.load_word2vec_format(str(path), binary=binary)
    assert theirs.index_to_key == names
    np.testing.assert_array_equal(theirs.vectors, table)
    theirs.save_word2vec_format(str(tmp_path / "w"), binary=binary)
    ids, back = read_word_vectors(tmp_path / "w")
    assert ids.tolist() == names
    np.testing.assert_array_equal(back, table)


@pytest.mark.parametrize(
    ("ids", "table", "sentence"),
    [
        (["whole milk"], np.ones((1, 2)), "'whole milk' has white space .* for example by '_'"),
        (["a\n"], np.ones((1, 2)), "has white space or is empty"),
        ([""], np.ones((1, 2)), "the id '' has white space or is empty: give it a name"),
        (["a", "b", "b"], np.ones((3, 2)), "the id 'b' is there twice: ids must differ"),
        ([1, "1"], np.ones((2, 2)), "the id '1' is there twice"),
        (["a"], np.ones((2, 2)), "1 ids for 2 vectors: one for each"),
        (["a"], np.ones(2), r"a table of float64 \(2,\): it must be float, \(V, D\)"),
        (["a"], np.ones((1, 2), int), r"a table of int64 \(1, 2\): it must be float"),
        ([], np.ones((0, 2)), "it must be float"),
        (["a", "b"], np.array([[1.0], [np.nan]]), "'b' has a number that is not finite"),
        (["a"], np.array([[1e99]]), "'a' has a number that is not finite as a float32"),
    ],
)
@BOTH
def test_what_the_format_cannot_hold(tmp_path, binary, ids, table, sentence):
    (tmp_path / "v").write_text("before")
    with pytest.raises(ValueError, match=sentence):
        write_word_vectors(tmp_path / "v", ids, table, binary=binary)
    assert (tmp_path / "v").read_text() == "before"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: b'' is not the number of vectors and their length"),
        ("one 1\n", "this is no word2vec file"),
        ("0 3\n", "this is no word2vec file"),
        ("-1 3\n", "this is no word2vec file"),
        ("2 99999999999999\n", "this is no word2vec file"),
        ("1 2 3\n", "this is no word2vec file"),
        ("2 2\na 1 2\n", "1 vectors instead of 2, the file is cut off"),
        ("2 2\na 1 2\nb 1\n", "line 3: 2 fields instead of an id and 2 numbers"),
        ("2 2\na 1 2\nb 1 2 3\n", "line 3: 4 fields instead of an id and 2 numbers"),
        ("2 2\na 1 2\nb 1 x\n", "line 3: b'x' is not a number"),
        ("2 2\na 1 2\nb 1 nan\n", "line 3: a number of 'b' is not finite"),
        ("2 2\na 1 2\nb 1 1e99\n", "line 3: a number of 'b' is not finite"),
        ("2 2\na 1 2\na 1 2\n", "'a' is there twice, ids must differ"),
        ("1 2\na 1 2\nb 1 2\n", "line 3: the first line promises 1 vectors, more are there"),
        (b"2 2\na 1 2\n\xff 1 2\n", r"line 3: the id b'\\xff' is not UTF-8 text"),
        (b"2 1\na \x00\x00\x00\x00b \x00\x00", "vector 2: the file is cut off"),
        (b"2 1\na \x00\x00\x00\x00b", "vector 2: the file is cut off"),
        (b"2 1\na \x00\x00\x00\x00", "1 vectors instead of 2, the file is cut off"),
        (b"1 1\na \x00\x00\x00\x00b \x00", "promises 1 vectors, more are there"),
        (b"1 1\na \x00\x00\x80\x7f", "vector 1: a number of 'a' is not finite"),
        (b"1 1\n" + b"x" * 20_000, "vector 1: no id, this is no binary word2vec file"),
    ],
)
def test_broken_files(tmp_path, text, sentence):
    path = tmp_path / "v"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError, match=sentence):
        read_word_vectors(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_word_vectors(tmp_path / "none")
    with pytest.raises(ValueError, match="ids='int': it must be 'auto' or 'text'"):
        read_word_vectors(tmp_path / "none", ids="int")


@FIXTURE
@given(
    st.binary(max_size=40),
    st.sampled_from([b"", b"1 1\n", b"2 2\n", b"1 1\na ", b"2 2\na 1 2\n", b"\x1f\x8b"]),
    st.sampled_from([None, False, True]),
)
def test_any_bytes_are_read_or_refused(tmp_path, data, begin, binary):
    path = tmp_path / "v"
    path.write_bytes(begin + data)
    try:
        ids, table = read_word_vectors(path, binary=binary)
    except DataError:
        return
    assert len(ids) == len(table) == len(set(ids.tolist()))
    assert np.isfinite(table).all()
