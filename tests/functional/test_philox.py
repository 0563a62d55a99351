"""Philox against the published test vectors, and the numbers made of it."""

import numpy as np
import pytest

from nnlib.functional.philox import philox, random_uniform, random_words

# Of Random123's kat_vectors, philox 4x32 with 10 rounds: counter, key, result.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text: str) -> np.ndarray:
    return np.array([int(w, 16) for w in text.split()], np.uint32)


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_published_vectors(counter: str, key: str, result: str) -> None:
    np.testing.assert_array_equal(philox(words(counter)[None], words(key))[0], words(result))


def test_words_are_those_of_their_counter() -> None:
    key, step = np.array([5, 7], np.uint32), np.array([2**33 + 3])
    got = random_words(step, key, 9, 10)
    expected = [philox(np.array([[i, 9, 3, 2]], np.uint32), key)[0] for i in range(3)]
    np.testing.assert_array_equal(got, np.concatenate(expected)[:10])


def test_uniform_numbers_are_uniform_and_differ_between_draws_and_steps() -> None:
    key = np.array([1, 2], np.uint32)
    draws = [random_uniform(np.array([t]), key, d, 20_000) for t in (0, 1) for d in (0, 1)]
    for x in draws:
        assert x.dtype == np.float32
        assert 0 <= x.min() < 0.001
        assert 0.999 < x.max() < 1
        assert abs(x.mean() - 0.5) < 0.01
        assert abs(x.var() - 1 / 12) < 0.003
    assert abs(np.corrcoef(draws) - np.eye(4)).max() < 0.03
