"""The right numbers in the wrong places, and right numbers in some places only."""

import itertools
from collections.abc import Iterator

import numpy as np

from nnlib.array import Array
from nnlib.check.comparison import Comparison, axes, listed, nature
from nnlib.check.diagnosis import Diagnosis, Kind


def transposed(c: Comparison) -> Diagnosis | None:
    r = c.reference
    if min(r.ndim, 2) < 2 or r.ndim > 4:
        return None
    for order in itertools.permutations(range(r.ndim)):
        turned = r.transpose(order)
        if order == tuple(range(r.ndim)) or c.close(r, turned.reshape(r.shape)):
            continue
        if turned.shape == r.shape and c.equals(turned):
            swapped = "" if r.ndim == 2 else f" (its axes in the order {list(order)})"
            return Diagnosis(Kind.TRANSPOSED, f"it is the right gradient, transposed{swapped}")
        if c.equals(turned.reshape(r.shape)):
            return Diagnosis(
                Kind.TRANSPOSED,
                "the numbers are right, but reshaped where a transpose is needed: reshape keeps "
                "the order in memory and does not turn axes",
            )
    return None


def reversed_or_shifted(c: Comparison) -> Diagnosis | None:
    for axis in _time_first(c):
        name = _name(c, axis)
        if c.equals(np.flip(c.reference, axis)):
            return Diagnosis(
                Kind.REVERSED, f"{name} is reversed: the first slice is where the last belongs"
            )
        if c.reference.shape[axis] < 3:
            continue
        m, r = np.moveaxis(c.mine, axis, 0), np.moveaxis(c.reference, axis, 0)
        for step, a, b in ((1, m[1:], r[:-1]), (-1, m[:-1], r[1:])):
            if c.close(a, b) and np.abs(b).max() > 100 * c.limit:
                late = "late" if step > 0 else "early"
                return Diagnosis(
                    Kind.SHIFTED,
                    f"{name} is off by one: each slice holds the gradient of the "
                    f"{'one before' if step > 0 else 'next one'}, one step too {late}",
                )
    return None


def one_end(c: Comparison) -> Diagnosis | None:
    """Only the last, or only the first, slice along time is right."""
    for axis in _time_first(c)[:1]:
        n = c.reference.shape[axis]
        right, wrong = c.slices(axis)
        if len(right) != 1 or not wrong or (n < 3 and c.time_axis is None):
            continue
        end = {n - 1: "last", 0: "first"}.get(right[0])
        if end is None or len(wrong) < n / 2:
            continue
        at = (slice(None),) * axis + (wrong,)
        if not _all_wrong(c, at):
            continue
        time = _is_time(c, axis)
        what = f"{end} time step" if time else f"{end} slice along axis {axis}"
        hint = (
            "no error flows back from there to the steps before"
            if end == "last"
            else "the loop stops too early, or overwrites what it has"
        )
        if not time:
            hint = f"if that axis is time, {hint}"
        return Diagnosis(
            Kind.ONLY_LAST if end == "last" else Kind.ONLY_FIRST,
            f"only the {what} is right, the rest {nature(c, at)}: {hint}",
        )
    return None


def blocks_swapped(c: Comparison) -> Diagnosis | None:
    """Columns in equal blocks, such as one for each gate, in another order."""
    for names, width in _blocks(c):
        k = len(names)
        r = c.reference.reshape(*c.reference.shape[:-1], k, width)
        for order in itertools.permutations(range(k)):
            if order != tuple(range(k)) and c.equals(r[..., order, :].reshape(c.mine.shape)):
                return Diagnosis(
                    Kind.BLOCKS_SWAPPED,
                    f"the blocks of columns stand in the order {listed([names[i] for i in order])} "
                    f"instead of {listed(names)}",
                )
    return None


def one_block(c: Comparison) -> Diagnosis | None:
    """Some of the equal blocks of columns are wrong in every column, the others right."""
    if not c.reference.ndim:
        return None
    right, wrong = c.slices(c.reference.ndim - 1)
    for names, width in _blocks(c):
        bad = sorted({j // width for j in wrong})
        if not bad or len(wrong) < len(bad) * width or not {j // width for j in right} - {*bad}:
            continue
        called = [names[i] for i in bad]
        return Diagnosis(
            Kind.BLOCK,
            f"{'blocks' if len(bad) > 1 else 'block'} {listed(called)} of the {len(names)} blocks "
            f"of columns {_are(nature(c, (..., wrong)), bad)}, the others are right: look at "
            f"{'those gates' if len(bad) > 1 else 'that gate'}",
        )
    return None


def _blocks(c: Comparison) -> Iterator[tuple[list[str], int]]:
    """Names and width of the equal blocks that the last axis may have."""
    n = c.reference.shape[-1] if c.reference.ndim else 0
    for k in (len(c.gates),) if c.gates else (2, 3, 4):
        if k > 1 and n % k == 0 and n // k >= (1 if c.gates else 2):
            yield list(c.gates) or [str(i + 1) for i in range(k)], n // k


def some_slices(c: Comparison) -> Diagnosis | None:
    """Whole slices along one axis are right and others wrong; the axis with the fewest wrong."""
    found: list[tuple[float, int, list[int]]] = []
    for axis in axes(c):
        right, wrong = c.slices(axis)
        if right and wrong:
            found.append((len(wrong) / c.reference.shape[axis], axis, wrong))
    if not found:
        return None
    _, axis, wrong = min(found)
    at = (slice(None),) * axis + (wrong,)
    if not _all_wrong(c, at):
        return None
    name = {0: "row", c.reference.ndim - 1: "column"}.get(axis, "slice")
    if c.reference.ndim == 1:
        name = "entry"
    if _is_time(c, axis):
        name = "time step"
    plural = {"entry": "entries"}.get(name, name + "s") if len(wrong) > 1 else name
    return Diagnosis(
        Kind.PARTLY,
        f"{plural} {listed(wrong)} {_are(nature(c, at), wrong)}, the others along axis {axis} "
        "are right",
    )


def permuted(c: Comparison) -> Diagnosis | None:
    m, r = np.sort(c.mine, axis=None), np.sort(c.reference, axis=None)
    if len(r) < 3 or not c.close(m, r) or c.close(c.mine, c.reference):
        return None
    for axis in axes(c):
        if (order := _order(c, axis)) is not None:
            moved = [i for i, j in enumerate(order) if i != j]
            return Diagnosis(
                Kind.PERMUTED,
                f"the slices along axis {axis} are right but in another order: {listed(moved)} "
                f"hold what belongs to {listed([int(order[i]) for i in moved])}",
            )
    return Diagnosis(
        Kind.PERMUTED, "the numbers are right but stand in other places: look at the indexing"
    )


def scattered(c: Comparison) -> Diagnosis | None:
    """Some entries are wrong, in no order."""
    wrong, right = int(c.wrong.sum()), int((c.telling & ~c.wrong).sum())
    if not right or right < wrong:
        return None
    first = [[int(i) for i in at] for at in np.argwhere(c.wrong)[:3]]
    return Diagnosis(
        Kind.PARTLY,
        f"{wrong} of {c.wrong.size} entries {_are(nature(c, c.wrong), first)}, the others are "
        f"right; the first at {listed([str(at) for at in first])}",
    )


def _all_wrong(c: Comparison, at: tuple[slice | list[int], ...]) -> bool:
    """Nearly every entry there is wrong, and not only one in each slice."""
    seen = c.telling[at] | c.wrong[at]
    return bool(c.wrong[at].sum() >= 0.9 * seen.sum())


def _order(c: Comparison, axis: int) -> Array | None:
    """order with mine[i] = reference[order[i]] for the slices along an axis, if there is one."""
    n = c.reference.shape[axis]
    m = np.moveaxis(c.mine, axis, 0).reshape(n, -1)
    r = np.moveaxis(c.reference, axis, 0).reshape(n, -1)
    line = np.random.default_rng(0).normal(size=m.shape[1])  # slices differ in their place on it
    order = np.empty(n, int)
    order[np.argsort(m @ line)] = np.argsort(r @ line)
    return order if c.close(m, r[order]) else None


def _time_first(c: Comparison) -> list[int]:
    """The axis of time, if known or likely (0 of three), before the others."""
    ndim = c.reference.ndim
    if c.time_axis is not None and -ndim <= c.time_axis < ndim:
        time = c.time_axis % ndim
        return [time, *(i for i in range(ndim) if i != time)]
    return list(range(ndim)) if ndim > 1 else []


def _is_time(c: Comparison, axis: int) -> bool:
    if c.time_axis is not None:
        return bool(axis == c.time_axis % c.reference.ndim)
    return axis == 0 and bool(c.reference.ndim > 2)


def _name(c: Comparison, axis: int) -> str:
    return f"time (axis {axis})" if _is_time(c, axis) else f"axis {axis}"


def _are(predicate: str, items: list[int] | list[str] | list[list[int]]) -> str:
    """ "is zero" of one thing, "are zero" of several."""
    return predicate.replace("is ", "are ", 1) if len(items) > 1 else predicate
