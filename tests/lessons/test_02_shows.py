"""What lesson 02 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # all of them need the whole lesson


def test_two_hidden_units_learn_xor_from_most_starts_and_more_units_from_nearly_all(lesson) -> None:
    space = lesson("02")
    assert space["xor_solved"][2] >= 8
    assert space["xor_solved"][4] >= 18
    assert space["xor_solved"][8] >= 18
    final = space["xor_losses"][2][:, -1]
    assert final.min() < 0.01
    stuck = final[final > 0.1]
    assert np.abs(stuck - np.log(2) / 2).max() < 0.01  # two points right, ½ for the other two


def test_the_spirals_are_learned_and_not_by_one_neuron(lesson) -> None:
    train, held_out, one_neuron = lesson("02")["spirals"].T
    assert len(train) == 6
    assert train.min() >= 0.99
    assert held_out.min() >= 0.97
    assert 0.5 <= one_neuron.mean() <= 0.6


def test_spirals_of_other_seeds(lesson) -> None:
    space = lesson("02")
    for seed in (20, 21):
        x, t = space["two_spirals"](seed=seed)
        x_test, t_test = space["two_spirals"](n=1000, seed=100 + seed)
        params, _ = space["train"](x, t, space["spiral_weights"](seed), lr=0.1, steps=3000)
        assert space["accuracy"](params, x, t) >= 0.99
        assert space["accuracy"](params, x_test, t_test) >= 0.97


def test_every_parameter_of_the_spiral_net_has_the_right_gradient(lesson) -> None:
    space = lesson("02")
    assert len(space["derived"]) == 1185
    assert space["spiral_gradient_error"] < 1e-6


def test_d1_d2_the_printed_sums_are_not_the_layer(lesson) -> None:
    space = lesson("02")
    assert space["d1_literal"].shape != space["by_loop"].shape
    assert space["d2_forward_error"] > 0.1
    assert space["slide_errors"]["D2"].min() > 0.5
    assert str(space["diagnoses"]["D2"].kind) == "transposed"


def test_d3_other_readings_of_the_two_letters_turn_or_kill_the_gradient(lesson) -> None:
    space = lesson("02")
    right, turned, dead = space["d3_readings"].values()
    assert right == pytest.approx(space["d3_right"], rel=1e-6)
    assert turned == pytest.approx(-space["d3_right"], rel=1e-6)
    assert dead == 0
    assert str(space["diagnoses"]["D3"].kind) == "sign"


def test_d4_without_the_derivative_the_gradient_is_far_off_unless_the_output_is_linear(
    lesson,
) -> None:
    space = lesson("02")
    errors = space["d4_errors"]
    assert all(len(e) == 50 for e in errors.values())
    assert errors["σ"].min() >= 0.74
    assert np.median(errors["tanh"]) >= 0.74
    assert errors["linear"].max() == 0
    assert space["slide_errors"]["D4"].min() >= 0.75  # one example, σ: 1 − f' ≥ ¾
    assert space["d4_is_logistic"] < 1e-15
    assert str(space["diagnoses"]["D4"].kind) == "derivative"


def test_d5_one_slope_for_all_units_is_wrong_and_the_repaired_slide_is_right(lesson) -> None:
    errors = lesson("02")["slide_errors"]
    assert errors["D5"].min() > 0.01
    assert np.median(errors["D5"]) > 0.3
    assert errors["right"].max() < 1e-12


def test_d6_the_diagonal_of_softmax_is_not_its_derivative(lesson) -> None:
    space = lesson("02")
    assert space["d6_full"].max() < 1e-6
    assert space["d6_diagonal"].min() > 0.2
    full, diagonal = space["d6_row_sums"]
    assert full < 1e-15
    assert diagonal > 1e-3


def test_the_library_agrees(lesson) -> None:
    assert lesson("02")["library_gap"] < 1e-12
