"""What every attention ends with: scores of the states into weights, and their weighted mean.

Batch first in here, so that the products are one matrix product per sequence: q counts queries.
"""

from nnlib.array import Array, Backward, array_module
from nnlib.functional.activations import softmax


def read_states(e: Array, h: Array, mask: Array | None = None) -> tuple[Array, Backward]:
    """A weighted mean of a sequence's states for each query, by the scores that it gives them.

        (1) w_bqt = exp(e_bqt) / Σ_t exp(e_bqt)      over the steps that count, 0 at all others
        (2) c_bq  = Σ_t w_bqt h_bt
    Backward
        ∂L/∂e_bqt = w_bqt (∂L/∂w_bqt − Σ_t w_bqt ∂L/∂w_bqt): e may rise by a constant for nothing.
    Shapes
        e (B, Q, T) · h (B, T, H) · mask (T, B) bool, a True in every column → c (B, Q, H)
    """
    w, back_softmax = attention_weights(e, mask)  # (1)
    c = w @ h  # (2)

    def backward(dc: Array) -> tuple[Array, Array]:
        dw = dc @ h.swapaxes(1, 2)  # (2)
        dh = w.swapaxes(1, 2) @ dc  # (2)
        return back_softmax(dw), dh  # (1)

    return c, backward


def attention_weights(e: Array, mask: Array | None = None) -> tuple[Array, Backward]:
    """w (B, Q, T) of `read_states` (1); where w is 0, so is the softmax's own backward."""
    if mask is not None:
        e = array_module(e).where(mask.T[:, None], e, -float("inf"))
    return softmax(e)


def batch_first(x: Array) -> Array:
    """(B, Q, ...) from (Q, B, ...), or (B, 1, ...) from the (B, ...) of a single query."""
    return x[:, None] if x.ndim == 2 else x.swapaxes(0, 1)


def time_first(x: Array, ndim: int) -> Array:
    """The way back from `batch_first`, to as many axes as there were."""
    return x[:, 0] if ndim == 2 else x.swapaxes(0, 1)
