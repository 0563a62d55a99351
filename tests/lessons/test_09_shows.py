"""What lesson 09 claims: losses, merged and multi-task networks, encoder-decoder, GAN."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # all of them run the lesson


def test_a_squared_error_behind_a_sigmoid_stops_pulling(lesson) -> None:
    assert lesson("09")["pull_ratio"] < 0.001


def test_softmax_and_logarithm_as_two_layers_are_not_finite_where_fused_they_are(lesson) -> None:
    space = lesson("09")
    assert np.isinf(space["loss_two_layers"])
    assert np.isnan(space["ds_two_layers"]).all()
    assert space["loss_fused"] == pytest.approx(200)
    np.testing.assert_allclose(space["back_fused"](), [[1, -1, 0]], atol=1e-6)


def test_kl_covers_and_reverse_kl_seeks(lesson) -> None:
    space = lesson("09")
    covers, from_right, from_left = space["bells"].values()
    assert covers[0] == pytest.approx(space["t_mean"], abs=1e-3)
    assert covers[1] == pytest.approx(space["t_width"], abs=1e-3)
    for (mean, width, _), hill in ((from_right, 2), (from_left, -2)):
        assert mean == pytest.approx(hill, abs=0.05)
        assert width == pytest.approx(0.6, abs=0.05)


def test_an_embedding_is_a_product_with_one_hot_rows(lesson) -> None:
    space = lesson("09")
    assert space["embedding_gap"] < 1e-15
    assert space["duplicates_error"] > 0.1


def test_a_product_merge_matches_and_a_concatenation_of_the_same_width_cannot(lesson) -> None:
    accuracy = lesson("09")["merge_accuracy"]
    assert all(len(values) == 5 for values in accuracy.values())
    assert accuracy["concatenation"].max() < 0.56
    assert accuracy["sum"].max() < 0.56
    assert accuracy["product"].min() > 0.95
    assert (accuracy["product"] > accuracy["concatenation"]).all()
    assert (accuracy["product"] > accuracy["concatenation + hidden layer"]).all()


def test_two_half_informative_inputs_merged_beat_the_better_one(lesson) -> None:
    gain = lesson("09")["merged_gain"]
    assert len(gain) == 5
    assert gain.min() >= 0.03


def test_a_related_task_helps_and_an_unrelated_one_does_not(lesson) -> None:
    runs = lesson("09")["multitask"]
    alone, related, unrelated = runs.values()
    assert len(alone) == 10

    def gain_and_error(other: np.ndarray, base: np.ndarray) -> tuple[float, float]:
        difference = other - base  # paired: a seed has one data set, start and order of batches
        return difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))

    gain, error = gain_and_error(related, alone)
    assert gain > 3 * error
    assert gain > 0.02
    assert (related > alone).sum() >= 9
    gain, error = gain_and_error(unrelated, alone)
    assert gain < 2 * error
    assert gain < 0.01
    gain, error = gain_and_error(related, unrelated)
    assert gain > 3 * error


def test_an_encoder_decoder_reverses_and_copies_strings(lesson) -> None:
    space = lesson("09")
    longest = space["length"] == space["LONGEST"]
    for right in (space["right"], space["copied"]):
        assert right.mean() > 0.95
        assert right[longest].mean() > 0.95


def test_a_bag_of_symbols_knows_the_letters_and_guesses_their_order(lesson) -> None:
    space = lesson("09")
    right, chance = space["bag_right"], space["chance"]
    assert space["bag_letters"].mean() > 0.9
    error = np.sqrt((chance * (1 - chance)).sum()) / len(chance)
    assert right.mean() < chance.mean() + 3 * error
    assert right[space["length"] == space["LONGEST"]].mean() < 0.05


def test_the_best_discriminators_value_is_twice_jsd_less_log_4(lesson) -> None:
    space = lesson("09")
    assert space["jsd_gap"] < 1e-12
    assert space["jsd"] > 0.05
    assert np.abs(space["slope_best"]).max() < 1e-15


def test_the_saturating_generator_loss_loses_its_gradient(lesson) -> None:
    space = lesson("09")
    assert space["sure"].sum() >= 20
    assert space["norm_ratio"][space["sure"]].max() < 0.05


def test_the_gan_fits_two_modes_better_than_half_a_bell(lesson) -> None:
    space = lesson("09")
    assert len(space["ks_gan"]) == 3
    assert space["ks_bell"] > 0.1
    assert max(space["ks_gan"]) < space["ks_bell"] / 2
    for fakes, losses in space["games"]:
        assert 0.4 < np.mean(fakes < 0) < 0.6
        assert np.mean(losses[-500:]) == pytest.approx(np.log(4), abs=0.05)


def test_a_restricted_machine_has_independent_hidden_units_and_a_deep_one_has_not(lesson) -> None:
    space = lesson("09")
    assert abs(space["covariance_rbm"]) < 1e-12
    assert abs(space["covariance_dbm"]) > 0.01
