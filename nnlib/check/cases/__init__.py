"""The one list of what can be differentiated in nnlib, each with an example to check it on.

The tests draw sizes and seeds for these cases; `nnlib gradcheck` runs them as they are.  Biases
and states are random, never zeros, which hide the terms they multiply, and inputs keep 0.01 away
from kinks, where differences have no meaning.  One file to a theme: each has a list of its own.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from nnlib.check.cases import (
    activations,
    layers,
    losses,
    norm_keeping,
    recurrent,
    sequences,
    trees,
    word2vec,
)
from nnlib.check.cases.case import SIZES, Case, Sizes, Subject, away, scrambled
from nnlib.check.contract import check_contract
from nnlib.check.gradients import check_gradients
from nnlib.check.report import GradientReport

__all__ = [
    "CASES",
    "SIZES",
    "Case",
    "Sizes",
    "Subject",
    "away",
    "run",
    "run_cases",
    "scrambled",
    "select",
]

CASES: tuple[Case, ...] = (
    *activations.cases(),
    *layers.cases(),
    *recurrent.cases(),
    *sequences.cases(),
    *norm_keeping.cases(),
    *trees.cases(),
    *word2vec.cases(),
    *losses.cases(),
)


def run_cases(
    names: Sequence[str] | None = None, *, seed: int = 0, sizes: Sizes = SIZES
) -> Iterator[GradientReport]:
    """Check the named cases, or all, one after another: gradients in float64, contract in both.

    Arguments
        names: whole names of cases, or public names for all their cases
        seed: of the examples' numbers
    Raises
        ValueError: there is no such case; the message lists those there are.
    """
    for case in select(names):
        yield run(case, np.random.default_rng(seed), sizes)


def run(case: Case, rng: np.random.Generator, sizes: Sizes) -> GradientReport:
    """Check one case on numbers drawn from `rng`."""
    f, inputs, params = case.make(rng, sizes)
    report = check_gradients(f, *inputs, params=params, rng=rng)
    single = check_contract(f, *inputs, params=params, rng=rng, dtype=np.float32)
    problems = [*report.problems, *(f"in float32: {problem}" for problem in single)]
    return replace(report, name=case.name, problems=tuple(problems))


def select(names: Sequence[str] | None) -> list[Case]:
    """The cases of these names, in the order of the list."""
    if names is None:
        return list(CASES)
    public = {case.target.__name__ for case in CASES}
    for name in names:
        if name not in public and all(name != case.name for case in CASES):
            by_any_case = {known.lower(): known for known in public}
            near = difflib.get_close_matches(name.lower(), by_any_case, n=1)
            meant = f" (did you mean {by_any_case[near[0]]!r}?)" if near else ""
            raise ValueError(f"no case {name!r}{meant}; there are: {', '.join(sorted(public))}")
    return [case for case in CASES if case.name in names or case.target.__name__ in names]
