"""What an array of another shape than the reference's may be."""

import numpy as np

from nnlib.array import Array
from nnlib.check.comparison import Comparison
from nnlib.check.diagnosis import Diagnosis, Kind


def wrong_shape(c: Comparison) -> Diagnosis | None:
    if c.mine.shape == c.reference.shape:
        return None
    start = f"the shape is {c.mine.shape} instead of {c.reference.shape}"
    found = (
        _not_finite(c, start)
        or _same_numbers(c, start)
        or _too_many_axes(c, start)
        or _too_few_axes(c, start)
        or _other_axis_summed(c, start)
        or _rows_of_ids(c, start)
    )
    return found or Diagnosis(Kind.SHAPE, start + ": a gradient has the shape of what it is of")


def _not_finite(c: Comparison, start: str) -> Diagnosis | None:
    if np.isfinite(c.mine).all() and np.isfinite(c.reference).all():
        return None
    return Diagnosis(Kind.SHAPE, f"{start}, and not all of it is finite")


def _same_numbers(c: Comparison, start: str) -> Diagnosis | None:
    m, r = c.mine, c.reference
    if m.size != r.size or not m.size:
        return None
    if m.ndim == r.ndim:
        for order in _orders(m.ndim):
            if m.transpose(order).shape == r.shape and c.close(m.transpose(order), r):
                return Diagnosis(Kind.TRANSPOSED, f"{start}: it is the right gradient, transposed")
    if c.close(m.reshape(r.shape), r):
        return Diagnosis(
            Kind.SHAPE, f"{start}, but the numbers are right: drop or add the axis of length 1"
        )
    return None


def _orders(ndim: int) -> list[tuple[int, ...]]:
    """Every order of two or three axes but the one they are in; only the reverse of more."""
    if ndim == 3:
        return [(2, 1, 0), (1, 0, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1)]
    return [tuple(reversed(range(ndim)))]


def _too_many_axes(c: Comparison, start: str) -> Diagnosis | None:
    extra = c.mine.ndim - c.reference.ndim
    if extra < 1 or c.mine.shape[extra:] != c.reference.shape:
        return None
    leading = tuple(range(extra))
    total = c.mine.sum(axis=leading)
    if c.close(total, c.reference) or c.close(c.mine.mean(axis=leading), c.reference):
        return Diagnosis(
            Kind.NOT_SUMMED,
            f"{start}: there is one gradient for each example (or step), sum them over axis 0"
            + (" and 1" if extra > 1 else ""),
        )
    return None


def _too_few_axes(c: Comparison, start: str) -> Diagnosis | None:
    m, r = np.squeeze(c.mine), c.reference
    for axis, n in enumerate(r.shape):
        rest = tuple(k for i, k in enumerate(r.shape) if i != axis)
        if np.squeeze(np.empty(rest)).shape != m.shape or n < 2:
            continue
        for name, reduced in (("summed", r.sum(axis=axis)), ("averaged", r.mean(axis=axis))):
            if c.close(m, np.squeeze(reduced)):
                return Diagnosis(
                    Kind.WRONG_AXIS,
                    f"{start}: it is {name} over axis {axis}, over which nothing is to be summed",
                )
        for kind, name, at in ((Kind.ONLY_LAST, "last", -1), (Kind.ONLY_FIRST, "first", 0)):
            if c.close(m, np.squeeze(r.take(at, axis=axis))):
                return Diagnosis(kind, f"{start}: it is the {name} slice along axis {axis} only")
    return None


def _other_axis_summed(c: Comparison, start: str) -> Diagnosis | None:
    """A matrix has the same total, whichever axis it is summed over first."""
    m, r = c.mine, c.reference
    if c.summands is not None and (found := other_axis(c, c.summands, m)):
        return Diagnosis(Kind.WRONG_AXIS, f"{start}: {found}")
    if m.ndim != r.ndim and np.squeeze(m).ndim != np.squeeze(r).ndim:
        return None
    if same_total(c, m, r):
        return Diagnosis(
            Kind.WRONG_AXIS,
            f"{start}, and the total is right: it is summed over the wrong axis",
        )
    return None


def same_total(c: Comparison, m: Array, r: Array) -> bool:
    """Sums agree, of sums; or one is a mean over an axis as long as the other array."""
    totals = [float(m.sum()), float(r.sum())]
    if abs(totals[1]) < 1e-2 * float(np.abs(r).sum()) or not m.size or not r.size:
        return False
    slack = 10 * c.precision * float(np.abs(m).sum() + np.abs(r).sum())
    factors = {1.0, float(r.size), 1 / m.size, r.size / m.size}
    return any(abs(k * totals[0] - totals[1]) <= max(k, 1.0) * slack for k in factors)


def other_axis(c: Comparison, summands: Array, m: Array) -> str:
    """ "it is summed over axis 1 instead of 0", if that is so."""
    extra = summands.ndim - c.reference.ndim
    for axis in range(max(extra, 1), summands.ndim):
        for name, reduced in (
            ("summed", summands.sum(axis=axis)),
            ("averaged", summands.mean(axis=axis)),
        ):
            squeezed = np.squeeze(reduced)
            if squeezed.shape == np.squeeze(m).shape and c.close(np.squeeze(m), squeezed):
                return f"it is {name} over axis {axis} instead of axis 0"
    return ""


def _rows_of_ids(c: Comparison, start: str) -> Diagnosis | None:
    if c.ids is None or not c.ids.size or c.mine.ndim < c.reference.ndim:
        return None
    if c.mine.shape != (*c.ids.shape, *c.reference.shape[1:]):
        return None
    if c.ids.min() < -len(c.reference) or c.ids.max() >= len(c.reference):
        return None
    rows = c.mine.reshape(-1, *c.reference.shape[1:])
    dense = np.zeros_like(c.reference)
    np.add.at(dense, c.ids.ravel(), rows)
    if not c.close(dense, c.reference):
        return None
    return Diagnosis(
        Kind.NOT_SUMMED,
        f"{start}: there is one row for each id; add each to the row of its id",
    )
