"""BagOfWords: a text as the mean of its words' vectors."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.rows import add_rows
from nnlib.init import Init, normal
from nnlib.layer import Layer
from nnlib.layers.sizes import check_sizes
from nnlib.parameter import Parameter

SMALL = normal(0.1)


class BagOfWords(Layer):
    """The mean of the vectors of a text's words, for each of N texts that are known beforehand.

        (1) y_i = 1/n_i Σ_t E[w_it],   t = 1 … n_i
    A word that occurs twice counts twice; a text without words has the vector 0.

    Backward
        row w_it of ∂L/∂E receives dy_i / n_i, for every text and every t
    Shapes
        ids (B,) int, codes of texts · E (W, D) → y (B, D)
    Arguments
        words: the words of all texts, one text after the other, codes 0 … W−1
        offsets: text i is words[offsets[i]:offsets[i + 1]]; (N + 1,)
        n_words, n_factors: W and D
        rng: draws E
        init: of E
    Raises
        ValueError: W or D is below 1, a word is not in 0 … W−1, or the offsets do not fit.
    """

    def __init__(
        self,
        words: Array,
        offsets: Array,
        n_words: int,
        n_factors: int,
        *,
        rng: np.random.Generator,
        init: Init = SMALL,
    ) -> None:
        check_sizes(n_words=n_words, n_factors=n_factors)
        if len(words) and not 0 <= words.min() <= words.max() < n_words:
            raise ValueError(f"words run from {words.min()} to {words.max()}, not within 0 … W−1")
        if (
            len(offsets) < 2
            or offsets[0]
            or offsets[-1] != len(words)
            or np.diff(offsets).min() < 0
        ):
            raise ValueError(f"offsets must rise from 0 to the number of words, {len(words)}")
        self.words, self.offsets = words.astype(np.intp), offsets.astype(np.intp)
        self.E = Parameter(init(rng, (n_words, n_factors)))

    def __call__(
        self, ids: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        E, xp = self.E, array_module(self.E.value)
        start, n = self.offsets[ids], self.offsets[ids + 1] - self.offsets[ids]
        text = xp.repeat(xp.arange(len(ids)), n)
        at = xp.arange(len(text)) + xp.repeat(start - (xp.cumsum(n) - n), n)
        word = self.words[at]
        share = (1 / xp.maximum(n, 1)).astype(E.value.dtype)[text, None]
        y = xp.zeros((len(ids), E.value.shape[1]), E.value.dtype)
        add_rows(y, text, E.value[word] * share)  # (1)

        def backward(dy: Array) -> None:
            E.accumulate_rows(word, dy[text] * share)  # (1)

        return y, backward
