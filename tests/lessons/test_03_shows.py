"""What lesson 03 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # all of them need the whole lesson


def test_the_deep_sawtooth_has_twice_k_units_and_two_to_the_k_pieces(lesson) -> None:
    space = lesson("03")
    assert len(space["counts"]) == 12
    for k, deep_units, deep_pieces, flat_units, flat_pieces, difference in space["counts"]:
        assert deep_units == 2 * k
        assert deep_pieces == flat_pieces == 2**k
        assert flat_units == 2**k
        assert difference < 1e-8
    assert space["pieces"](space["sawtooth"](16)) == 2**16


def test_its_weights_are_exact(lesson) -> None:
    space = lesson("03")
    for k in (1, 5, 20):
        corners = np.arange(2 ** min(k, 12) + 1) / 2**k
        assert np.array_equal(
            space["curve"](space["sawtooth"](k), corners), np.arange(len(corners)) % 2
        )
        inside = np.random.default_rng(k).uniform(size=100)
        assert (np.abs(space["slope"](space["sawtooth"](k), inside)) == 2**k).all()


def test_one_hidden_layer_has_at_most_one_piece_more_than_units(lesson) -> None:
    n, found = lesson("03")["shallow_pieces"].T
    assert len(n) == 200
    assert (found <= n + 1).all()
    assert (found > 0.8 * n).mean() > 0.9  # the bound is nearly reached: the counting sees kinks


def test_counted_pieces_are_those_of_a_fine_grid(lesson) -> None:
    space = lesson("03")
    for seed in range(10):
        layers = space["random_net"]((6, 5, 4), np.random.default_rng(seed))
        x = space["kinks"](layers, -4, 4)
        fine = np.linspace(-4, 4, 4001)
        y = np.interp(fine, x, space["curve"](layers, x))
        assert np.allclose(y, space["curve"](layers, fine), rtol=0, atol=1e-9)


def test_fewer_units_are_as_bad_as_a_constant(lesson) -> None:
    space = lesson("03")
    n, rms = space["flat_sizes"], space["flat_uniform"][:, 0]
    assert rms[n <= 40].min() > 0.28  # the constant ½ has 0.289
    assert rms[n == 64] < 1e-6
    for wrong in (space["flat_uniform"][:, 1], space["flat_random"][:, :, 1].min(axis=1)):
        assert (wrong >= space["flat_bound"]).all()
    assert space["flat_random"][n == 32, :, 0].min() > 0.25


def test_parity_by_three_networks(lesson) -> None:
    space = lesson("03")
    assert space["parity_error"] == 0
    n = np.arange(1, 13)
    assert space["parity_units"]["detectors"] == list(2 ** (n - 1))
    assert space["parity_units"]["counting"] == list(n)
    folding = np.maximum(1, np.ceil(np.log2(n)))
    assert space["parity_units"]["folding"] == list(2 * folding)
    assert not any(space["open_terms"])


def test_random_depth_does_not_fold(lesson) -> None:
    found = lesson("03")["random_pieces"]
    flat = found["1 × 32"].mean()
    assert all(pieces.mean() <= flat + 1 for pieces in found.values())
    assert max(pieces.max() for pieces in found.values()) < 4 * 32


def test_trained_deep_narrow_networks_are_unreliable_on_parity(lesson) -> None:
    right = lesson("03")["parity_trained"]
    solved = {name: int(np.sum(r == 1)) for name, r in right.items()}
    assert all(len(r) == 10 for r in right.values())
    assert solved["2-2-2"] <= 1
    assert solved["6-6-6"] <= 7
    assert solved["16-16-16"] >= 8
    assert solved["64"] >= 8


def test_d7_continuous_functions_on_a_compact_set(lesson) -> None:
    space = lesson("03")
    assert -2.1 < space["orders"]["exp(−x) sin 3πx"] < -1.9
    assert -0.55 < space["orders"]["√x"] < -0.45
    errors = np.array(space["universal"]["exp(−x) sin 3πx"])
    assert (errors <= 1.001 * space["bound"]).all()
    assert space["universal"]["exp(−x) sin 3πx, σ"][-1] < 0.01


def test_d7_not_beyond(lesson) -> None:
    space = lesson("03")
    assert space["jump_errors"][:, 1].min() >= 0.5 - 1e-12
    assert space["jump_errors"][-1, 2] < 1e-3
    inside, *beyond = space["outside_errors"]
    assert inside < 1e-12
    assert beyond[0] > 1
    assert beyond[-1] > 100
    assert np.ptp(space["square_errors"]) < 1e-6
    assert space["square_errors"][-1] > 0.5
    assert space["relu_errors"][-1] < 0.01


def test_the_library_agrees(lesson) -> None:
    assert lesson("03")["library_gap"] < 1e-12
