"""Mistakes that can be told because arrays of the computation are known."""

import itertools

import numpy as np

from nnlib.array import Array
from nnlib.check.comparison import Comparison, indices, listed, near, number, ratio
from nnlib.check.diagnosis import Diagnosis, Kind
from nnlib.check.rules.shapes import other_axis


def known(c: Comparison) -> Diagnosis | None:
    if c.mine.shape == c.reference.shape and not c.wrong.any():
        return None
    for sentence, gradient in c.known.items():
        if np.shape(gradient) == c.mine.shape and c.equals(np.asarray(gradient, np.float64)):
            return Diagnosis(Kind.KNOWN, sentence)
    return None


def accumulated(c: Comparison) -> Diagnosis | None:
    if c.previous is None or c.previous.shape != c.mine.shape or not c.previous.any():
        return None
    if not c.close(c.mine - c.reference, c.previous):
        return None
    return Diagnosis(
        Kind.ACCUMULATED,
        "the gradient from before is still in it: clear the gradients before each backward pass",
    )


def derivative(c: Comparison) -> Diagnosis | None:
    """mine · f' = reference, or mine = reference · f'."""
    d = c.derivative
    if d is None or not _fits(d, c) or near(float(d.min()), float(d.max())):
        return None
    if c.close(c.mine * d, c.reference):
        return Diagnosis(
            Kind.DERIVATIVE,
            "every entry lacks the derivative f'(a): multiply by it, element by element",
        )
    if c.equals(c.reference * d):
        return Diagnosis(
            Kind.DERIVATIVE, "the derivative f'(a) has been multiplied in twice, once is right"
        )
    return None


def terms(c: Comparison) -> Diagnosis | None:
    """The difference is one of the known arrays, or the ratio is."""
    difference = c.reference - c.mine
    for name, term in c.terms.items():
        if not _fits(term, c) or not term.any():
            continue
        full = np.broadcast_to(term, c.reference.shape)
        k = ratio(difference, full)
        if k and np.ptp(full) and c.close(difference, k * full, slack=0.01 * c.limit):
            return Diagnosis(Kind.TERM, f"{_missing(name, k)}: the difference is exactly that")
        if c.close(c.mine * full, c.reference) and np.ptp(full):
            return Diagnosis(Kind.ELEMENTWISE, f"the factor {name} is missing in every entry")
        if c.equals(c.reference * full) and np.ptp(full):
            return Diagnosis(Kind.ELEMENTWISE, f"the factor {name} is one too many in every entry")
    return None


def unchanged(c: Comparison) -> Diagnosis | None:
    """It is one of the arrays of the computation."""
    for name, term in c.terms.items():
        if term.shape == c.mine.shape and np.ptp(term) and c.equals(term):
            return Diagnosis(
                Kind.DERIVATIVE,
                f"it is just {name}, passed on unchanged: the derivative is not multiplied in",
            )
    return None


def products(c: Comparison) -> Diagnosis | None:
    """It is a product of two of the arrays, and the reference is theirs with other transposes."""
    if c.reference.ndim != 2:
        return None
    matrices = {name: x for name, x in c.terms.items() if x.ndim == 2}
    for (a, A), (b, B) in itertools.permutations(matrices.items(), 2):
        forms = {
            f"{a}{'.T' * s} @ {b}{'.T' * t}": (X, Y)
            for s, X in enumerate((A, A.T))
            for t, Y in enumerate((B, B.T))
            if (len(X), *Y.shape) == (len(c.reference), X.shape[1], c.reference.shape[1])
        }
        if len(forms) < 2:
            continue
        values = {form: X @ Y for form, (X, Y) in forms.items()}
        is_mine = [form for form, value in values.items() if c.equals(value)]
        right = [form for form, value in values.items() if c.close(c.reference, value)]
        if is_mine and right:
            return Diagnosis(Kind.TRANSPOSED, f"it is {is_mine[0]} and should be {right[0]}")
    return None


def _missing(name: str, k: float) -> str:
    """What has become of a term of which k times is missing."""
    term = name if near(abs(k), 1) else f"{number(abs(k))} · {name}"
    if near(abs(k), 2):
        return f"the term {name} has the wrong sign, or {term} is missing"
    return f"the term {term} is missing" if k > 0 else f"the term {term} does not belong there"


def summands(c: Comparison) -> Diagnosis | None:
    """The reference is a sum over examples or steps, and not all of them arrived."""
    if c.summands is None or c.summands.ndim <= c.reference.ndim:
        return None
    each = c.summands.reshape(-1, *c.reference.shape)
    n = len(each)
    if n < 2 or c.summands.shape[c.summands.ndim - c.reference.ndim :] != c.reference.shape:
        return None
    if axis := other_axis(c, c.summands, c.mine):
        return Diagnosis(Kind.WRONG_AXIS, axis)
    what = "time step" if c.time_axis is not None else "example (or step)"
    for kind, end, at in ((Kind.ONLY_LAST, "last", -1), (Kind.ONLY_FIRST, "first", 0)):
        if c.equals(each[at]) or c.equals(each[at] / n):
            hint = "= where += is needed" if at else "the sum stops after it"
            return Diagnosis(
                kind, f"it holds the contribution of the {end} {what} only, of {n}: {hint}?"
            )
    for i in range(n):
        if c.close(c.mine, c.reference - each[i]) and each[i].any():
            return Diagnosis(
                Kind.TERM, f"the contribution of {what} {i} is missing, of the others all is there"
            )
    return None


def duplicates(c: Comparison) -> Diagnosis | None:
    """Rows whose id occurs once are right, and rows whose id occurs more than once are not."""
    if c.ids is None or c.reference.ndim < 2:
        return None
    if not c.ids.size or c.ids.min() < 0:
        return None
    count = np.bincount(c.ids.ravel(), minlength=len(c.reference))
    if len(count) != len(c.reference) or count.max() < 2:
        return None
    wrong = set(c.slices(0)[1])
    repeated = {i for i in indices(count > 1) if np.abs(c.reference[i]).max() > c.limit}
    if not wrong or not wrong <= repeated or len(wrong) < len(repeated) / 2:
        return None
    share = np.maximum(count, 1).reshape(-1, *[1] * (c.reference.ndim - 1))
    rows = f"rows {listed(sorted(wrong))}" if len(wrong) > 1 else f"row {wrong.pop()}"
    if c.close(c.mine * share, c.reference):
        how = "hold the mean of their contributions and not the sum"
    else:
        how = (
            "do not hold all their contributions: E[ids] += g keeps one for each id, use np.add.at"
        )
    return Diagnosis(Kind.DUPLICATES, f"{rows}, whose ids occur more than once, {how}")


def _fits(x: Array, c: Comparison) -> bool:
    """Whether x can be multiplied into the reference."""
    try:
        return bool(np.broadcast_shapes(x.shape, c.reference.shape) == c.reference.shape)
    except ValueError:
        return False
