"""What is wrong with a gradient, in words.

Every rule in `nnlib.check.rules` knows one mistake and what it does to the numbers; the first that
explains all of them has found it.  Rules that need the context of the computation come before
those that guess.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nnlib.array import Array, to_host
from nnlib.check.comparison import Comparison, times
from nnlib.check.diagnosis import Diagnosis, Kind
from nnlib.check.rules import context, guesses, places, shapes, values

Rule = Callable[[Comparison], Diagnosis | None]

FIRST: tuple[Rule, ...] = (
    context.known,
    shapes.wrong_shape,
    values.not_finite,
    values.correct,
    values.zero,
    context.accumulated,
    values.factor,
)
STRUCTURE: tuple[Rule, ...] = (
    context.derivative,
    context.terms,
    context.unchanged,
    context.products,
    context.summands,
    context.duplicates,
    places.transposed,
    places.reversed_or_shifted,
    places.blocks_swapped,
    places.permuted,
    guesses.absolute,
    guesses.mask,
    guesses.branch,
    guesses.target,
    values.length_of_slices,
    places.one_end,
    places.one_block,
    places.some_slices,
    guesses.signs,
    guesses.constant_along_axis,
    guesses.too_large,
    places.scattered,
)
LAST: tuple[Rule, ...] = (guesses.same_total, guesses.same_signs, guesses.related)


def diagnose(
    mine: Any,
    reference: Any,
    *,
    batch_size: int | None = None,
    sizes: Mapping[str, int] | None = None,
    time_axis: int | None = None,
    ids: Array | None = None,
    derivative: Array | None = None,
    gates: int | Sequence[str] = (),
    terms: Mapping[str, Array] | None = None,
    summands: Array | None = None,
    previous: Array | None = None,
    known: Mapping[str, Array] | None = None,
    names: Sequence[str] = (),
    tolerance: float = 1e-6,
    noise: float = 0.0,
) -> Diagnosis:
    """Name the mistake in the gradient `mine`, given the right one.

    The two arrays are enough for most mistakes; what else is known makes the answer sharper.

    Arguments
        mine, reference: arrays, or tuples or dicts of them: then one diagnosis each, in `parts`,
            and one of all
        batch_size: B, to recognise a missing or doubled mean over the batch
        sizes: other sizes by name, {"T": 20}, to recognise in factors
        time_axis: of `reference`; without it, axis 0 of three is taken for time
        ids: which row each contribution belongs to, for the gradient of an embedding's rows
        derivative: f'(a), of a shape that multiplies into `reference`
        gates: names or number of the equal blocks of columns, ("r", "z", "n")
        terms: arrays of the computation by name, any of which may be missing as a term or factor
        summands: the contribution of each example or time step; `reference` is their sum over the
            leading axes
        previous: what the gradient held before
        known: wrong gradients by the sentence that describes them
        names: of the arrays of a tuple, for the messages
        tolerance: on max |mine − reference| / max(|mine|, |reference|), as in `check_gradients`
        noise: absolute error of the reference, where it is a numeric gradient
    Raises
        TypeError: `reference` has several arrays and `mine` has not, or has others.
    """
    options = {
        "batch_size": batch_size,
        "sizes": dict(sizes or {}),
        "time_axis": time_axis,
        "ids": None if ids is None else np.asarray(to_host(ids)),
        "derivative": _float64(derivative),
        "gates": tuple(map(str, range(1, gates + 1))) if isinstance(gates, int) else tuple(gates),
        "terms": {name: _float64(x) for name, x in (terms or {}).items()},
        "summands": _float64(summands),
        "previous": _float64(previous),
        "known": dict(known or {}),
        "tolerance": tolerance,
        "noise": noise,
    }
    several = isinstance(reference, tuple | Mapping)
    if several or (isinstance(reference, list) and any(np.ndim(x) for x in reference)):
        return _several(mine, reference, names, options)
    return _one(mine, reference, options)


def _one(mine: Any, reference: Any, options: dict[str, Any]) -> Diagnosis:
    if mine is None:
        return Diagnosis(Kind.MISSING, "there is no gradient: it was never computed or returned")
    m, r = _float64(mine), _float64(reference)
    single = _is_single(mine) or _is_single(reference)
    single = single or (_fits_in_float32(m) and not _fits_in_float32(r))
    c = Comparison(m, r, single, **options)
    with np.errstate(all="ignore"):
        for rule in (*FIRST, *STRUCTURE):
            if found := rule(c):
                return found
        guess = next(filter(None, (rule(c) for rule in LAST)), None)
        return _besides_a_factor(c) or guess or guesses.unrelated(c)


def _besides_a_factor(c: Comparison) -> Diagnosis | None:
    """Two mistakes at once: a well-known factor, and one of STRUCTURE."""
    sizes = [n for n in (c.batch_size, *c.sizes.values()) if n and n > 1]
    factors = dict.fromkeys(k for n in (1, 2, *sizes) for k in (-n, n, 1 / n, -1 / n) if k != 1)
    for k, rule in itertools.product(factors, STRUCTURE):
        if (found := rule(c.of(c.mine / k))) and found.kind is not Kind.PARTLY:
            message = f"{found.message}; besides, every entry is {times(k)}"
            return Diagnosis(found.kind, message)
    return None


def _several(mine: Any, reference: Any, names: Sequence[str], options: dict[str, Any]) -> Diagnosis:
    if isinstance(reference, Mapping):
        keys, references = list(reference), list(reference.values())
        if not isinstance(mine, Mapping):
            raise TypeError(f"mine must be a dict of gradients as the reference is, of {keys}")
        names, mines = [str(key) for key in keys], [mine.get(key) for key in keys]
    else:
        references = list(reference)
        if not isinstance(mine, tuple | list) or len(mine) != len(references):
            raise TypeError(f"mine must be {len(references)} gradients in a tuple, as reference is")
        mines = list(mine)
        names = [*names, *(f"gradient {i}" for i in range(len(names), len(references)))]
    parts = {name: _one(m, r, options) for name, m, r in zip(names, mines, references, strict=True)}
    bad = {name: part for name, part in parts.items() if not part.correct}
    if not bad:
        kind = Kind.FLOAT32 if any(p.kind is Kind.FLOAT32 for p in parts.values()) else Kind.CORRECT
        message = next((p.message for p in parts.values() if p.kind is kind), "correct")
        return Diagnosis(kind, message, parts)
    for i, j in itertools.combinations(range(len(names)), 2):
        crossed = ((mines[i], references[j]), (mines[j], references[i]))
        if names[i] in bad and names[j] in bad and all(_is(m, r, options) for m, r in crossed):
            message = f"{names[i]} and {names[j]} have each other's gradient: swap them"
            return Diagnosis(Kind.SWAPPED, message, parts)
    if len(bad) == len(parts) > 1 and len({part.message for part in bad.values()}) == 1:
        first = next(iter(bad.values()))
        return Diagnosis(first.kind, f"in all {len(bad)} gradients: {first.message}", parts)
    first = next(iter(bad.values()))
    message = "; ".join(f"{name}: {part.message}" for name, part in bad.items())
    return Diagnosis(first.kind, message, parts)


def _is(mine: Any, reference: Any, options: dict[str, Any]) -> bool:
    return mine is not None and _one(mine, reference, options).correct


def _float64(x: Any) -> Any:
    if x is None:
        return None
    return np.asarray(to_host(x) if hasattr(x, "dtype") else x, np.float64)


def _is_single(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    return dtype is not None and dtype.kind == "f" and dtype.itemsize < 8


def _fits_in_float32(x: Array) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.array_equal(x.astype(np.float32), x, equal_nan=True))
