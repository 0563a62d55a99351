"""What lesson 06 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_a_mask_that_is_drawn_again_is_noticed(lesson) -> None:
    space = lesson("06")
    assert space["same_report"].passed
    assert not space["redrawn_report"].passed


def test_dropout_keeps_the_mean_and_not_the_square(lesson) -> None:
    for p, (first, second) in lesson("06")["sampled_moments"].items():
        # 400,000 draws: standard deviations below 0.002 and 0.002 / (1 - p)
        np.testing.assert_allclose(first, 1, atol=0.008)
        np.testing.assert_allclose(second, 1 / (1 - p), rtol=0.01)


def test_the_papers_scaling_is_the_inverted_one_but_for_bits_and_learning_rate(lesson) -> None:
    space = lesson("06")
    assert space["d12_gap"] < 1e-12
    assert 0 < space["d12_equal_bits"] < 1
    assert space["d12_average_gap"] < 0.02
    assert space["d12_step_gap"] < 1e-12


def test_dropout_takes_30_percent_of_the_gap(lesson) -> None:
    space = lesson("06")
    none, half = space["results"]["no dropout"], space["results"]["p = .5 hidden"]
    assert len(none) == len(half) == 5
    gap_none, gap_half = ((r[:, 0] - r[:, 1]).mean() for r in (none, half))
    assert gap_half <= 0.7 * gap_none
    assert half[:, 1].mean() >= none[:, 1].mean()


def test_on_digits_dropout_does_no_harm(lesson) -> None:
    """The gap shrinks there too, but not by 30 %: the lesson says so."""
    pytest.importorskip("sklearn")
    found = lesson("06")["digits_results"]
    none, half = found["no dropout"].mean(axis=0), found["p = .5 hidden"].mean(axis=0)
    assert half[1] >= none[1]
    assert half[0] - half[1] < none[0] - none[1]


def test_the_average_of_thinned_networks_decides_as_the_one_pass(lesson) -> None:
    mc = lesson("06")["mc"]
    assert np.abs(mc["average of 50"][:, 0] - mc["one pass"][:, 0]).max() < 0.01
    assert mc["thinned"][:, 1].min() > 1.5 * mc["one pass"][:, 1].max()
    assert (mc["thinned"][:, 1] > 2 * mc["one pass"][:, 1]).all()
    assert mc["average of 50"][:, 1].mean() > 2 * mc["one pass"][:, 1].mean()


def test_only_decoupled_decay_is_the_same_for_all_weights(lesson) -> None:
    space = lesson("06")
    coupled, decoupled = (space["paths_decay"][name][-1] for name in ("coupled", "decoupled"))
    np.testing.assert_allclose(decoupled, space["intended"][-1], atol=0.05)
    small, _, large = coupled
    assert small < 0.1
    assert large > 0.9


def test_l1_finds_the_features_and_all_beat_the_unregularised_fit(lesson) -> None:
    space = lesson("06")
    errors = space["regression_errors"]
    assert len(space["features_found"]) == 10
    assert min(space["features_found"]) >= 9
    assert (errors["L1"] < errors["L2"]).all()
    assert (errors["L1"] < errors["early stopping"]).all()
    for name in ("L1", "L2", "early stopping"):
        assert (errors[name] < errors["none"]).all()


def test_where_all_features_matter_l1_is_the_worst_belief(lesson) -> None:
    errors = lesson("06")["dense_errors"]
    assert errors["L1"].mean() > max(errors[name].mean() for name in ("none", "L2"))


def test_only_soft_thresholding_gives_zeros(lesson) -> None:
    space = lesson("06")
    assert space["zeros_prox"] > 150
    assert space["zeros_sub"] == 0
