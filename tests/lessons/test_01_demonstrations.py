"""What lesson 01 claims."""

import numpy as np
import pytest


@pytest.mark.slow
def test_one_neuron_learns_and_and_or_but_not_xor(lesson) -> None:
    space = lesson("01")
    for name in ("AND", "OR"):
        w, b, _ = space["trained"][name]
        assert space["accuracy"](w, b, space["X_LOGIC"], space[name]) == 1
    assert max(space["xor_accuracy"]) <= 0.75
    assert len(space["xor_accuracy"]) == 20
    w, _, losses = space["trained"]["XOR"]
    assert np.abs(w).max() < 1e-6
    assert losses[-1] == pytest.approx(np.log(2))


@pytest.mark.slow
def test_a_line_through_two_spirals_is_a_coin(lesson) -> None:
    accuracy = lesson("01")["spiral_accuracy"]
    assert len(accuracy) == 20
    assert 0.5 <= np.mean(accuracy) <= 0.6
    assert max(accuracy) <= 0.62


@pytest.mark.slow
def test_two_hidden_units_compute_xor(lesson) -> None:
    space = lesson("01")
    assert np.abs(space["xor_net"](space["X_LOGIC"]) - space["XOR"]).max() < 0.05


@pytest.mark.slow
def test_gradient_descent_finds_the_least_squares_line(lesson) -> None:
    assert lesson("01")["line_gap"] < 1e-6
