"""exp, tanh and σ in single precision, of arithmetic alone, so that a loop over them is vectorised.

The C library's functions are calls, one element at a time; NumPy's are fast, but each is a pass of
its own over memory.  These are inlined into a kernel's loop, which then does 8 or 16 elements at
once.

    (1) x = n log 2 + r,  n whole,  |r| ≤ ½ log 2           so that exp(x) = 2ⁿ (1 + q)
    (2) q = exp(r) − 1 = r + r²/2! + r³/3! + … + r⁷/7!      what follows is below r⁸/8! < 6·10⁻⁹
    (3) tanh(x) = m / (m + 2),  m = exp(2x) − 1 = 2ⁿ q + (2ⁿ − 1)
    (4) σ(x) = ½ + ½ tanh(x/2)
A float between 2²³ and 2²⁴ has no digits behind the point, so adding 1.5 · 2²³ rounds.  2ⁿ is n
written into the exponent bits of a float, and log 2 is taken off in two pieces, of which the first
has so few digits that n times it is exact.  Largest relative errors: 10⁻⁷ (exp) and
2·10⁻⁷ (tanh), which is one or two units in the last place.  exp is ∞ from 88.4 on and 0 from
−87.7 down; NaN stays NaN.
"""

from typing import Any

import numpy as np
from numba import njit

PER_LOG_2 = np.float32(1 / np.log(2))
ROUND = np.float32(1.5 * 2**23)
LOG_2_COARSE = np.float32(355 / 512)
LOG_2_REST = np.float32(np.log(2) - 355 / 512)
C2, C3, C4, C5, C6, C7 = (np.float32(1 / n) for n in (2, 6, 24, 120, 720, 5040))  # 1 / k!
ZERO, HALF, ONE, TWO = (np.float32(v) for v in (0, 0.5, 1, 2))
EXP_RANGE = np.float32(-88), np.float32(89)  # n is −127 and 128 there, 2ⁿ is 0 and ∞
EXPM1_RANGE = np.float32(-20), np.float32(20)  # where tanh of the half is −1 and 1

# Multiply and add as one, and no exception for a division by zero: both keep loops vectorised.
vectorised: Any = njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")


@vectorised
def _two_to_n_and_q(x, low, high):  # type: ignore[no-untyped-def]
    """2ⁿ and q of (1) and (2), x having been brought between low and high."""
    x = low if x < low else x  # written so that NaN stays
    x = high if x > high else x
    rounded = x * PER_LOG_2 + ROUND  # n is in its last bits
    n = rounded - ROUND
    r = x - n * LOG_2_COARSE - n * LOG_2_REST  # (1)
    q = r + r * r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * (C6 + r * C7)))))  # (2)
    return np.int32((np.float32(rounded).view(np.int32) + 127) << 23).view(np.float32), q


@vectorised
def exp(x):  # type: ignore[no-untyped-def]
    two_to_n, q = _two_to_n_and_q(x, *EXP_RANGE)
    return two_to_n * (ONE + q)  # (1)


@vectorised
def expm1(x):  # type: ignore[no-untyped-def]
    """exp(x) − 1 for x ≤ 20; above it stays what it is there."""
    two_to_n, q = _two_to_n_and_q(x, *EXPM1_RANGE)
    return two_to_n * q + (two_to_n - ONE)


@vectorised
def tanh(x):  # type: ignore[no-untyped-def]
    m = expm1(TWO * x)
    return m / (m + TWO)  # (3)


@vectorised
def logistic(x):  # type: ignore[no-untyped-def]
    return HALF + HALF * tanh(HALF * x)  # (4)
