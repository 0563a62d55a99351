"""What lesson 08 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_nesterov_with_the_point_ahead_equals_the_textbook(lesson) -> None:
    assert lesson("08")["nesterov_gap"] < 1e-12


def test_the_averaging_form_steps_shorter_by_one_minus_mu(lesson) -> None:
    heavy, average = lesson("08")["steps_made"][-1]
    assert average / heavy == pytest.approx(1 - 0.9, rel=1e-6)


def test_momentum_turns_kappa_into_its_root(lesson) -> None:
    space = lesson("08")
    assert space["kappas"][4] == 1000
    for name in ("heavy ball", "Nesterov"):
        assert space["momentum_gain"][name] >= 5
        assert space["kappa_slopes"][name] == pytest.approx(0.5, abs=0.1)
        assert space["loss_after_150"][name] < 1e-3 * space["loss_after_150"]["gradient descent"]
    assert space["kappa_slopes"]["gradient descent"] == pytest.approx(1, abs=0.05)


def test_momentum_leaves_the_saddle_in_fewer_steps(lesson) -> None:
    steps = lesson("08")["saddle_steps"]
    assert steps[0.9] < steps[0.5] < steps[0.0] < 10_000


def test_step_decay_removes_the_noise_floor(lesson) -> None:
    space = lesson("08")
    last = {name: runs[:, -5:].mean(axis=1) for name, runs in space["schedule_runs"].items()}
    assert last["constant"].min() > 1e-3
    assert last["step decay"].max() < 1e-6
    full_batch = space["least_loss"] + space["full_batch_run"][-1]
    assert space["least_loss"] + last["step decay"].max() == pytest.approx(full_batch, rel=1e-5)


def test_first_steps(lesson) -> None:
    space = lesson("08")
    first = space["first_steps"]
    for g in (1e-5, 1e-2, 1.0, 1e3):
        assert first["SGD"][g] == pytest.approx(g)
        assert first["Adam"][g] == pytest.approx(1, abs=2e-3)
        assert first["Adagrad"][g] == pytest.approx(1, abs=2e-3)
        assert first["RMSProp"][g] == pytest.approx(0.1**-0.5, rel=5e-3)
    assert first["Adadelta"][1.0] == pytest.approx(4.5e-3, rel=0.01)
    assert -space["first_uncorrected"][0] == pytest.approx(3.16, abs=0.005)


def test_the_slides_epsilon_makes_the_first_step_ten_times_smaller(lesson) -> None:
    """D14."""
    outside, inside, squared = lesson("08")["eps_steps"].values()
    assert outside / inside == pytest.approx(10, rel=0.01)
    assert squared == pytest.approx(outside, rel=2e-3)


def test_the_scale_of_the_loss(lesson) -> None:
    gaps = lesson("08")["scale_gaps"]
    for name in ("Adagrad, ε = 0", "RMSProp, ε = 0", "Adam, ε = 0"):
        assert gaps[name] < 1e-12
    assert gaps["SGD"] == pytest.approx(999, rel=1e-6)
    assert gaps["Adam, ε = 1e-8"] > 1e-12


def test_lazy_equals_dense_without_averages_only(lesson) -> None:
    gaps = lesson("08")["lazy_gap"]
    assert gaps["SGD"] == gaps["Adagrad"] == 0
    assert gaps["heavy ball"] > 0.01
    assert gaps["Adam"] > 0.01


def test_adagrad_beats_sgd_on_rare_features_each_at_its_best_rate(lesson) -> None:
    found = lesson("08")["zipf_test"]
    gap = {}
    for epochs in (1, 3):
        assert len(found["Adagrad", epochs]) == 5
        gap[epochs] = np.mean(found["SGD", epochs]) - np.mean(found["Adagrad", epochs])
        assert gap[epochs] > 0
        assert np.less(found["Adagrad", epochs], found["SGD", epochs]).sum() >= 4
    assert gap[3] < gap[1] / 2


def test_with_coarse_rates_the_gap_is_lost_after_three_passes(lesson) -> None:
    """What the lesson says does not show."""
    found = lesson("08")["zipf_coarse"]
    assert np.mean(found["Adagrad", 3]) == pytest.approx(np.mean(found["SGD", 3]), abs=0.002)


def test_the_best_rates_lie_inside_the_range_that_was_tried(lesson) -> None:
    space = lesson("08")
    for curves in space["zipf_curves"].values():
        assert 0 < np.mean(curves, axis=0).argmin() < len(space["ETAS"]) - 1


def test_rare_features_keep_a_larger_rate(lesson) -> None:
    """D17: a schedule would give both groups one rate."""
    (often, small), (seldom, large) = lesson("08")["frequency_rates"].values()
    assert often > 100 * seldom
    assert large > 5 * small


@pytest.fixture
def ratings(lesson, shared_data):
    """The names of lesson 08 where it found MovieLens 100K."""
    if not (shared_data / "ml-100k").is_dir():
        pytest.skip("no ml-100k in the folder of real data")
    return lesson("08")


def test_on_real_ratings_adagrad_beats_a_constant_rate_for_every_seed(ratings) -> None:
    found, baselines = ratings["rating_test"], ratings["rating_baselines"]
    assert baselines["mean of the film"] < baselines["mean of all"] - 0.03
    for passes in (1, 3):
        assert len(found["Adagrad", passes]) == 5
        assert found["Adagrad", passes].max() < found["SGD", passes].min()
        assert found["SGD", passes].max() < baselines["mean of the film"] - 0.03


def test_on_real_ratings_most_of_it_is_that_the_rate_falls(ratings) -> None:
    """What the lesson says does not show: a gain of the rare films alone."""
    mean = {key: found.mean() for key, found in ratings["rating_test"].items()}
    for passes, least in ((1, 0.4), (3, 0.7)):
        by_schedule = mean["SGD", passes] - mean["SGD, falling", passes]
        assert by_schedule > least * (mean["SGD", passes] - mean["Adagrad", passes])
    gap, its_error = ratings["rating_gaps"]["SGD", 1, "> 80"]
    assert gap > 3 * its_error
    gap, its_error = ratings["rating_gaps"]["SGD", 3, "≤ 5"]
    assert abs(gap) < 2 * its_error


def test_the_best_rates_for_ratings_lie_inside_the_range_that_was_tried(ratings) -> None:
    last = len(ratings["RATING_ETAS"]) - 1
    assert all(0 < best < last for best in ratings["rating_best"].values())


def test_adaptive_methods_are_more_robust_to_the_rate(lesson) -> None:
    widths = lesson("08")["widths"]
    assert len(widths["SGD"]) == 5
    assert widths["Adagrad"].mean() >= widths["SGD"].mean()
    assert widths["Adam"].mean() >= widths["SGD"].mean()


def test_wilsons_example(lesson) -> None:
    space = lesson("08")
    for label in ("gradient descent", "SGD, B = 1", "heavy ball"):
        assert space["wilson"][label][:2] == (0, 0)
    for label in ("Adagrad", "RMSProp", "Adam"):
        on_train, on_test, off = space["wilson"][label]
        assert (on_train, on_test) == (0, 0.5)
        assert off < 0.01
    assert space["wilson"]["Adam"][2] < 1e-5


def test_wilsons_example_needs_full_batches(lesson) -> None:
    """What the lesson says does not show."""
    for label in ("Adagrad, B = 10", "Adam, B = 10"):
        assert lesson("08")["wilson"][label][1] == 0


def test_until_they_arrive_adaptive_methods_stay_on_one_line(lesson) -> None:
    """(8.11), exactly: rounding grows only where RMSProp swings about the end."""
    fit = lesson("08")["fit_wilson"]
    assert fit("RMSProp", 1e-3, 200)[1] < 1e-6
    assert fit("Adam", 1e-3, 200)[1] < 1e-6
