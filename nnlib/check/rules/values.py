"""Mistakes that every entry shares: not finite, zero, a constant factor, a length."""

import numpy as np

from nnlib.check.comparison import Comparison, indices, largest, listed, near, number, ratio, times
from nnlib.check.diagnosis import Diagnosis, Kind

CONSTANTS = {
    1.0507009873554805: "SELU's scale λ",
    1.6732632423543772: "SELU's α",
    1.7580993408473766: "SELU's λα",
    float(np.log(2)): "ln 2: bits against nats",
    float(np.pi): "π",
}


def not_finite(c: Comparison) -> Diagnosis | None:
    bad, bad_reference = ~np.isfinite(c.mine), ~np.isfinite(c.reference)
    if bad_reference.any():
        return Diagnosis(
            Kind.NOT_FINITE,
            "the reference itself is not finite: the forward pass overflows, or divides by zero, "
            "on these inputs",
        )
    if not bad.any():
        return None
    first = [int(i) for i in np.argwhere(bad)[0]]
    what = "NaN" if np.isnan(c.mine).any() else "infinite"
    where = "every entry is" if bad.all() else f"{bad.sum()} of {bad.size} entries are"
    return Diagnosis(
        Kind.NOT_FINITE,
        f"{where} {what}, the first at {first}: look for a division by zero, the logarithm of 0 "
        "or an exp of something large",
    )


def correct(c: Comparison) -> Diagnosis | None:
    scale = max(largest(c.mine), largest(c.reference))
    error = largest(c.mine - c.reference)
    if error <= max(c.tolerance * scale, c.noise):
        return Diagnosis(Kind.CORRECT, "correct")
    if error > (1.0 if c.single else 0.2) * 1e-4 * scale + c.noise:
        return None
    if _structured(c, error):
        return None
    return Diagnosis(
        Kind.FLOAT32,
        f"right up to single precision (relative error {error / scale:.1e}): nothing is wrong but "
        "the dtype, compute in float64 to see more digits",
    )


def _structured(c: Comparison, error: float) -> bool:
    """A small error that is no rounding: a common factor, or some entries only."""
    m, r = c.mine.ravel(), c.reference.ravel()
    seen = np.abs(r) > 1e-3 * largest(r)
    if not seen.any() or (seen.sum() < 3 and not c.single):
        return True
    factor = ratio(m[seen], r[seen])
    if seen.sum() >= 3 and largest(m[seen] - factor * r[seen]) < 0.1 * error:
        return True
    exact = np.abs(m[seen] / r[seen] - 1) < 1e-8
    return not c.single and bool(exact.mean() > 0.5)


def zero(c: Comparison) -> Diagnosis | None:
    if largest(c.reference) <= c.noise:
        return Diagnosis(
            Kind.NOT_ZERO,
            "the gradient must be zero here, what it belongs to does not change the loss, "
            f"but yours has entries up to {largest(c.mine):.3g}",
        )
    if largest(c.mine) <= 1e-12 * largest(c.reference):
        return Diagnosis(
            Kind.ZERO,
            "every entry is zero: it is never computed, never added, or is multiplied "
            "by something that is zero",
        )
    return None


def factor(c: Comparison) -> Diagnosis | None:
    """mine = c · reference."""
    k = ratio(c.mine, c.reference)
    if not k or not c.close(c.mine, k * c.reference):
        return None
    rest = largest(c.mine - k * c.reference)
    if near(k, 1, 1e-3) and rest > 0.1 * largest(c.mine - c.reference):
        return None  # it explains little
    return (
        sign(k)
        or by_batch_size(c, k)
        or by_two(k)
        or by_scalar(c, k)
        or by_size(c, k)
        or _length(c, k)
    )


def sign(k: float) -> Diagnosis | None:
    if not near(k, -1):
        return None
    return Diagnosis(
        Kind.SIGN,
        "every entry has the wrong sign and the right size: a minus is missing or one too many",
    )


def by_batch_size(c: Comparison, k: float) -> Diagnosis | None:
    B = c.batch_size
    if not B or B < 2:
        return None
    if near(abs(k), B):
        message = f"every entry is {times(k)}, and {B} is the batch size: the mean over the batch"
        return Diagnosis(Kind.BATCH_SIZE, message + " is missing")
    if near(abs(k), 1 / B):
        message = f"every entry is {times(k)}, and {B} is the batch size: it is divided by the"
        return Diagnosis(
            Kind.OVER_BATCH_SIZE, message + " batch size twice, or averaged instead of summed"
        )
    return None


def by_two(k: float) -> Diagnosis | None:
    if near(abs(k), 2):
        return Diagnosis(
            Kind.TWICE,
            f"every entry is {times(k)}: a ½ is missing, or the gradient is accumulated twice",
        )
    if near(abs(k), 0.5):
        return Diagnosis(
            Kind.HALF,
            f"every entry is {times(k)}: the 2 from the derivative of a square is missing, or "
            "there is a ½ too many",
        )
    return None


def by_scalar(c: Comparison, k: float) -> Diagnosis | None:
    """A number of the computation is missing, or there twice."""
    for name, term in c.terms.items():
        x = float(term.ravel()[0]) if term.size == 1 else 0.0
        for n, besides in ((1, ""), (c.batch_size or 1, ", and so is the mean over the batch")):
            if x and near(k * x, n):
                return Diagnosis(
                    Kind.FACTOR, f"every entry is {times(k)}: the factor {name} is missing{besides}"
                )
        if x and near(k, x):
            return Diagnosis(
                Kind.FACTOR, f"every entry is {times(k)}: the factor {name} is there twice"
            )
    return None


def by_size(c: Comparison, k: float) -> Diagnosis | None:
    for name, n in c.named_sizes.items():
        if n > 1 and (near(abs(k), n) or near(abs(k), 1 / n)):
            hint = "a mean is missing" if abs(k) > 1 else "a sum was divided by it once too often"
            return Diagnosis(Kind.FACTOR, f"every entry is {times(k)}, and {n} is {name}: {hint}")
    size = c.reference.size
    if c.reference.ndim > 1 and (near(abs(k), size) or near(abs(k), 1 / size)):
        hint = "a mean over all of them is missing" if abs(k) > 1 else "a mean instead of a sum"
        return Diagnosis(
            Kind.FACTOR, f"every entry is {times(k)}, and {size} is the number of entries: {hint}"
        )
    for axis, n in enumerate(c.reference.shape):
        if n > 2 and near(abs(k), n):
            return Diagnosis(
                Kind.BATCH_SIZE if axis == 0 and c.batch_size is None else Kind.FACTOR,
                f"every entry is {times(k)}, and {n} is also the length of axis {axis}: if that is "
                "the batch, the mean over it is missing",
            )
        if n > 2 and near(abs(k), 1 / n):
            return Diagnosis(
                Kind.OVER_BATCH_SIZE if axis == 0 and c.batch_size is None else Kind.FACTOR,
                f"every entry is {times(k)}, and {n} is also the length of axis {axis}: if that is "
                "the batch, the gradient is divided by its size once too often",
            )
    return None


def _length(c: Comparison, k: float) -> Diagnosis:
    norm = float(np.linalg.norm(c.mine))
    tidy = 1.0 if k > 1 else float(f"{norm:.2g}")  # clipping makes nothing longer
    if k > 0 and c.mine.size > 1 and near(norm, tidy, c.precision):
        return Diagnosis(
            Kind.LENGTH,
            f"the direction is right, but the length (L2 norm) is exactly {number(norm)} instead "
            f"of {np.linalg.norm(c.reference):.6g}: it has been normalised or clipped",
        )
    return Diagnosis(
        Kind.FACTOR,
        f"every entry is {times(k)}{_guess(c, abs(k))}: a constant factor is missing, or one too "
        "many",
    )


def _guess(c: Comparison, k: float) -> str:
    """What the number may be, in brackets."""
    for constant, name in CONSTANTS.items():
        if near(k, constant) or near(k, 1 / constant):
            return f" ({number(constant)} is {name})"
    B = c.batch_size or 0
    for n in (2, 3, 4):
        if B > 1 and (near(k, n * B) or near(k, 1 / (n * B))):
            return f" ({n} times the batch size)"
        if B > 1 and (near(k, B / n) or near(k, n / B)):
            return f" (the batch size over {n})"
    keep = min(k, 1 / k)
    if near(keep, round(keep, 2)) and 0 < keep < 1 and not near(1 / keep, round(1 / keep)):
        return f" (1/{round(keep, 2):g}: the scale of inverted dropout?)"
    return ""


def length_of_slices(c: Comparison) -> Diagnosis | None:
    """Each slice along an axis is right up to a positive factor of its own."""
    if c.reference.ndim < 2:
        return None
    for axis, n in enumerate(c.reference.shape):
        m = np.moveaxis(c.mine, axis, 0).reshape(n, -1)
        r = np.moveaxis(c.reference, axis, 0).reshape(n, -1)
        seen = (np.abs(r) > 100 * c.limit).sum(axis=1) >= 3
        if seen.sum() < 2:
            continue
        squares = (r * r).sum(axis=1)
        factors = (m * r).sum(axis=1) / np.where(squares > 0, squares, 1)
        own = [f for f in factors[seen] if not near(f, 1)]
        if min(own, default=0) <= 0 or len(own) <= seen.sum() / 2:
            continue  # not the direction, or a few slices only
        if c.close(m, factors[:, None] * r):
            where = {0: "row", c.reference.ndim - 1: "column"}.get(axis, "slice")
            shown = listed([f"{f:.4g}" for f in factors[indices(seen)]], 4)
            return Diagnosis(
                Kind.LENGTH,
                f"each {where} (along axis {axis}) has the right direction, but its own wrong "
                f"length: factors {shown}; a vector of {n} factors is missing or applied twice",
            )
    return None
