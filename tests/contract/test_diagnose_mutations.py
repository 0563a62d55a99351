"""`diagnose` names what was done to a right gradient.

The gradients of the library's cases are broken one way at a time, as a slip in their backward
would, and compared with central differences.  Sizes are all different and none is 2, so that a
factor has one explanation and no transposition fits by chance; a second set, all equal, is for
what needs square arrays.  A breakage is not tried where it changes nothing, where too few entries
are left to see it, or where another one of a different kind makes the same array: such pairs are
counted and few.  The rules were written with these very breakages in view, so that the rate says
that they do not get in each other's way, not how many of a student's mistakes have a name.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.check import diagnose
from nnlib.check.cases import CASES, SIZES, Case, Sizes
from nnlib.check.diagnosis import Diagnosis, Kind
from nnlib.check.gradients import differences, gradients, rounding
from nnlib.check.subject import as_tuple, cast_copy, named, values_in

DIFFERENT = Sizes(B=5, T=4, I=6, O=9, H=8, N=11)
SQUARE = Sizes(B=6, T=6, I=6, O=6, H=6, N=6)
ELEMENTWISE = ("sigmoid", "tanh", "elu", "softplus")  # functions with 0 < f' ≤ 1


class Target(NamedTuple):
    """The gradient of one array of a case, and what its backward is made of."""

    case: Case
    name: str
    is_parameter: bool
    x: Array  # the array
    right: Array  # its gradient by the backward
    numeric: Array  # by central differences
    noise: float  # of the differences
    sizes: Sizes
    dys: list[Array]
    inputs: list[Array]
    other: Array  # its gradient for another dy
    weights: Array  # the first parameter
    by_row: Array  # the parts of `right` that come from each slice along axis 0 of the output

    @property
    def batch_size(self) -> int:
        return self.sizes.B

    @property
    def over_time(self) -> bool:
        return self.right.ndim == 3


def targets(case: Case, sizes: Sizes, seed: int = 0) -> list[Target]:
    rng = np.random.default_rng(seed)
    f, inputs, params = case.make(rng, sizes)
    parameters = named(f, params)
    copies = [cast_copy(x, np.float64) for x in inputs]

    def by(dys: list[Array]) -> list[Array]:
        for p in parameters.values():
            p.clear()
        _, backward = f(*copies)
        found = gradients(f, backward, copies, dys, parameters)
        return [np.zeros_like(x) if g is None else np.asarray(g) for _, x, g in found]

    def evaluate() -> list[Array]:
        return [np.array(part, copy=True) for part in as_tuple(f(*copies)[0])]

    with values_in(np.float64, parameters.values()):
        outputs = evaluate()
        dys, others = ([rng.normal(size=y.shape) for y in outputs] for _ in range(2))
        names = [(name, x) for name, x, _ in gradients(f, f(*copies)[1], copies, dys, parameters)]
        right, other = by(dys), by([np.asarray(dy) for dy in others])
        rows = [
            by([only(dy, t) for dy in dys])
            for t in range(len(outputs[0]) if outputs[0].ndim else 0)
        ]
        return [
            Target(
                case,
                name,
                not any(x is other for other in copies),
                x.copy(),
                right[i],
                differences(evaluate, x, dys, 1e-6),
                rounding(x, outputs, dys, 1e-6),
                sizes,
                dys,
                copies,
                other[i],
                next((p.value.copy() for p in parameters.values()), x),
                np.array([row[i] for row in rows]),
            )
            for i, (name, x) in enumerate(names)
        ]


def only(dy: Array, t: int) -> Array:
    """dy without its other slices along axis 0."""
    return np.where(np.arange(len(dy)).reshape(-1, *[1] * (dy.ndim - 1)) == t, dy, 0.0)


class Breakage(NamedTuple):
    kind: Kind
    how: str
    mine: Array | None
    context: dict[str, Any]
    reference: Array | None = None  # the right one, if it is not the target's


def breakages(t: Target, rng: np.random.Generator) -> Iterator[Breakage]:
    g = t.right
    yield from values(t, g, rng)
    yield from factors(t, g, rng)
    yield from parts(t, g)
    if g.ndim >= 2 and min(g.shape) >= 3:
        yield from places(t, g, rng)
    if g.shape[-1:] == (3 * t.sizes.H,) and g.ndim:
        yield from gates(t, g, rng)
    if t.over_time:
        yield from times(t, g)


def values(t: Target, g: Array, rng: np.random.Generator) -> Iterator[Breakage]:
    B = t.batch_size
    yield Breakage(Kind.MISSING, "None", None, {})
    yield Breakage(Kind.ZERO, "zeros", np.zeros_like(g), {})
    yield Breakage(Kind.NOT_ZERO, "should be zeros", g, {}, np.zeros_like(g))
    yield Breakage(Kind.NOT_FINITE, "inf", g / np.zeros_like(g), {})
    one = g.copy()
    one.flat[g.size // 2] = np.nan
    yield Breakage(Kind.NOT_FINITE, "a NaN", one, {})
    yield Breakage(Kind.SHAPE, "another axis", g[None], {})
    if g.ndim > 1:
        yield Breakage(Kind.SHAPE, "flat", g.ravel(), {})
    noisy = g * (1 + 4e-6 * rng.normal(size=g.shape))
    yield Breakage(Kind.FLOAT32, "a noise of 4e-6", noisy, {})
    single = (g * (1 + 4e-6 * rng.normal(size=g.shape))).astype(np.float32)
    yield Breakage(Kind.FLOAT32, "float32 and a noise of 4e-6", single, {})
    for k in (B, -B):
        yield Breakage(Kind.BATCH_SIZE, f"* {k}", g * k, {"batch_size": B})
    yield Breakage(Kind.OVER_BATCH_SIZE, "/ B", g / B, {"batch_size": B})
    yield Breakage(Kind.TWICE, "* 2", g * 2, {"batch_size": B})
    yield Breakage(Kind.HALF, "/ 2", g / 2, {})
    yield Breakage(Kind.SIGN, "* -1", -g, {})
    for k in (3.7, -0.3, 1.0001, t.sizes.T):
        yield Breakage(Kind.FACTOR, f"* {k}", g * k, {"sizes": {"T": t.sizes.T}, "batch_size": B})
    if g.size >= 3:
        yield Breakage(Kind.LENGTH, "of length 1", g / np.linalg.norm(g), {})
        yield Breakage(Kind.SIGN, "abs", np.abs(g), {})
        yield Breakage(Kind.ACCUMULATED, "+=", g + t.other, {"previous": t.other})
        known = {"that old mistake": t.other + g}
        yield Breakage(Kind.KNOWN, "a known one", g + t.other, {"known": known})
    if g.size >= 12:
        noise = rng.normal(size=g.shape)
        noise -= g * np.vdot(noise, g) / np.vdot(g, g)  # at right angles, whatever the seed
        noise *= np.linalg.norm(g) / np.linalg.norm(noise)
        yield Breakage(Kind.UNRELATED, "noise", noise, {})
        yield Breakage(Kind.TERM, "half noise", g + 0.3 * noise, {})


def factors(t: Target, g: Array, rng: np.random.Generator) -> Iterator[Breakage]:
    if g.size < 6:
        return
    d = rng.uniform(0.05, 0.95, size=g.shape)
    yield Breakage(Kind.DERIVATIVE, "without f'", g / d, {"derivative": d})
    yield Breakage(Kind.DERIVATIVE, "f' twice", g * d, {"derivative": d})
    if g.size >= 12:
        yield Breakage(Kind.DERIVATIVE, "without f', unknown", g / d, {})
        yield Breakage(Kind.DERIVATIVE, "f' twice, unknown", g * d, {})
        stretch = np.exp(rng.normal(0, 1, size=g.shape))
        yield Breakage(Kind.ELEMENTWISE, "a positive factor, unknown", g * stretch, {})
    z = rng.normal(size=g.shape)
    yield Breakage(Kind.ELEMENTWISE, "without ⊙ z", g, {"terms": {"z": z}}, t.numeric * z)
    yield Breakage(Kind.ELEMENTWISE, "⊙ z twice", g * z, {"terms": {"z": z}})
    decay = 0.01 * t.x
    if np.ptp(t.x) and t.x.size > 2:
        context = {"terms": {"dy": rng.normal(size=g.shape), "W": t.x}}
        yield Breakage(Kind.TERM, "without weight decay", g, context, t.numeric + decay)
        yield Breakage(
            Kind.TERM, "weight decay with a minus", g - decay, context, t.numeric + decay
        )
    if t.case.name in ELEMENTWISE:
        dy, x = t.dys[0], t.inputs[0]
        yield Breakage(Kind.DERIVATIVE, "dy itself, unknown", dy, {})
        yield Breakage(Kind.DERIVATIVE, "dy itself", dy, {"terms": {"dy": dy, "x": x}})
        branch = np.where(x > 0, dy, g)
        yield Breakage(Kind.BRANCH, "one branch", branch, {"terms": {"dy": dy, "x": x}})
    if t.case.name == "relu":
        yield Breakage(Kind.DERIVATIVE, "without the mask", t.dys[0], {})
    if t.case.name == "cross_entropy":
        rows, columns = np.nonzero(g * t.dys[0] < 0)
        without = g.copy()
        without[rows, columns] += 1 / t.batch_size * t.dys[0]
        if len(rows) == len(g) and len(set(columns)) > 1:
            yield Breakage(Kind.TARGET, "without − 1 at the target", without, {})
    if t.case.name == "Embedding":
        ids = t.inputs[0]
        lost = np.zeros_like(g)
        lost[ids.ravel()] = t.dys[0].reshape(-1, g.shape[-1])
        count = np.maximum(np.bincount(ids.ravel(), minlength=len(g)), 1)[:, None]
        for how, mine in (("E[ids] = dy", lost), ("mean of duplicates", g / count)):
            yield Breakage(Kind.DUPLICATES, how, mine, {"ids": ids})
        rows = t.dys[0]
        yield Breakage(Kind.NOT_SUMMED, "rows of the ids", rows, {"ids": ids})


def parts(t: Target, g: Array) -> Iterator[Breakage]:
    """Gradients of parameters are sums over the output's slices."""
    each = t.by_row
    if len(each) < 3 or not t.is_parameter or any(not np.abs(part).max() for part in each):
        return
    known = {"summands": each}
    yield Breakage(Kind.NOT_SUMMED, "each example's", each, {})
    yield Breakage(Kind.ONLY_LAST, "= for +=", each[-1], known)
    yield Breakage(Kind.ONLY_FIRST, "the first alone", each[0], known)
    yield Breakage(Kind.TERM, "without one example", g - each[1], known)
    yield Breakage(Kind.OVER_BATCH_SIZE, "mean", each.mean(0), {"batch_size": len(each)})
    if g.ndim == 1:
        yield Breakage(Kind.WRONG_AXIS, "sum over the other axis", each.sum(axis=1), {})
        yield Breakage(Kind.WRONG_AXIS, "mean over the other axis", each.mean(axis=1), known)


def places(t: Target, g: Array, rng: np.random.Generator) -> Iterator[Breakage]:
    yield Breakage(Kind.TRANSPOSED, ".T", g.T, {})
    yield Breakage(Kind.TRANSPOSED, ".T.reshape", g.T.reshape(g.shape), {})
    yield Breakage(Kind.REVERSED, "[::-1]", g[::-1], {})
    yield Breakage(Kind.SHIFTED, "roll", np.roll(g, 1, axis=0), {})
    late = np.zeros_like(g)
    late[:-1] = g[1:]
    yield Breakage(Kind.SHIFTED, "one too early", late, {})
    shuffled = rng.permutation(len(g))
    yield Breakage(Kind.PERMUTED, "rows shuffled", g[shuffled], {})
    yield Breakage(Kind.PERMUTED, "all shuffled", rng.permutation(g.ravel()).reshape(g.shape), {})
    for axis in range(g.ndim):
        yield Breakage(Kind.WRONG_AXIS, f"sum over axis {axis}", g.sum(axis=axis), {})
        mean = np.broadcast_to(g.mean(axis=axis, keepdims=True), g.shape)
        yield Breakage(Kind.WRONG_AXIS, f"mean over axis {axis}, spread", mean, {})
    centred = g - (g.mean(axis=-1, keepdims=True) + np.abs(g).max(axis=-1, keepdims=True))
    yield Breakage(Kind.TERM, "a term along the rows", centred, {})
    row = g.copy()
    row[1] = 0
    yield Breakage(Kind.PARTLY, "a row of zeros", row, {})
    column = g.copy()
    column[..., 1] *= 3
    yield Breakage(Kind.PARTLY, "a column times 3", column, {})
    some = g.copy()
    some.flat[[1, g.size - 2]] *= -1.5
    yield Breakage(Kind.PARTLY, "two entries", some, {})
    for axis in range(g.ndim):
        shape = [1] * g.ndim
        shape[axis] = -1
        c = rng.uniform(0.3, 3, size=g.shape[axis]).reshape(shape)
        yield Breakage(Kind.LENGTH, f"factors along axis {axis}", g * c, {})


def gates(t: Target, g: Array, rng: np.random.Generator) -> Iterator[Breakage]:
    a, b, c = np.split(g, 3, axis=-1)
    for context in ({}, {"gates": ("r", "z", "n")}):
        for order in ((b, a, c), (c, b, a), (b, c, a)):
            yield Breakage(Kind.BLOCKS_SWAPPED, "gates", np.concatenate(order, -1), context)
        for how, wrong in (("zero", 0 * b), ("sign", -b), ("noise", b + rng.normal(size=b.shape))):
            mine = np.concatenate((a, wrong, c), -1)
            yield Breakage(Kind.BLOCK, f"one gate {how}", mine, context)


def squares(t: Target) -> Iterator[Breakage]:
    """What can be mistaken only where axes are equally long."""
    g, each = t.right, t.by_row
    if g.ndim == 2 and g.shape[0] == g.shape[1] >= 3:
        yield Breakage(Kind.TRANSPOSED, ".T", g.T, {})
        yield Breakage(Kind.TRANSPOSED, "-2 .T", -2 * g.T, {})
    if g.ndim == 3 and len(set(g.shape)) == 1:
        for axes in itertools.permutations(range(3)):
            yield Breakage(Kind.TRANSPOSED, f"transpose {axes}", g.transpose(axes), {})
    if g.ndim == 1 and len(each) == len(g):
        yield Breakage(Kind.WRONG_AXIS, "sum over the other axis", each.sum(axis=1), {})
        context = {"summands": each}
        yield Breakage(Kind.WRONG_AXIS, "mean over the other axis", each.mean(axis=1), context)
    if t.name == "x" and t.case.name == "Dense":
        W, dy = t.weights, t.dys[0]
        context = {"terms": {"dy": dy, "W": W, "x": t.x}}
        yield Breakage(Kind.TRANSPOSED, "dy @ W", dy @ W, context)
    if t.name == "W" and t.case.name == "Dense":
        dy, x = t.dys[0], t.inputs[0]
        context = {"terms": {"dy": dy, "W": t.x, "x": x}}
        yield Breakage(Kind.TRANSPOSED, "x @ dy", x @ dy, context)


def times(t: Target, g: Array) -> Iterator[Breakage]:
    zeros_before, zeros_after = np.zeros_like(g), np.zeros_like(g)
    zeros_before[-1], zeros_after[0] = g[-1], g[0]
    for context in ({}, {"time_axis": 0}):
        yield Breakage(Kind.ONLY_LAST, "zeros before", zeros_before, context)
        yield Breakage(Kind.ONLY_FIRST, "zeros after", zeros_after, context)
        if len(t.by_row) == len(g):
            yield Breakage(Kind.ONLY_LAST, "dy of the last step", t.by_row[-1], context)


def same(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return False
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    scale = min(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return bool(np.abs(a - b).max(initial=0) <= 1e-5 * scale)


def visible(t: Target, b: Breakage) -> bool:
    """It changes something and leaves something."""
    if b.mine is None or b.reference is not None or b.mine.shape != t.right.shape:
        return True
    if b.kind is not Kind.ZERO and np.abs(b.mine).max() < 1e-9 * np.abs(t.right).max():
        return False
    return b.kind is Kind.FLOAT32 or not same(b.mine, t.right)


class Outcome(NamedTuple):
    kind: Kind  # what was done
    what: str
    diagnosis: Diagnosis | None  # None: another kind of breakage makes the same array


def outcomes(case: Case, sizes: Sizes, seed: int = 0) -> Iterator[Outcome]:
    rng = np.random.default_rng(seed + 1)
    for t in targets(case, sizes, seed):
        made = squares(t) if sizes is SQUARE else breakages(t, rng)
        with np.errstate(all="ignore"):
            tried = [b for b in made if visible(t, b)]
        for b in tried:
            what = f"{case.name}: {t.name} {t.right.shape}: {b.how}"
            rivals = (o for o in tried if o.reference is b.reference and o.kind is not b.kind)
            described = b.kind in (Kind.KNOWN, Kind.ACCUMULATED)  # told apart by the context
            if not described and any(same(b.mine, o.mine) for o in rivals):
                yield Outcome(b.kind, what, None)
                continue
            reference = t.numeric if b.reference is None else b.reference
            yield Outcome(b.kind, what, diagnose(b.mine, reference, noise=t.noise, **b.context))


def told(results: list[Outcome]) -> str:
    """Rates, the confusion and what was misnamed, for the message of a failure."""
    wrong = [r for r in results if r.diagnosis and r.diagnosis.kind is not r.kind]
    pairs = Counter((r.kind.value, r.diagnosis.kind.value) for r in wrong if r.diagnosis)
    lines = [f"{len(wrong)} of {len(results)} misnamed"]
    lines += [f"{n:5}  {kind} called {named}" for (kind, named), n in pairs.most_common()]
    lines += [f"  {r.what}: {r.diagnosis}" for r in wrong[:20]]
    return "\n".join(lines)


def rate(results: list[Outcome]) -> float:
    return float(np.mean([r.diagnosis is not None and r.diagnosis.kind is r.kind for r in results]))


# To be broken: an example of each public name, the first one.  The others differ in options only.
BROKEN = list({case.target: case for case in reversed(CASES)}.values())[::-1]


@pytest.fixture(scope="module")
def results() -> list[Outcome]:
    different = [r for case in BROKEN for r in outcomes(case, DIFFERENT)]
    return different + [r for case in BROKEN[::2] for r in outcomes(case, SQUARE)]


@pytest.mark.slow
def test_there_is_enough_to_name(results: list[Outcome]) -> None:
    tried = [r for r in results if r.diagnosis]
    assert len({r.what.split(":")[0] for r in tried}) >= 20
    # SWAPPED needs two gradients: see tests/check/test_diagnose.py
    assert {r.kind for r in tried} == set(Kind) - {Kind.CORRECT, Kind.SWAPPED}
    ambiguous = {r.what for r in results} - {r.what for r in tried}
    assert len(ambiguous) < 0.05 * len(results), ambiguous


@pytest.mark.slow
def test_breakages_are_named(results: list[Outcome]) -> None:
    tried = [r for r in results if r.diagnosis]
    assert rate(tried) >= 0.95, told(tried)
    by_kind = {kind: [r for r in tried if r.kind is kind] for kind in {r.kind for r in tried}}
    weak = {kind: r for kind, r in by_kind.items() if rate(r) < 0.9}
    assert not weak, "\n".join(told(r) for r in weak.values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_breakages_are_named_for_other_numbers(seed: int) -> None:
    tried = [r for case in BROKEN for r in outcomes(case, DIFFERENT, seed) if r.diagnosis]
    assert rate(tried) >= 0.95, told(tried)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_right_gradients_are_never_accused(case: Case) -> None:
    """For several seeds and sizes, a size of 1 among them, and in single precision."""
    ones = Sizes(B=3, T=2, I=1, O=2, H=2, N=4)
    for seed, sizes in enumerate((DIFFERENT, SQUARE, SIZES, ones)):
        context: dict[str, Any] = {"batch_size": sizes.B, "sizes": {"T": sizes.T}, "time_axis": 0}
        for t in targets(case, sizes, seed):
            found = diagnose(t.right, t.numeric, noise=t.noise, terms={"x": t.x}, **context)
            assert found.kind is Kind.CORRECT, f"{t.name} {t.right.shape}: {found}"
            single = single_precision(t, sizes, seed)
            found = diagnose(single, t.numeric, noise=t.noise, terms={"x": t.x}, **context)
            assert found.correct, f"{t.name} {t.right.shape} in float32: {found}"


def single_precision(t: Target, sizes: Sizes, seed: int) -> Array:
    """The gradient of the target, computed in float32."""
    f, inputs, params = t.case.make(np.random.default_rng(seed), sizes)
    parameters = named(f, params)
    copies = [cast_copy(x, np.float32) for x in inputs]
    dys = [dy.astype(np.float32) for dy in t.dys]
    with values_in(np.float32, parameters.values()):
        found = gradients(f, f(*copies)[1], copies, dys, parameters)
        [g] = [g for name, _, g in found if name == t.name]
    assert g is not None
    assert g.dtype == np.float32
    return g
