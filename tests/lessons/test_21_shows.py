"""What lesson 21 claims, with the pass marks of its demonstrations."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # the lesson's experiments take some 20 seconds, once


def test_backpropagation_multiplies_by_the_jacobian(lesson) -> None:
    assert lesson("21")["product_gap"] < 1e-12


def test_a_norm_below_one_is_sufficient_for_vanishing(lesson) -> None:
    ratio = lesson("21")["bound_ratio"]
    assert ratio.shape == (60,)
    assert ratio.max() <= 1
    assert ratio[-1] * 0.9**60 < 1e-20


def test_a_norm_above_one_is_not_sufficient_for_exploding(lesson) -> None:
    """The slide says that it is."""
    space = lesson("21")
    assert space["norm_and_radius"](space["JORDAN"]) == pytest.approx((10, 0.5), rel=0.01)
    norms = space["power_norms"](space["JORDAN"])
    assert norms[50] == pytest.approx(9e-13, rel=0.05)
    assert norms.max() > 5  # it grows first
    assert space["norm_and_radius"](space["NILPOTENT"]) == (5, 0)
    assert space["power_norms"](space["NILPOTENT"])[2:].max() == 0
    assert space["gelfand"][1000] == pytest.approx(0.5, rel=0.02)


def test_saturated_tanh_units_vanish_with_a_norm_of_one_and_a_half(lesson) -> None:
    curves = lesson("21")["saturation"]
    assert all(len(seeds) == 3 for seeds in curves.values())
    assert curves[1.0][:, -1].max() < 4e-7  # measured 5e-10 to 4e-9
    assert curves[0.1][:, -1].min() > 10  # and grow where they are not saturated
    assert curves[0.1][:, -1].max() < 1e-6 * 1.5**60


def test_a_norm_of_one_is_not_enough(lesson) -> None:
    """The slide says: unitary."""
    found = lesson("21")["norm_one"]
    for norm, _ in found.values():
        assert norm == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found["rotation"][1], 1, rtol=1e-12)
    assert found["diag(1, .1)"][1].min() < 1e-19


def test_slope_of_the_gradient_by_lag(lesson) -> None:
    space = lesson("21")
    assert list(space["GAINS"]) == [0.5, 0.9, 1.0, 1.1, 1.5]
    for g in space["GAINS"]:
        linear, tanh = space["lag_slopes"]["linear", g], space["lag_slopes"]["tanh", g]
        assert len(linear) == 3
        assert linear == pytest.approx(np.log(g), rel=0.01, abs=1e-6)
        assert tanh.max() < np.log(g) - 0.01
        bound = float(g) ** np.arange(61)
        assert (space["by_lag"]["tanh", g] <= bound * (1 + 1e-12)).all()


def test_global_norm_clipping_keeps_the_direction(lesson) -> None:
    cosine = lesson("21")["clip_cosine"]
    assert cosine["global norm, c = 1"] == pytest.approx(1, abs=1e-12)
    assert cosine["each array, c = 1"] < 0.95
    assert cosine["each number, c = 1"] < 0.9


def test_the_cliff(lesson) -> None:
    space = lesson("21")
    for start in space["STARTS"]:
        wild, clipped = space["cliff"][start, None], space["cliff"][start, 1.0]
        assert wild[:, 3].max() > 100
        assert wild[-1, 2] > 0.05
        assert wild[-1, 3] < 1e-12  # nothing moves any more
        assert clipped[-1, 2] < 1e-5
    assert space["cliff_solved"][1.0] == 25
    assert space["cliff_solved"][np.inf] <= 15


def test_clipping_saves_training_from_explosion_not_from_vanishing(lesson) -> None:
    runs = lesson("21")["sgd_runs"]
    linear, tanh, contractive = lesson("21")["RECIPES"]
    assert np.isnan(runs[linear, None][:, 0]).all()
    assert runs[linear, 1.0][:, 0].min() > 0.95
    assert runs[tanh, None][:, 0].max() < 0.25  # chance is 0.125
    assert runs[tanh, 1.0][:, 0].min() > 0.95
    for c in (None, 1.0):
        assert runs[contractive, c][:, 0].max() < 0.2


def test_cayley_is_orthogonal_and_the_derived_gradient_is_right(lesson) -> None:
    space = lesson("21")
    assert space["cayley_off"] < 1e-12
    rng = np.random.default_rng(0)
    a, signs, G = rng.normal(size=10), np.array([1.0, -1, 1, 1, -1]), rng.normal(size=(5, 5))
    da = space["cayley"](a, signs)[1](G)
    for i, step in enumerate(1e-6 * np.eye(10)):
        moved = [(space["cayley"](a + s, signs)[0] * G).sum() for s in (step, -step)]
        assert da[i] == pytest.approx((moved[0] - moved[1]) / 2e-6, rel=1e-6, abs=1e-8)


def test_orthogonal_networks_cannot_forget_and_tanh_does(lesson) -> None:
    kept = lesson("21")["kept"]
    np.testing.assert_allclose(kept["modReLU, b = 0"], 1, rtol=1e-11)
    assert kept["tanh"][-1] < 0.2
    assert kept["modReLU, with noise"][-1] == pytest.approx(np.sqrt(11), rel=0.1)
    assert kept["tanh, with noise"].max() < 1


def test_delayed_recall(lesson) -> None:
    found = lesson("21")["recall_accuracy"]
    assert all(len(seeds) == 5 for seeds in found.values())
    for kind in lesson("21")["KINDS"]:
        assert found[kind, 10].min() > 0.95
    contractive = found["contractive", 40]
    assert np.median(contractive) < 0.2 > contractive.mean()
    assert contractive.max() < 0.3  # one seed finds one bit
    for kind in ("orthogonal, fixed", "Cayley"):
        assert found[kind, 40].min() > 0.95
    for kind in ("Gaussian", "orthogonal"):
        assert contractive.mean() < found[kind, 40].mean() < 0.9


def test_delayed_recall_over_100_steps(lesson) -> None:
    found = lesson("21")["recall_100"]
    assert len(found["contractive"]) == len(found["orthogonal, fixed"]) == 3
    assert np.mean(found["contractive"]) < 0.2
    assert min(found["orthogonal, fixed"]) > 0.95


def test_what_the_gradients_by_lag_were_and_what_became_of_the_matrices(lesson) -> None:
    space = lesson("21")
    for _, _, before, _ in space["recalls"]["contractive", 40]:
        assert before[39] < 1e-11
    for kind in ("orthogonal, fixed", "Cayley"):
        np.testing.assert_allclose(space["U_spread"][kind], 1, rtol=1e-10)
        for _, _, before, _ in space["recalls"][kind, 40]:
            np.testing.assert_allclose(before, 1, rtol=1e-10)
    assert space["U_spread"]["orthogonal"][:, 0].max() < 0.9
    assert space["U_spread"]["orthogonal"][:, 1].min() > 1.5


def test_the_library_says_the_same(lesson) -> None:
    space = lesson("21")
    assert max(space["library_gaps"].values()) < 1e-12
    assert space["unitary_gap"] < 1e-12
