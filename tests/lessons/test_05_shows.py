"""What lesson 05 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_the_slope_of_relu_at_0_is_a_convention(lesson) -> None:
    space = lesson("05")
    assert list(space["relu_quotients"].values()) == pytest.approx([0, 1, 0.5])
    assert space["convention_gap"]["random rows"] == 0
    assert space["convention_gap"]["two rows of padding"] > 0.1


def test_every_slope_of_the_table_is_right_but_selus_on_the_slide(lesson) -> None:
    space = lesson("05")
    errors = dict(space["table_errors"])
    assert errors.pop("SELU of the slide") > 1e-2
    assert len(errors) == 7
    assert max(errors.values()) < 1e-8
    assert space["slope_slide"] == pytest.approx(0.467, abs=5e-4)
    assert space["slope_true"] == pytest.approx(0.530, abs=5e-4)
    assert space["slope_measured"] == pytest.approx(space["slope_true"], rel=1e-8)
    assert space["right_report"].passed
    assert not space["slide_report"].passed


def test_selus_constants_are_the_solution(lesson) -> None:
    space = lesson("05")
    constants = (space["ALPHA"], space["SCALE"])
    np.testing.assert_allclose(space["solved"], constants, rtol=1e-9)
    np.testing.assert_allclose(space["selu_constants"](), constants, rtol=1e-14)
    np.testing.assert_allclose(space["away_from_fixed_point"](constants), 0, atol=1e-12)
    sampled = space["sampled"]
    assert len(sampled) == 2_000_000
    # standard deviations of the mean and of the variance: 0.0007 and below 0.001
    assert abs(sampled.mean()) < 0.003
    assert abs(sampled.var() - 1) < 0.004


def test_the_fixed_point_attracts(lesson) -> None:
    ends = np.array([trail[-1] for trail in lesson("05")["attracted"].values()])
    assert len(ends) == 5
    assert np.abs(ends - [0, 1]).max() < 0.1


def test_selu_stays_over_16_layers_and_relu_drifts(lesson) -> None:
    stacks = lesson("05")["stacks"]
    assert stacks["SELU, LeCun"].shape == (5, 16, 2)
    means, variances = np.moveaxis(stacks["SELU, LeCun"], -1, 0)
    assert np.abs(means).max() < 0.2
    assert variances.min() > 0.5
    assert variances.max() < 1.5
    for name in ("ReLU, He", "ReLU, LeCun"):
        means, variances = np.moveaxis(stacks[name], -1, 0)
        outside = (np.abs(means) > 0.2) | (variances < 0.5) | (variances > 1.5)
        assert outside.any(axis=1).all(), "in every seed"
    assert np.abs(stacks["ReLU, He"][..., 0]).min() > 0.2
    assert stacks["ReLU, LeCun"][:, -1, 1].max() < 1e-3


def test_alpha_dropout_keeps_the_fixed_point_and_dropout_does_not(lesson) -> None:
    noisy = lesson("05")["noisy"]
    means, variances = np.moveaxis(noisy["alpha dropout"], -1, 0)
    assert np.abs(means).max() < 0.2
    assert variances.min() > 0.5
    assert variances.max() < 1.5
    assert noisy["dropout"][:, -1, 1].min() > 1.4


def test_relu_elu_and_selu_beat_the_sigmoid_in_eight_layers(lesson) -> None:
    space = lesson("05")
    losses = space["deep_losses"]
    sigmoid = losses["sigmoid"][:, -1]
    assert len(sigmoid) == 3
    assert sigmoid.min() > 0.9 * np.log(10)
    assert min(space["sigmoid_rates"].values()) > 0.9 * np.log(10)
    for name in ("ReLU", "ELU", "SELU"):
        assert losses[name][:, -1].max() < 0.1 * sigmoid.min()
