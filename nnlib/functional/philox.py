"""Philox: random numbers that are a function of a key and of where they are used.

A generator with a state has to be asked in order.  A counter-based one is a function
(key, counter) → random words, so that a kernel can make number i of draw d of step t by itself, and
a captured step makes new numbers each time because t, on the device, has grown.
"""

import numpy as np

from nnlib.array import Array, array_module, fusable

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85  # the golden ratio and √3 − 1, in 32 bits


def philox(counter: Array, key: Array) -> Array:
    """Philox 4x32 with 10 rounds.  A round, with | for high | low half of a 64-bit product:

        (1) p | q = 0xD2511F53 · c₀,   r | s = 0xCD9E8D57 · c₂
        (2) c ← (r ⊕ c₁ ⊕ k₀,  s,  p ⊕ c₃ ⊕ k₁,  q)
        (3) k ← k + (0x9E3779B9, 0xBB67AE85)  mod 2³²
    Shapes
        counter (n, 4) uint32 · key (2,) uint32 → (n, 4) uint32
    Source
        Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    xp = array_module(counter)
    c0, c1, c2, c3 = (counter[:, i].astype(np.uint64) for i in range(4))
    k0, k1 = (key[i : i + 1].astype(np.uint64) for i in range(2))
    low = 2**32 - 1
    for _ in range(ROUNDS):
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]  # (1)
        c0, c1, c2, c3 = (
            (second >> 32) ^ c1 ^ k0,
            second & low,
            (first >> 32) ^ c3 ^ k1,
            first & low,
        )
        k0, k1 = (k0 + WEYL[0]) & low, (k1 + WEYL[1]) & low  # (3)
    return xp.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


@fusable
def random_words(step: Array, key: Array, draw: int, n: int) -> Array:
    """n random 32-bit words, for draw number `draw` of step number `step`.

        words 4i … 4i + 3 = philox((i, draw, step mod 2³², step / 2³²), key)
    Shapes
        step (1,) int64 ≥ 0 · key (2,) uint32 → (n,) uint32
    """
    xp = array_module(step)
    counter = xp.zeros((-(-n // 4), 4), np.uint32)
    counter[:, 0] = xp.arange(len(counter), dtype=np.uint32)
    counter[:, 1] = xp.full(len(counter), draw, np.uint32)
    counter[:, 2] = (step & (2**32 - 1)).astype(np.uint32)
    counter[:, 3] = (step >> 32).astype(np.uint32)
    return philox(counter, key).reshape(-1)[:n]


@fusable
def random_uniform(step: Array, key: Array, draw: int, n: int) -> Array:
    """n random float32 in [0, 1): the upper 24 bits of `random_words`, divided by 2²⁴."""
    words = random_words(step, key, draw, n)
    return (words >> 8).astype(np.float32) * np.float32(2**-24)
