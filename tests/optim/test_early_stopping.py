"""Early stopping: when it stops, and what it brings back."""

import math

import numpy as np
import pytest

from nnlib.optim import EarlyStopping
from nnlib.parameter import Parameter


def watch(metrics: list[float], **settings: float) -> tuple[int, float, EarlyStopping]:
    """Evaluations until it stops, the value brought back; the value at evaluation i is i."""
    p = Parameter(np.zeros(2))
    stopping = EarlyStopping([p, p], **settings)  # type: ignore[arg-type]
    for i, metric in enumerate(metrics, start=1):
        p.value[:] = i
        if stopping(metric):
            break
    stopping.restore()
    assert p.value[0] == p.value[1]
    return i, p.value[0], stopping


@pytest.mark.parametrize(
    ("metrics", "settings", "stops", "best"),
    [
        ([3, 2, 1, 2, 2, 2], {"patience": 2}, 5, 3),
        ([3, 2, 1, 2, 0, 2, 3, 0], {"patience": 2}, 7, 5),
        ([3, 2, 2, 2], {"patience": 1}, 3, 2),  # a tie is no improvement
        ([1, 2, 3, 2, 2], {"patience": 2, "maximize": True}, 5, 3),
        ([100, 99.5, 99, 98.4, 98], {"patience": 3, "threshold": 0.01}, 5, 4),
        ([-100, -100.5, -102], {"patience": 3, "threshold": 0.01}, 3, 3),
        ([math.nan, 5, math.nan, math.nan], {"patience": 2}, 4, 2),
        ([math.nan, math.nan, math.nan], {"patience": 2}, 2, 0),
        ([2, 1, 3], {"patience": 9}, 3, 2),
    ],
)
def test_stops_and_restores(
    metrics: list[float], settings: dict[str, float], stops: int, best: int
) -> None:
    stopped, value, stopping = watch(metrics, **settings)
    assert (stopped, value) == (stops, best)
    assert stopping.best_evaluation == best
    if best:
        assert stopping.best == metrics[best - 1]
    else:
        assert math.isnan(stopping.best)


def test_parameters_are_copied_and_gradients_forgotten() -> None:
    p = Parameter(np.ones(3, np.float32))
    value = p.value
    stopping = EarlyStopping([p])
    stopping(1.0)
    p.value += 1
    p.accumulate(np.ones(3, np.float32))
    stopping(2.0)
    stopping.restore()
    assert p.value is value, "written into the same array"
    assert p.value.dtype == np.float32
    np.testing.assert_array_equal(p.value, 1)
    assert p.grad is None
    p.value += 5
    stopping.restore()
    np.testing.assert_array_equal(p.value, 1)


def test_ranges() -> None:
    p = [Parameter(np.zeros(1))]
    with pytest.raises(ValueError, match="patience=0: it must be at least 1"):
        EarlyStopping(p, patience=0)
    with pytest.raises(ValueError, match=r"threshold=-1\.0: it must be finite and not negative"):
        EarlyStopping(p, threshold=-1.0)
    with pytest.raises(ValueError, match="params is empty"):
        EarlyStopping([])
