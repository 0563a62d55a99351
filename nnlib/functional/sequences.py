"""Sequences of unequal length in one batch, time-major: which steps count, and where each ends."""

from nnlib.array import Array, Backward, array_module


def step_mask(lengths: Array, n_steps: int) -> Array:
    """m (T, B) bool from lengths (B,) int:  m_tb = t < lengths_b,  t = 0…T−1."""
    return array_module(lengths).arange(n_steps)[:, None] < lengths


def last_state(h: Array, lengths: Array) -> tuple[Array, Backward]:
    """The state at the true end of each sequence.

        (1) y_b = h[lengths_b − 1, b]
    A layer that was given `lengths` carries its state through the padding, so that h[−1] is the
    same; this is for states that know nothing of them.

    Backward:  dh is dy at those steps, 0 at all others.

    Shapes
        h (T, B, H) · lengths (B,) int, 1…T → y (B, H)
    """
    xp = array_module(h)
    last, batch = lengths - 1, xp.arange(h.shape[1])
    y = h[last, batch]  # (1)

    def backward(dy: Array) -> tuple[Array, None]:
        dh = xp.zeros(h.shape, dy.dtype)
        dh[last, batch] = dy  # (1)
        return dh, None  # None: lengths are integers

    return y, backward


def reverse_prefix(x: Array, lengths: Array | None = None) -> tuple[Array, Backward]:
    """Every sequence turned round in its own place: the padding stays at the end.

        (1) y[t, b] = x[lengths_b − 1 − t, b]   where t < lengths_b,   x[t, b] behind it
    Backward:  the same, for turning round twice changes nothing.

    Shapes
        x (T, B, ...) · lengths (B,) int, 0…T, or None: all T → y (T, B, ...)
    """
    xp = array_module(x)
    T, B = x.shape[:2]
    t = xp.arange(T)[:, None]
    ends = xp.full(B, T) if lengths is None else lengths
    source, batch = xp.where(t < ends, ends - 1 - t, t), xp.arange(B)
    return x[source, batch], lambda dy: dy[source, batch]  # (1)


def is_cut(t: int, truncate: int | None) -> bool:
    """Whether the state before step t is a constant: the pieces of k steps start at 0, k, 2k, …

    Not at 0: the gradient of the first state is the caller's to use or leave.
    """
    return truncate is not None and t > 0 and t % truncate == 0
