"""Learning-rate schedules against their closed forms."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from nnlib.optim import (
    ReduceOnPlateau,
    exponential,
    inverse_time,
    linear,
    step_decay,
    warmup_cosine,
)


def test_step_decay() -> None:
    schedule = step_decay(0.8, factor=0.5, every=3)
    assert [schedule(t) for t in range(7)] == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]


def test_exponential() -> None:
    schedule = exponential(2.0, factor=0.5 ** (1 / 10))
    np.testing.assert_allclose([schedule(t) for t in (0, 10, 30)], [2, 1, 0.25])


def test_inverse_time() -> None:
    schedule = inverse_time(1.0, decay=0.1)
    np.testing.assert_allclose([schedule(t) for t in (0, 10, 90)], [1, 1 / 2, 1 / 10])


def test_linear() -> None:
    schedule = linear(0.025, floor=0.0001, steps=100)
    expected = np.interp([0, 1, 50, 100, 101, 1000], [0, 100], [0.025, 0.0001])
    np.testing.assert_allclose([schedule(t) for t in (0, 1, 50, 100, 101, 1000)], expected)


def test_warmup_cosine() -> None:
    schedule = warmup_cosine(1.0, warmup=4, steps=12, floor=0.2)
    np.testing.assert_allclose([schedule(t) for t in range(4)], [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose([schedule(t) for t in (4, 8, 12, 99)], [1, 0.6, 0.2, 0.2])
    assert schedule(6) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert warmup_cosine(1.0, warmup=0, steps=1)(0) == 1


def test_reduce_on_plateau() -> None:
    plateau = ReduceOnPlateau(lr=1.0, factor=0.5, patience=2, threshold=0.1)
    # 9.5 is not 10 % better than 10; 8 is
    rates = [plateau(metric) for metric in (10.0, 9.5, 8.0, 7.9, 7.8, 7.7, 7.6, 5.0)]
    assert rates == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert plateau.best == 5


def test_reduce_on_plateau_cooldown_floor_and_direction() -> None:
    plateau = ReduceOnPlateau(lr=1.0, factor=0.1, patience=1, cooldown=2, floor=0.05, maximize=True)
    assert [plateau(recall) for recall in (0.3, 0.4)] == [1, 1]
    assert [plateau(0.2) for _ in range(4)] == [0.1, 0.1, 0.1, 0.05]  # two evaluations of rest
    assert plateau(math.nan) == 0.05
    assert plateau.best == 0.4


def test_a_first_nan_is_no_best() -> None:
    plateau = ReduceOnPlateau(lr=1.0, factor=0.5, patience=1)
    assert [plateau(metric) for metric in (math.nan, 3.0, math.nan)] == [0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: step_decay(0, 0.5, 1), "lr=0"),
        (lambda: step_decay(1, 1.5, 1), "factor=1.5"),
        (lambda: step_decay(1, 0.5, 0), "every=0"),
        (lambda: exponential(1, 0), "factor=0"),
        (lambda: exponential(math.nan, 0.5), "lr=nan"),
        (lambda: inverse_time(1, -1), "decay=-1"),
        (lambda: inverse_time(0, 1), "lr=0"),
        (lambda: linear(-1, -1, 10), "lr=-1"),
        (lambda: warmup_cosine(math.inf, 1, 10), "lr=inf"),
        (lambda: warmup_cosine(1, 0, 0), "steps=0"),
        (lambda: linear(1, 2, 10), "floor=2"),
        (lambda: linear(1, 0, 0), "steps=0"),
        (lambda: warmup_cosine(1, 10, 10), r"warmup=10: .* steps - 1 = 9"),
        (lambda: warmup_cosine(1, 1, 10, floor=-1), "floor=-1"),
        (lambda: ReduceOnPlateau(lr=0, floor=0), "lr=0"),
        (lambda: ReduceOnPlateau(lr=1, factor=0), "factor=0"),
        (lambda: ReduceOnPlateau(lr=1, patience=0), "patience=0"),
        (lambda: ReduceOnPlateau(lr=1, threshold=math.nan), "threshold=nan"),
        (lambda: ReduceOnPlateau(lr=1, cooldown=-1), "cooldown=-1"),
        (lambda: ReduceOnPlateau(lr=1, floor=2), "floor=2"),
    ],
)
def test_ranges(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
