"""What lesson 07 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_a_batchs_gradient_has_variance_one_over_its_size(lesson) -> None:
    space = lesson("07")
    for column, kind in enumerate(("with", "without")):
        predicted = space["predicted_variance"][:, column]
        np.testing.assert_allclose(space["measured_variance"][kind], predicted, rtol=0.15)
    assert space["variance_slope"] == pytest.approx(-1, abs=0.05)


def test_batches_average_to_the_full_gradient_when_divided_by_their_own_size(lesson) -> None:
    ratio = lesson("07")["last_batch_ratio"]
    np.testing.assert_allclose(ratio["own size"], 1, rtol=1e-9)
    np.testing.assert_allclose(ratio["nominal B"], 0.5, rtol=1e-9)


def test_after_one_epoch_small_batches_are_far_below_full_batch(lesson) -> None:
    after = lesson("07")["after_one_epoch"]
    assert len(after[1]) == len(after[32]) == 5
    full = min(after[lesson("07")["N"]])
    assert max(after[1]) < full / 100
    assert max(after[32]) < full / 100


def test_full_batch_converges_linearly_and_small_batches_stall(lesson) -> None:
    space = lesson("07")
    assert space["measured_factor"] == pytest.approx(space["predicted_factor"], abs=0.01)
    assert space["runs"][space["N"]][2][-1] < 1e-9
    for B in (1, 32):
        above = space["runs"][B][2]
        assert above[len(above) // 2 :].min() > 1e-4
        assert above[len(above) // 2 :].mean() < 1e-2


def test_the_noise_floor_is_proportional_to_rate_over_size(lesson) -> None:
    space = lesson("07")
    assert 0.8 <= space["floor_slope"] <= 1.2
    assert len(space["floor_slopes"]) == 8
    assert space["floor_slopes"].min() >= 0.8
    assert space["floor_slopes"].max() <= 1.2
    for B in (1, 4, 16, 64):  # in the rate alone, and below in the size alone
        chosen = [i for i, pair in enumerate(space["pairs_tried"]) if pair[1] == B]
        assert 0.8 <= _slope(space["ratio"][chosen], space["floors"][chosen].mean(axis=1)) <= 1.2
    for lr in (0.01, 0.02, 0.05, 0.1):
        chosen = [i for i, pair in enumerate(space["pairs_tried"]) if pair[0] == lr]
        assert 0.8 <= _slope(space["ratio"][chosen], space["floors"][chosen].mean(axis=1)) <= 1.2


def test_a_mean_loss_keeps_its_rate_and_a_sum_does_not(lesson) -> None:
    space = lesson("07")
    assert space["sum_mean_gap"] < 1e-12
    assert not space["sum_same_rate"] < 1e10


def test_time_per_example_was_measured(lesson) -> None:
    """Only that there is a number: how large it is, tests/benchmarks/mini_batches.py says."""
    assert lesson("07")["speedup"] > 0


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
