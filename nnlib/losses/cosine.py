"""The cosine distance: a loss of directions."""

from nnlib.array import Array, Backward, array_module

SHORTEST = 1e-12  # a length below it counts as this much: a direction of 0 is no error


def cosine_distance(y: Array, target: Array) -> tuple[Array, Backward]:
    """One minus the cosine of the angle between output and target: mean over the batch.

        (1) u_b = y_b / |y_b|,  v_b = t_b / |t_b|
        (2) L = 1/B Σ_b (1 − u_b · v_b)                     0: same direction, 2: opposite
    Lengths do not matter, so the gradient is orthogonal to y.

    Backward
        ∂L/∂y_b = ((u_b · v_b) u_b − v_b) / (B |y_b|).
    Shapes
        y, target (B, D) → L ()
    """
    xp = array_module(y)
    target = target.astype(y.dtype, copy=False)
    length = xp.maximum(xp.sqrt((y * y).sum(axis=1, keepdims=True)), SHORTEST)
    u = y / length  # (1)
    v = target / xp.maximum(xp.sqrt((target * target).sum(axis=1, keepdims=True)), SHORTEST)
    cosine = (u * v).sum(axis=1, keepdims=True)

    def backward(dloss: Array | float = 1.0) -> Array:
        return (cosine * u - v) * (dloss / len(y)) / length  # (2) (1)

    return (1 - cosine).mean(), backward  # (2)
