"""What the layers over time are told about steps: which count, and where gradients are cut."""

from nnlib.array import Array
from nnlib.functional.sequences import step_mask


def valid_steps(x: Array, lengths: Array | None) -> Array | None:
    """The mask (T, B) that `lengths`, (B,) int or itself a mask (T, B), stands for.

    Raises
        ValueError: `lengths` has neither of the two shapes, or is a mask of no booleans.
    """
    if lengths is None:
        return None
    T, B = x.shape[:2]
    if lengths.shape == (B,) and lengths.dtype.kind in "iu":
        return step_mask(lengths, T)
    if lengths.shape == (T, B) and lengths.dtype.kind == "b":
        return lengths
    raise ValueError(
        f"lengths is {lengths.dtype} {lengths.shape}: give {B} integers, one for each sequence, "
        f"or a boolean mask of shape ({T}, {B}), time first"
    )


def check_truncate(truncate: int | None) -> None:
    """Raise a ValueError unless gradients can be cut after this number of steps."""
    if truncate is not None and truncate < 1:
        raise ValueError(f"truncate={truncate}: it must be at least 1 step, or None for all")
