"""Weighted softmax over rows in as few passes as possible, for losses over many columns.

A training step of a recommender spends its elementwise time here: (B, U) scores, a few hundred
rows and a few thousand columns.  Only what `cross_entropy` and the ranking losses share is here;
the activation is `nnlib.functional.activations.softmax`.
"""

from typing import NamedTuple

import numpy as np

from nnlib.array import Array, array_module, fusable

BLOCK = 65_536  # elements of a block of rows: a handful of such float32 arrays fit a 2 MB cache

# Where exp(s) of single precision is exact without subtracting the row's maximum first: a sum
# between these bounds has not overflowed, and its larger terms have not lost bits to underflow.
SMALLEST_SUM, LARGEST_SUM = 1e-15, 1e15


class RowLosses(NamedTuple):
    """A loss per row and its derivative in two factors:  ∂losses_b / ∂s_bj = scale_b · G_bj.

    So that a caller may apply scale to something smaller than G: in dW = (scale · G)ᵀ h, to h.
    """

    losses: Array  # (B,)
    G: Array  # (B, U)
    scale: Array  # (B,)


@fusable
def cross_entropy(s: Array, target: Array, weight: Array | None = None) -> RowLosses:
    """Softmax cross-entropy per row, column j weighing w_j in the sum:

        (1) e_bj = w_j exp(s_bj),  z_b = Σ_j e_bj
        (2) L_b  = log z_b − s_bt
        (3) z_b ∂L_b/∂s_bj = e_bj − z_b [j = t]
    Shapes
        s (B, U) · target (B,) int · weight (U,) ≥ 0 → losses (B,), G (B, U), scale (B,)
    """
    rows = array_module(s).arange(len(s))
    e, z, shift = exp_sum(s, weight)  # (1), both divided by exp(shift)
    losses = array_module(s).log(z) + (shift - s[rows, target])  # (2)
    e[rows, target] -= z  # (3)
    return RowLosses(losses, e, 1 / z)


@fusable
def exp_sum(
    s: Array, weight: Array | None = None, leave_out: Array | None = None
) -> tuple[Array, Array, Array]:
    """Numerators and denominators of a weighted softmax, and the shift that both share.

        (1) e_bj = w_bj exp(s_bj − shift_b)
        (2) z_b  = Σ_j e_bj
    The softmax is e / z, its log-sum-exp log z + shift.

    shift is the row's maximum where it must be, and 0 where exp is safe without, which saves two
    passes over s.  z is a product with a vector of ones, which is faster than `sum`.

    Shapes
        s (B, U) · weight (U,) · leave_out (B,) int → e (B, U), z (B,), shift (B,)
    Arguments
        weight: w_j, 0 to 10¹⁵; None: 1
        leave_out: a column of each row of which one of its w_j equal copies is left out, so that
            it weighs w_j − 1
    Where no column has weight, e = 0 and z = 1.
    """
    if isinstance(s, np.ndarray):
        e, z = _exp_sum_without_shift(s, weight, leave_out)
        if in_safe_range(z):
            return e, z, np.zeros_like(z)
    xp = array_module(s)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shift = s.max(axis=1)
        a = s - shift[:, None]  # before small numbers are added, which large ones would swallow
        if weight is not None:
            a += xp.log(weight)
        if leave_out is not None:
            a[xp.arange(len(s)), leave_out] += xp.log(_share_left(weight, leave_out))
        top = a.max(axis=1)
        top = xp.where(top == -xp.inf, xp.zeros_like(top), top)
        e = xp.exp(a - top[:, None])  # (1)
    z = e.sum(axis=1)  # (2)
    return e, xp.where(z == 0, xp.ones_like(z), z), shift + top


def _exp_sum_without_shift(
    s: Array, weight: Array | None, leave_out: Array | None
) -> tuple[Array, Array]:
    e, z, ones = np.empty_like(s), np.empty(len(s), s.dtype), np.ones(s.shape[1], s.dtype)
    n = rows_per_block(s)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(s), n):
            block = e[start : start + n]
            np.exp(s[start : start + n], out=block)  # (1)
            if weight is not None:
                block *= weight
            if leave_out is not None:
                column = leave_out[start : start + n]
                block[np.arange(len(block)), column] *= _share_left(weight, column)
            np.matmul(block, ones, out=z[start : start + n])  # (2)
    return e, z


def _share_left(weight: Array | None, column: Array) -> Array | float:
    """(w_j − 1) / w_j of the columns."""
    return 0.0 if weight is None else 1 - 1 / weight[column]


def scale_rows(x: Array, factor: Array) -> Array:
    """factor_b · x_bj as a new array of x's dtype; `einsum` because it beats broadcasting here."""
    factor = factor.astype(x.dtype, copy=False)
    if isinstance(x, np.ndarray):
        return np.einsum("bj,b->bj", x, factor)
    return x * factor[:, None]


def rows_per_block(s: Array) -> int:
    """Rows of s (B, U) that make a block of at most `BLOCK` elements, at least 1."""
    return max(1, BLOCK // max(1, int(s.shape[1])))


def in_safe_range(*sums: Array) -> bool:
    """Whether sums of exponentials, on the host, are exact without a shift; False for NaN."""
    return all(z.size == 0 or SMALLEST_SUM < z.min() <= z.max() < LARGEST_SUM for z in sums)
