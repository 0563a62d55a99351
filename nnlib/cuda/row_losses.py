"""Losses of rows of scores on the GPU, a block of threads to a row."""

from nnlib.array import Array, array_module, without_kernel
from nnlib.cuda.kernel import Kernel, fits
from nnlib.functional import ranking, softmax
from nnlib.functional.softmax import RowLosses

CROSS_ENTROPY = Kernel("row_losses", "cross_entropy")
BPR_MAX = Kernel("row_losses", "bpr_max")


def cross_entropy(s: Array, target: Array, weight: Array | None = None) -> RowLosses:
    """`functional.softmax.cross_entropy`."""
    if not fits(s, weight, ids=target):
        return without_kernel(softmax.cross_entropy)(s, target, weight)
    xp, (B, U) = array_module(s), s.shape
    losses, scale = xp.empty(B, s.dtype), xp.empty(B, s.dtype)
    G = xp.empty_like(s)
    CROSS_ENTROPY.per_block(B, s, target, weight, losses, G, scale, U)
    return RowLosses(losses, G, scale)


def bpr_max(s: Array, target: Array, count: Array, regularization: float) -> RowLosses:
    """`functional.ranking.bpr_max`."""
    if not fits(s, count, ids=target):
        return without_kernel(ranking.bpr_max)(s, target, count, regularization)
    xp, (B, U) = array_module(s), s.shape
    losses, G = xp.empty(B, s.dtype), xp.empty_like(s)
    BPR_MAX.per_block(B, s, target, count, float(regularization), losses, G, U)
    return RowLosses(losses, G, xp.ones_like(losses))
