"""What lesson 04 claims, with the pass marks of its demonstrations."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # the lesson's experiments take some 20 seconds, once


def test_gradient_of_the_first_of_ten_layers(lesson) -> None:
    ratio = lesson("04")["norm_ratio"]
    assert all(len(values) == 5 for values in ratio.values())
    assert max(ratio["σ, c = 1"]) < 1e-3  # measured 1e-6 for every seed
    assert min(ratio["ReLU, c = √2"]) > 0.1  # 0.4 to 0.8
    assert 0.5 < min(ratio["tanh, c = 1"]) <= max(ratio["tanh, c = 1"]) < 2  # 1.1 to 1.2
    assert max(ratio["σ, c = 1"]) < min(ratio["σ, c = 4"]) < 0.1  # better, not good


def test_the_bound_holds_and_inputs_become_one(lesson) -> None:
    runs = lesson("04")["fresh"]
    for name in ("σ, c = 1", "σ, c = 4"):
        assert all(run["signal"] <= run["bound"] for run in runs[name])
    assert all(run["spread"][-1] < 1e-5 for run in runs["σ, c = 1"])
    assert all(run["spread"][-1] > 0.05 for run in runs["ReLU, c = √2"])


def test_sigmoids_saturate_far_from_zero_not_near_it(lesson) -> None:
    space = lesson("04")
    for slopes in space["slopes"].values():
        assert slopes.argmax() == np.flatnonzero(space["at"] == 0)[0]
        assert slopes[[0, -1]].max() < 1e-4
    for start, (steps, _) in space["waiting"].items():
        assert start < 4 or 0.9 < steps / np.exp(start) < 1.5


def test_variance_argument(lesson) -> None:
    growth = lesson("04")["moment_growth"]
    assert growth["variance 1/n (LeCun)"].max() < 1e-6
    assert 0.01 < growth["variance 2/n (He)"].min() <= growth["variance 2/n (He)"].max() < 100
    assert growth["variance 4/n"].min() > 1e6
    spectra = lesson("04")["spectra"]
    np.testing.assert_allclose(spectra["orthogonal"][20], 1, rtol=1e-10)
    assert spectra["normal, variance 1/n"][20].min() < 1e-10


def test_deep_sigmoids_with_sgd_stay_at_chance_and_relu_with_he_learns(lesson) -> None:
    deep = lesson("04")["deep"]
    for name in ("σ, c = 1, η = 0.05", "σ, c = 1, η = 0.5"):
        for run in deep[name]:
            assert abs(run["losses"][-1] - np.log(10)) < 0.02
            assert run["accuracy"] < 0.15
            assert run["off"].max() == 0  # vanished, not saturated
    relu = deep["ReLU, c = √2, η = 0.05"]
    assert len(relu) == 3
    assert min(run["accuracy"] for run in relu) > 0.9


def test_ten_times_the_scale_saturates_and_does_not_learn(lesson) -> None:
    deep = lesson("04")["deep"]
    for name in ("σ, c = 40, η = 0.05", "σ, c = 40, η = 0.5"):
        for run in deep[name]:
            assert run["off"].mean() > 0.8
            assert run["losses"][-1] > np.log(10) - 0.1
            assert run["accuracy"] < 0.2
            assert run["share"] > 0.6  # most examples say nothing
            assert run["norms"][0] > run["norms"][7]  # the norm alone would not show it
    for run in deep["σ, c = 4, η = 0.5"]:
        assert run["off"].mean() < 0.25
        assert run["accuracy"] > 0.85
        assert run["share"] < 0.4
    for run in deep["σ, c = 10, η = 0.5"]:  # ten times another scale: it is not the factor 10
        assert 0.5 < run["off"].mean() < 0.65
        assert run["accuracy"] > 0.75


def test_layer_wise_training_rescues_deep_sigmoids(lesson) -> None:
    result = lesson("04")["result"]
    assert all(len(values) == 3 for values in result.values())
    assert max(result["(a) 6 σ, fresh, c = 1"]) < 0.15
    assert min(result["(b) 6 σ, layer-wise"]) > 0.98
    assert min(result["(c) 6 ReLU, He"]) > 0.94
    assert min(result["1 hidden σ layer"]) > 0.98
    assert min(result["(d) 6 σ, fresh, c = 4"]) > 0.9
    assert min(result["    without the 6000"]) > 0.98


def test_what_layer_wise_training_does_to_the_weights(lesson) -> None:
    for s in lesson("04")["stacked"]:
        assert 3.5 < min(s["scale"]) <= max(s["scale"]) < 6.5
        assert max(s["moved"]) < 0.06
        assert max(s["off"]) > 0.4
        assert (
            s["norms"][0] / s["norms"][5] > 0.1 > 0.01 > s["fresh norms"][0] / s["fresh norms"][5]
        )


def test_an_rbm_is_no_dbm_and_no_autoencoder(lesson) -> None:
    space = lesson("04")
    assert max(space["posterior_gap"]["RBM"]) < 1e-12
    assert min(space["posterior_gap"]["DBM"]) > 0.01
    assert abs(space["cosine"]) < 0.95


def test_the_library_says_the_same(lesson) -> None:
    assert lesson("04")["library_gap"] < 1e-12


def test_the_library_s_networks_vanish_in_the_same_way(lesson) -> None:
    norms = lesson("04")["library_norms"]
    ratio = {name: layers["1"] / layers["10"] for name, layers in norms.items()}
    assert ratio["σ, LeCun"] < 1e-3 < ratio["σ, 4 × Glorot"] < ratio["ReLU, He"]
    assert ratio["ReLU, He"] > 0.1
