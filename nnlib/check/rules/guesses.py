"""What is likely from the two arrays alone, once nothing is certain."""

import numpy as np

from nnlib.check.comparison import Comparison, axes, cosine, largest, listed, nature
from nnlib.check.diagnosis import Diagnosis, Kind


def mask(c: Comparison) -> Diagnosis | None:
    """Wrong where the reference is zero, and only there: a mask such as ReLU's derivative."""
    zero = np.abs(c.reference) <= c.noise
    if not (c.wrong & zero).any() or (c.wrong & ~zero).any() or not c.telling.any():
        return None
    return Diagnosis(
        Kind.DERIVATIVE,
        f"right wherever it is not zero, but {int((c.wrong & zero).sum())} entries should be zero: "
        "a mask is missing, such as the derivative of ReLU or of dropout",
    )


def branch(c: Comparison) -> Diagnosis | None:
    """Wrong where some array of the computation is positive, or where it is not."""
    right = c.telling & ~c.wrong
    if min(right.sum(), c.wrong.sum()) < 3:
        return None
    for name, x in c.terms.items():
        if x.shape != c.mine.shape:
            continue
        for there, here in ((x > 0, "> 0"), (x < 0, "< 0")):
            if not (c.wrong & ~there).any() and not (right & there).any():
                return Diagnosis(
                    Kind.BRANCH,
                    f"where {name} {here} every entry {nature(c, c.wrong)}, elsewhere all are "
                    f"right: look at the branch for {name} {here}",
                )
    return None


def target(c: Comparison) -> Diagnosis | None:
    """One entry of each row is wrong."""
    if c.reference.ndim != 2 or min(c.reference.shape) < 3:
        return None
    rows, columns = np.nonzero(c.wrong)
    if rows.tolist() != list(range(len(c.reference))) or len(set(columns.tolist())) < 2:
        return None
    return Diagnosis(
        Kind.TARGET,
        f"one entry of each row {nature(c, c.wrong)}, in columns {listed(columns.tolist())}, and "
        "all others are right: are these the targets? What they add, such as the − 1 in p − y, "
        "is missing or wrong",
    )


def absolute(c: Comparison) -> Diagnosis | None:
    size = np.abs(c.reference)
    for name, value in (("positive", size), ("negative", -size)):
        if c.equals(value):
            return Diagnosis(
                Kind.SIGN,
                f"every entry has the right size, but all are {name}: an absolute value or a "
                "square root has lost the signs",
            )
    return None


def signs(c: Comparison) -> Diagnosis | None:
    turned = c.mine * c.reference < 0
    if (c.wrong & ~turned).any() or not c.close(np.abs(c.mine), np.abs(c.reference)):
        return None
    return Diagnosis(
        Kind.SIGN,
        f"every entry has the right size, but {int(c.wrong.sum())} of {c.wrong.size} have the "
        "wrong sign",
    )


def constant_along_axis(c: Comparison) -> Diagnosis | None:
    """The same number all along an axis: a sum or mean spread out, or one that is missing."""
    difference = c.reference - c.mine
    for axis in axes(c):
        for name, reduced in (
            ("sum", c.reference.sum(axis=axis, keepdims=True)),
            ("mean", c.reference.mean(axis=axis, keepdims=True)),
        ):
            if c.equals(np.broadcast_to(reduced, c.reference.shape)):
                return Diagnosis(
                    Kind.WRONG_AXIS,
                    f"all along axis {axis} stands the {name} over that axis: nothing is to be "
                    "summed there",
                )
        middle = difference.mean(axis=axis, keepdims=True)
        spread = np.broadcast_to(middle, difference.shape)
        varies = np.ptp(c.mine, axis=axis).max() > 1e-3 * largest(c.mine)
        if c.reference.shape[axis] > 2 and varies and c.close(difference, spread, 0.01 * c.limit):
            return Diagnosis(
                Kind.TERM,
                f"the difference is constant along axis {axis}: a term such as a mean or sum over "
                "that axis is missing or wrong",
            )
    return None


def too_large(c: Comparison) -> Diagnosis | None:
    """Right in places, elsewhere of the right sign but too large: f' = 1 in those places."""
    wrong = c.wrong & c.telling
    few = wrong.sum() < max(8, 0.25 * c.telling.sum()) or (c.telling & ~c.wrong).sum() < 3
    if few or (c.wrong & ~c.telling).any():
        return None
    factors = c.reference[wrong] / c.mine[wrong]
    if factors.min() <= 0 or factors.max() >= 1:
        return None
    return Diagnosis(
        Kind.DERIVATIVE,
        f"{int(wrong.sum())} entries are {1 / factors.max():.3g} to {1 / factors.min():.3g} times "
        "too large, the others are right: the derivative f'(a) is missing, which is 1 for those",
    )


def same_signs(c: Comparison) -> Diagnosis | None:
    """Every entry has the right sign, and its own wrong size."""
    m, r = c.mine[c.telling], c.reference[c.telling]
    if m.size < 8 or (m * r <= 0).any():
        return None
    factors = r / m
    if factors.max() <= 1 + 1e-6:
        return Diagnosis(
            Kind.DERIVATIVE,
            f"every sign is right but every entry too large, {1 / factors.max():.3g} to "
            f"{1 / factors.min():.3g} times: a factor below 1 such as the derivative f'(a) is "
            "missing",
        )
    if factors.min() >= 1 - 1e-6:
        return Diagnosis(
            Kind.DERIVATIVE,
            f"every sign is right but every entry too small, {factors.min():.3g} to "
            f"{factors.max():.3g} times: a factor below 1 such as the derivative f'(a) is there "
            "twice",
        )
    spread = np.sqrt(np.mean((m - r) ** 2))
    luck = np.prod(1 / (1 + np.exp(-1.7 * np.abs(r) / spread)))  # 1.7: nearly the normal integral
    if luck > 0.01:
        return None  # an error of that size need not have turned a sign
    return Diagnosis(
        Kind.ELEMENTWISE,
        f"every sign is right, but sizes are {1 / factors.max():.3g} to {1 / factors.min():.3g} "
        "times what they should be: a positive factor, different for each entry, is probably "
        "missing",
    )


def same_total(c: Comparison) -> Diagnosis | None:
    """A vector with the right sum and no right entry: a matrix summed over its other axis."""
    total = float(c.reference.sum())
    size = float(np.abs(c.reference).sum())
    if c.reference.ndim != 1 or c.reference.size < 3 or abs(total) < 1e-2 * size:
        return None
    if abs(float(c.mine.sum()) - total) > 10 * c.precision * size or not c.wrong.all():
        return None
    return Diagnosis(
        Kind.WRONG_AXIS,
        "no entry is right but their sum is: a square matrix is summed over its other axis",
    )


def related(c: Comparison) -> Diagnosis | None:
    similar, n = cosine(c.mine, c.reference), c.mine.size
    if n < 4 or similar < max(0.3, min(0.9, 3 / np.sqrt(n))):  # 3 standard deviations of chance
        return None
    return Diagnosis(
        Kind.TERM,
        f"the direction is similar (cosine {similar:.3f}), but hardly an entry is right: "
        "one term of a sum is probably missing, or has the wrong sign or factor",
    )


def unrelated(c: Comparison) -> Diagnosis:
    similar, n = cosine(c.mine, c.reference), c.mine.size
    if abs(similar) < 3 / np.sqrt(n) and n > 4:
        start = f"it has nothing to do with the right gradient (cosine {similar:+.3f})"
    elif abs(similar) < 0.5 or n < 5:
        start = f"hardly an entry is right (cosine {similar:+.3f})"
    else:
        start = f"it points the other way, but not exactly (cosine {similar:+.3f})"
    return Diagnosis(
        Kind.UNRELATED,
        f"{start}: compare the formula line by line, or check that it is the gradient of this "
        "array and of these inputs",
    )
