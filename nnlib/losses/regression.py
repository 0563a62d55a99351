"""Losses of regression."""

from nnlib.array import Array, Backward, array_module


def squared(y: Array, target: Array, weight: Array | float | None = None) -> tuple[Array, Backward]:
    """Squared error: half of it, summed over outputs, mean over the batch.

        (1) L = 1/B Σ_b Σ_j ½ w_bj (y_bj − t_bj)²
    The ½ makes the gradient the plain error.  Other libraries leave the ½ out or divide by the
    number of outputs as well; a learning rate taken from them has to be scaled.

    Backward
        ∂L/∂y = w (y − t) / B.
    Shapes
        y (B, ...) · target like y · weight broadcasts to y → L ()
    """
    B = len(y)
    error = y - target.astype(y.dtype, copy=False)
    weighted = error
    if weight is not None:
        weighted = array_module(y).asarray(weight, y.dtype) * error
    loss = (weighted * error).sum() * (0.5 / B)  # (1)

    def backward(dloss: Array | float = 1.0) -> Array:
        return weighted * (dloss / B)  # (1)

    return loss, backward
