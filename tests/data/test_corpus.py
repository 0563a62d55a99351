"""Corpora: what a text or a log gives, in blocks, in bounded memory."""

import gzip
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnlib.data import DataError, Interactions, InteractionsCorpus, TextCorpus, corpus

TEXT = "the cat sat\nthe dog\n\n  the cat  and\tthe dog \r\nzebra\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="text.txt"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def generator():
    return np.random.default_rng(0)


def sentences(text_corpus, rng=None):
    ids = text_corpus.vocabulary.ids
    return [
        ids[block.row(b)].tolist() for block in text_corpus.blocks(rng) for b in range(len(block))
    ]


def words_of(text_corpus):
    return list(itertools.chain(*sentences(text_corpus)))


def test_sentences_and_words(write):
    text = TextCorpus(write(TEXT), min_count=1)
    assert text.vocabulary.ids.tolist() == ["the", "cat", "dog", "sat", "and", "zebra"]
    assert text.n_tokens == 11
    assert text.n_rows == 4
    assert sentences(text) == [
        ["the", "cat", "sat"],
        ["the", "dog"],
        ["the", "cat", "and", "the", "dog"],
        ["zebra"],
    ]
    assert repr(text).endswith("text.txt: 11 tokens, 6 words, 4 lines)")


def test_rare_words_leave_and_sentences_close_up(write):
    text = TextCorpus(write(TEXT), min_count=2)
    assert sentences(text) == [["the", "cat"], ["the", "dog"], ["the", "cat", "the", "dog"]]
    (block,) = text.blocks()
    assert block.user.tolist() == [0, 1, 2]  # sentence 3 has no word left
    assert text.n_tokens == 8
    assert TextCorpus(write(TEXT), min_count=1, max_size=3).n_tokens == 8
    assert len(TextCorpus(write(TEXT), min_count=1, max_size=2).vocabulary) == 2


def test_the_same_text_in_other_files(write):
    expected = TextCorpus(write(TEXT), min_count=1)
    first, second = TEXT[:12], TEXT[12:]
    for paths in (
        write(gzip.compress(TEXT.encode()), "a.gz"),
        write(b"\xef\xbb\xbf" + TEXT.encode(), "b.txt"),
        str(write(TEXT.rstrip(), "c.txt")),
        [write(first, "d.txt"), write(gzip.compress(second.encode()), "e")],
    ):
        same = TextCorpus(paths, min_count=1)
        assert sentences(same) == sentences(expected)
        assert same.fingerprint() == expected.fingerprint()


def test_the_fingerprint_is_that_of_words_order_and_cut(write):
    path = write(TEXT)
    prints = [
        TextCorpus(path, min_count=1).fingerprint(),
        TextCorpus(path, min_count=2).fingerprint(),
        TextCorpus(path, min_count=1, max_size=3).fingerprint(),
        TextCorpus(write("the dog\n" + TEXT, "other.txt"), min_count=1).fingerprint(),
        TextCorpus(
            write(TEXT.replace("cat sat", "sat cat"), "more.txt"), min_count=1
        ).fingerprint(),
    ]
    assert len(set(prints)) == len(prints)


def test_shuffling_moves_whole_sentences(write):
    text = TextCorpus(write("".join(f"w{i} x{i}\n" for i in range(200))), min_count=1)
    one, again, other = (sentences(text, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert sorted(one) == sorted(sentences(text)) == sorted(other)
    (block,) = text.blocks(np.random.default_rng(3))
    assert text.vocabulary.ids[block.row(7)].tolist() == [f"w{block.user[7]}", f"x{block.user[7]}"]


def test_a_text_ten_times_the_memory(write):
    """10 MB of text, a budget of 1 MB: never more, in counting and in reading shuffled blocks."""
    rng = np.random.default_rng(0)
    words = np.array([f"{'long' * 10}{i}" for i in range(300)], object)
    lines = [" ".join(row) for row in words[rng.integers(0, 300, (250, 30))]] + ["a", "b"] * 200
    path = write("\n".join(lines * 32) + "\n")
    assert path.stat().st_size > 10e6
    del lines
    tracemalloc.start()
    text = TextCorpus(path, max_memory="1MB")
    n_tokens = n_blocks = 0
    for block in text.blocks(np.random.default_rng(1)):
        n_tokens += int(block.lengths.sum())
        n_blocks += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_tokens == text.n_tokens == 32 * (250 * 30 + 400)
    assert n_blocks > 10
    assert peak < 1e6


def test_short_words_and_short_lines_fit_in_the_memory_too(write):
    """Short words take the most memory for each byte of text, lines of one word for each code."""
    path = write(("ab cd efg hij " * 2000 + "\n" + "kl\nmno\n" * 9000) * 4)
    tracemalloc.start()
    n_blocks = len([len(b) for b in TextCorpus(path, max_memory="1MB").blocks(generator())])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_blocks > 10
    assert peak < 1e6


def test_a_line_without_end_is_read_in_pieces(write, monkeypatch):
    monkeypatch.setattr(corpus, "LONGEST", 16)
    line = "one two three four five six seven"
    text = TextCorpus(write(line), min_count=1)
    assert words_of(text) == line.split()
    assert text.n_rows > 1
    text = TextCorpus(write("x " + "y" * 40), min_count=1)  # a word that does not fit is cut
    assert "".join(words_of(text)) == "x" + "y" * 40


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | st.text("ab \n").map(str.encode)
)
def test_any_bytes_are_read_or_refused_in_one_sentence(write, data):
    path = write(data)
    words = data.removeprefix(b"\xef\xbb\xbf").split()
    try:
        readable = len({word.decode() for word in words}) > 1 and not data.startswith(b"\x1f\x8b")
    except UnicodeDecodeError:
        readable = False
    if readable:
        assert words_of(TextCorpus(path, min_count=1)) == [word.decode() for word in words]
    else:
        with pytest.raises(DataError, match=r"text\.txt[: ][^\n]*$"):
            TextCorpus(path, min_count=1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "text.txt: there are no tokens: a vocabulary needs at least two"),
        (" \n\n", "there are no tokens"),
        ("a a\n", "all tokens are 'a'"),
        ("a b c d\n" * 4, "min_count=5 leaves 0 of 4 tokens .* occurs 4 times"),
        (b"ab \xff\n" * 9, r"b'\\xff' is not UTF-8 text, convert the file first"),
        (gzip.compress(TEXT.encode() * 99)[:-20], "is a damaged gzip file"),
    ],
)
def test_what_is_no_text(write, text, sentence):
    with pytest.raises(DataError, match=sentence):
        TextCorpus(write(text))


def test_no_file_a_folder_and_a_text_that_changes(write, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        TextCorpus(tmp_path / "none.txt")
    with pytest.raises(DataError, match="is a folder: give the file inside it"):
        TextCorpus(tmp_path)
    with pytest.raises(ValueError, match="at least one file"):
        TextCorpus([])
    text = TextCorpus(write(TEXT), min_count=1)
    write(TEXT + TEXT)
    with pytest.raises(DataError, match="22 words instead of 11, the text has changed"):
        list(text.blocks())


@pytest.mark.parametrize(
    ("size", "n_bytes"),
    [("64MB", 64_000_000), ("1.5 gb", 1_500_000_000), (2_000_000, 2_000_000), ("1000KB", 10**6)],
)
def test_sizes(size, n_bytes):
    assert corpus.memory_bytes(size) == n_bytes


@pytest.mark.parametrize("size", ["", "MB", "much", "64 M", "nanMB", "infGB", "1e999GB"])
def test_sizes_that_are_none(size):
    with pytest.raises(ValueError, match="a size like '64MB', or bytes"):
        corpus.memory_bytes(size)


@pytest.mark.parametrize("size", [0, -5, "1KB", 999_999])
def test_sizes_too_small(size):
    with pytest.raises(ValueError, match="it must be at least 1MB"):
        corpus.memory_bytes(size)


def test_a_log_in_blocks(monkeypatch):
    monkeypatch.setitem(corpus.UNITS, "MB", 640)  # so that ten items are a block
    user = np.repeat(np.arange(50), np.arange(50) % 13 + 1)
    log = Interactions.from_arrays(user, np.arange(len(user)) % 7, np.arange(len(user)))
    given_log = InteractionsCorpus(log, max_memory=640)
    assert given_log.n_tokens == log.n_events
    assert given_log.n_rows == 50
    assert given_log.fingerprint() == log.fingerprint()
    np.testing.assert_array_equal(given_log.vocabulary.counts, log.support())
    np.testing.assert_array_equal(given_log.vocabulary.ids, log.item_ids)
    for rng in (None, np.random.default_rng(0)):
        blocks = list(given_log.blocks(rng))
        assert all(block.lengths.sum() <= 10 or len(block) == 1 for block in blocks)
        order = np.concatenate([block.user for block in blocks])
        assert sorted(order.tolist()) == list(range(50))
        assert (order.tolist() == list(range(50))) == (rng is None)
        rows = [block.row(b).tolist() for block in blocks for b in range(len(block))]
        assert rows == [log.histories().row(u).tolist() for u in order]
    assert repr(given_log).startswith("InteractionsCorpus(Interactions(")


def test_a_log_of_one_item():
    with pytest.raises(DataError, match=r"all events are on one item \('x'\): learning needs at"):
        InteractionsCorpus(Interactions.from_arrays([1, 2], ["x", "x"]))
