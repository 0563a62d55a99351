"""Vocabularies: order, cuts, codes, entropy, and thinning out of frequent tokens."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.data import DataError, Vocabulary, keep_probability

TEXT = ["the", "cat", "and", "the", "dog", "and", "the", "end"]


def test_frequent_tokens_come_first_and_ties_in_order_of_appearance():
    vocabulary = Vocabulary.of(TEXT)
    assert vocabulary.ids.tolist() == ["the", "and", "cat", "dog", "end"]
    assert vocabulary.counts.tolist() == [3, 2, 1, 1, 1]
    assert len(vocabulary) == 5
    assert vocabulary.n_tokens == 8
    assert repr(vocabulary) == "Vocabulary(5 tokens that occur 8 times)"


def test_cuts():
    assert Vocabulary.of(TEXT, min_count=2).ids.tolist() == ["the", "and"]
    assert Vocabulary.of(TEXT, max_size=3).ids.tolist() == ["the", "and", "cat"]


def test_codes_and_unknown_tokens():
    vocabulary = Vocabulary.of(TEXT)
    assert vocabulary.encode(["end", "mouse", "the"]).tolist() == [4, -1, 0]
    assert vocabulary.encode([]).shape == (0,)
    assert vocabulary.encode([]).dtype == np.int64
    assert "dog" in vocabulary
    assert "mouse" not in vocabulary
    numbers = Vocabulary.of(np.array([7, 7, 5]))
    assert numbers.ids.dtype == np.int64
    assert numbers.encode(np.array([5, 6, 7])).tolist() == [1, -1, 0]


@given(st.lists(st.text(max_size=3), min_size=1))
def test_counts_and_tokens_give_the_same_vocabulary(tokens):
    if len(set(tokens)) < 2:
        with pytest.raises(DataError, match="at least two different ones"):
            Vocabulary.of(tokens)
        return
    first, second = Vocabulary.of(iter(tokens)), Vocabulary.of(Counter(tokens))
    assert first.ids.tolist() == second.ids.tolist()
    np.testing.assert_array_equal(first.ids[first.encode(tokens)], np.array(tokens, object))
    assert (np.diff(first.counts) <= 0).all()


def test_entropy_in_bits():
    assert Vocabulary.of({"a": 4, "b": 4, "c": 4, "d": 4}).entropy() == pytest.approx(2)
    assert Vocabulary.of({"a": 2, "b": 1, "c": 1}).entropy() == pytest.approx(1.5)
    assert Vocabulary(np.array([1, 2]), np.array([5, 0])).entropy() == 0


@pytest.mark.parametrize(
    ("tokens", "min_count", "sentence"),
    [
        ([], 1, "there are no tokens: a vocabulary needs at least two different ones"),
        ({}, 1, "there are no tokens"),
        (["a", "a"], 1, "all tokens are 'a': a vocabulary needs at least two different ones"),
        (["a"], 5, "all tokens are 'a'"),
        (
            TEXT,
            3,
            r"min_count=3 leaves 1 of 5 tokens \(the most frequent, 'the', occurs 3 times\): lower",
        ),
        (TEXT, 10, r"min_count=10 leaves 0 of 5 tokens \(the most frequent, 'the', occurs 3 times"),
        ({"a": 3, "b": -2}, 1, "the count of 'b' is -2: counts are whole numbers, 0 or more"),
        ({"a": 3, "b": 1.5}, 1, "the count of 'b' is 1.5: counts are whole numbers"),
        ({"a": float("nan"), "b": 1}, 1, "the count of 'a' is nan: counts are whole numbers"),
        ({"a": 3, "b": 0}, 1, "all tokens are 'a'"),
    ],
)
def test_what_cannot_be_a_vocabulary(tokens, min_count, sentence):
    with pytest.raises(DataError, match=sentence):
        Vocabulary.of(tokens, min_count=min_count)


def test_ids_must_differ_and_have_counts():
    with pytest.raises(DataError, match="'b' is in the vocabulary twice: ids must differ"):
        Vocabulary(np.array(["a", "b", "b"], object), np.array([1, 1, 1]))
    with pytest.raises(DataError, match="2 ids and 3 counts: one for each"):
        Vocabulary(np.array([1, 2]), np.array([1, 1, 1]))
    with pytest.raises(DataError, match="the count of 2 is -1"):
        Vocabulary(np.array([1, 2]), np.array([1, -1]))
    with pytest.raises(ValueError, match="min_count=0: it must be at least 1"):
        Vocabulary.of(TEXT, min_count=0)
    with pytest.raises(ValueError, match="max_size=1: it must be at least 2"):
        Vocabulary.of(TEXT, max_size=1)


def test_both_forms_of_thinning_out():
    counts = np.array([1000, 9000])  # f = 0.1 and 0.9
    np.testing.assert_allclose(keep_probability(counts, 1e-3), np.sqrt([0.01, 1e-3 / 0.9]))
    kept = keep_probability(counts, 1e-3, form="word2vec.c")
    np.testing.assert_allclose(kept, [0.1 + 0.01, np.sqrt(1e-3 / 0.9) + 1e-3 / 0.9])
    assert (keep_probability(counts, 0) == 1).all()
    assert keep_probability(np.array([1, 10**6]), 1e-5).tolist()[0] == 1  # a rare one is kept
    assert keep_probability(np.array([0, 5]), 1e-9)[0] == pytest.approx(np.sqrt(5e-9))


@pytest.mark.parametrize("form", ["paper", "word2vec.c"])
@given(st.lists(st.integers(0, 10**9), min_size=1), st.floats(0, 1))
def test_thinning_gives_probabilities_that_fall_with_frequency(form, counts, t):
    keep = keep_probability(np.array(counts), t, form)
    assert ((keep >= 0) & (keep <= 1)).all()
    assert (np.diff(keep[np.argsort(counts)]) <= 1e-12).all()


def test_thinning_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="t=-1: it must be at least 0"):
        keep_probability(np.array([1]), -1)
    with pytest.raises(ValueError, match="t=nan: it must be at least 0"):
        keep_probability(np.array([1]), np.nan)
    with pytest.raises(ValueError, match="form='gensim': it must be one of paper"):
        keep_probability(np.array([1]), 1e-3, "gensim")
    with pytest.raises(ValueError, match=r"counts\[1\] is -4: counts are whole numbers, 0 or more"):
        keep_probability(np.array([1, -4]), 1e-3)
