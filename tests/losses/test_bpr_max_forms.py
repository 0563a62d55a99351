"""The two forms of BPR-max, for scores close together and for all, are the same function."""

import numpy as np
import pytest

from nnlib.functional.ranking import bpr_max, bpr_max_block, bpr_max_in_logs

B, U = 6, 30


@pytest.mark.parametrize("regularization", [0.0, 1e-6, 1.95])
@pytest.mark.parametrize("spread", [0.01, 1.0, 8.0])
@pytest.mark.parametrize("counts", [1, 4])
def test_forms_agree(regularization: float, spread: float, counts: int) -> None:
    rng = np.random.default_rng(0)
    s, target = spread * rng.normal(size=(B, U)), rng.integers(U, size=B)
    count = rng.integers(1, counts + 1, U).astype(float)
    fast = bpr_max_block(s, target, count, regularization, out=np.empty_like(s))
    assert fast is not None
    exact = bpr_max_in_logs(s, target, count, regularization)
    np.testing.assert_allclose(fast.losses, exact.losses, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(
        fast.scale[:, None] * fast.G, exact.scale[:, None] * exact.G, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("positive", [-33.0, -10.0, 0.0, 10.0, 33.0])
def test_the_fast_form_keeps_its_accuracy_up_to_the_border(positive: float) -> None:
    rng = np.random.default_rng(1)
    for middle in (-32, 0, 29):  # of the negatives
        s = (middle + rng.normal(size=(B, U))).clip(-34, 31).astype(np.float32)
        s[:, 0] = positive
        target, count = np.zeros(B, int), np.ones(U, np.float32)
        fast = bpr_max_block(s, target, count, 0.5, out=np.empty_like(s))
        gap = np.log(np.exp(s[:, 1:].astype(np.float64)).sum(axis=1)) - positive
        assert (fast is None) == bool((abs(gap) > np.log(1e15)).any())
        if fast is None:
            continue
        exact = bpr_max_in_logs(s.astype(np.float64), target, count.astype(np.float64), 0.5)
        np.testing.assert_allclose(fast.losses, exact.losses, rtol=3e-6)
        np.testing.assert_allclose(
            fast.scale[:, None] * fast.G, exact.G, atol=3e-6 * abs(exact.G).max()
        )


def test_the_fast_form_declines_what_it_cannot_do() -> None:
    s, target, count = np.zeros((2, 5), np.float32), np.zeros(2, int), np.ones(5, np.float32)
    for bad in (80.0, -80.0, np.nan, np.inf):
        far = s.copy()
        far[1] = bad
        assert bpr_max_block(far, target, count, 1.0, out=np.empty_like(s)) is None
    assert bpr_max_block(s, target, count, 1.0, out=np.empty_like(s)) is not None


def test_nothing_is_written_to() -> None:
    rng = np.random.default_rng(2)
    s, target, count = rng.normal(size=(B, U)), rng.integers(U, size=B), np.ones(U)
    for array in (s, target, count):
        array.flags.writeable = False
    bpr_max(s, target, count, 1.0)
    bpr_max(100 * s, target, count, 1.0)
