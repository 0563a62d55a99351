"""EncoderDecoder: from one sequence of symbols to another of any other length."""

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.layer import Layer
from nnlib.layers.attention import MaskedMean
from nnlib.layers.decoder import Decoder
from nnlib.layers.embedding import Embedding
from nnlib.layers.sequential import check_step


class EncoderDecoder(Layer):
    """One recurrent network reads a whole sequence, another one writes one from what is left of it.

        (1) h_t = encoder(E[x_t], h_{t−1})
        (2) c = h at the last step that counts,  or  pool(h)
        (3) scores = decoder(c, y),  or  decoder(c, y, h)  if it has attention
    Without attention, all that is known of x has to fit into c, whatever the length of x.

    Called, it is forced by its teacher, as `Decoder` says; `greedy` and `beam` run freely.

    Shapes
        source x (T, B) int · target y (T', B) int, ends with `decoder.end` → scores (T', B, N + 1)
    Arguments
        embedding: E, of the symbols that are read
        encoder: a layer over time whose state is one array, such as `GRU`
        decoder: its n_summary is the size of c, its attention's n_state that of h
        pool: `MaskedMean()` for c, or None: the last state.  Give it to a `Bidirectional` encoder,
            whose last state has read backward but one step
        lengths: (B,) int, how many steps of each source count.  None: all.  What stands behind
            them does not matter, but it must be a symbol
    Raises
        TypeError: the encoder cannot be called.
        ValueError: what encoder and decoder raise.
    Source
        Cho et al. 2014; Sutskever et al. 2014; Bahdanau et al. 2015.
    """

    def __init__(
        self,
        embedding: Embedding,
        encoder: Layer,
        decoder: Decoder,
        *,
        pool: MaskedMean | None = None,
    ) -> None:
        check_step(encoder)
        self.embedding = embedding
        self.encoder = encoder
        self.decoder = decoder
        self.pool = pool

    def __call__(
        self,
        source: Array,
        target: Array,
        rng: np.random.Generator | None = None,
        *,
        lengths: Array | None = None,
    ) -> tuple[Array, Backward]:
        c, h, back_read = self._read(source, lengths, rng)  # (1) (2)
        scores, back_decoder = self.decoder(c, target, h, rng, lengths=lengths)  # (3)

        def backward(dscores: Array) -> tuple[None, None]:
            dc, _, dh = back_decoder(dscores)  # (3)
            back_read(dc, dh)  # (2) (1)
            return None, None  # symbols are integers

        return scores, backward

    def greedy(self, source: Array, *, lengths: Array | None = None, max_steps: int) -> Array:
        """y (T', B): the likeliest symbol at each step; from its end on a row holds the end."""
        c, h, _ = self._read(source, lengths)
        return self.decoder.greedy(c, h, lengths=lengths, max_steps=max_steps)

    def beam(
        self, source: Array, *, lengths: Array | None = None, width: int, max_steps: int
    ) -> tuple[Array, Array]:
        """(y (T', B), log p (B,)): the likeliest sequence that a beam search finds."""
        c, h, _ = self._read(source, lengths)
        return self.decoder.beam(c, h, lengths=lengths, width=width, max_steps=max_steps)

    def attention_weights(
        self, source: Array, target: Array, *, lengths: Array | None = None
    ) -> Array:
        """w (T', B, T): which steps of the source each step attends to while writing `target`."""
        c, h, _ = self._read(source, lengths)
        return self.decoder.attention_weights(c, target, h, lengths=lengths)

    def _read(
        self, source: Array, lengths: Array | None, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None, Backward]:
        """c of (2), the states for attention if there is one, and the way back from both."""
        xp = array_module(source)
        x, back_embedding = self.embedding(source)
        h, back_encoder = self.encoder(x, None, rng, lengths=lengths)  # (1)
        pool = None if self.pool is None else self.pool(h, lengths=lengths)
        c = h[-1] if pool is None else pool[0]  # (2)

        def backward(dc: Array, dmemory: Array | None) -> None:
            if pool is None:
                dh = xp.zeros_like(h)
                dh[-1] = dc  # (2)
            else:
                dh = pool[1](dc)  # (2)
            if dmemory is not None:
                dh += dmemory
            dx, _ = back_encoder(dh)  # (1)
            back_embedding(dx)  # (1)

        return c, (None if self.decoder.attention is None else h), backward
