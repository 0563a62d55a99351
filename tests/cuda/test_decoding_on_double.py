"""Greedy and beam search on the double of CuPy write what they write on the CPU."""

from typing import Any

import numpy as np
import pytest

from nnlib.array import to_device, to_host
from nnlib.layers import GRU, AdditiveAttention, Decoder, Embedding, EncoderDecoder

N, T, B, H = 4, 6, 5, 7


@pytest.mark.usefixtures("device")
def test_decoding() -> None:
    rng = np.random.default_rng(0)
    attention = AdditiveAttention(H, H, H, rng=rng)
    decoder = Decoder(N, H, H, rng=rng, attention=attention, summary="both")
    model = EncoderDecoder(Embedding(N, 3, rng=rng), GRU(3, H, rng=rng), decoder)
    for p in model.astype(np.float64).parameters():
        p.value[...] = rng.normal(0, 2, p.value.shape)
    source, lengths = rng.integers(N, size=(T, B)), rng.integers(1, T + 1, B)

    def written(where: Any) -> list[Any]:
        model.to(where)
        x, n = to_device(source, where), to_device(lengths, where)
        y = model.greedy(x, lengths=n, max_steps=8)
        w = model.attention_weights(x, y, lengths=n)
        return [y, w, *model.beam(x, lengths=n, width=3, max_steps=8)]

    expected = written("cpu")
    for mine, reference in zip(written("cuda"), expected, strict=True):
        assert not isinstance(mine, np.ndarray)
        np.testing.assert_allclose(to_host(mine), reference, 1e-9, 1e-12)
