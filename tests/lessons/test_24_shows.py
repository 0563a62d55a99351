"""What lesson 24 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_each_pair_is_read_once(lesson) -> None:
    for once, pairs, events_less_sessions in lesson("24")["step_invariants"].values():
        assert once
        assert pairs == events_less_sessions


def test_a_lane_has_the_state_of_its_session_alone(lesson) -> None:
    gap = lesson("24")["state_gap"]
    assert gap[True] < 1e-15
    assert gap[False] > 0.01


def test_negatives_are_of_the_same_mini_batch(lesson) -> None:
    """The deck: "items of the other mini-batch"."""
    space = lesson("24")
    assert len(space["elsewhere"]) > 0
    assert np.all(space["touched"][space["elsewhere"]] == 0)
    assert np.all(space["touched"][space["Y_deck"]] > 0)


def test_gradients_of_the_five_losses(lesson) -> None:
    space = lesson("24")
    assert len(space["loss_gaps"]) == 5
    assert max(space["loss_gaps"].values()) < 1e-8
    assert space["cosine_frozen"] < 0.99  # the gradient of the softmax weights is part of it


def test_top1_needs_its_bracket(lesson) -> None:
    space = lesson("24")
    assert space["penalty_outside"] == pytest.approx(159 * space["penalty_inside"])


def test_the_slides_penalty_pulls_at_every_score(lesson) -> None:
    """The deck's λ Σ r_j² lacks s_j."""
    space = lesson("24")
    assert space["on_others"]["slide"] > 100 * space["on_rival"]["slide"]
    assert space["on_others"]["paper"] < 5 * space["on_rival"]["paper"]


def test_the_targets_gradient_vanishes_without_a_softmax_over_negatives(lesson) -> None:
    """The table of the specification: target 0, one rival at 0.5, the others at −10 or −4."""
    found = lesson("24")["vanishing"]
    for name, few, many in (
        ("BPR", 0.020, 0.0003),
        ("TOP1", 0.0076, 0.0002),
        ("BPR-max", 0.621, 0.541),
        ("TOP1-max", 0.235, 0.222),
        ("XE", 0.623, 0.635),
    ):
        assert found[name, 31, -10.0] == pytest.approx(few, rel=0.05)
        assert found[name, 2079, -10.0] == pytest.approx(many, abs=0.0007)
    assert found["BPR-max", 31, -4.0] == pytest.approx(0.34, abs=0.005)
    assert found["BPR-max", 2079, -4.0] == pytest.approx(0.028, abs=0.0005)


def test_a_new_accumulator_makes_the_first_step_hundreds_of_times_longer(lesson) -> None:
    first = lesson("24")["first_steps"]
    assert first[0.0] > 100 * first[0.1]


def test_ties_against_the_target(lesson) -> None:
    assert lesson("24")["constant_recall"] == {"standard": 1, "conservative": 0}


def test_gru4rec_beats_the_best_baseline_and_stays_below_bayes(lesson) -> None:
    space = lesson("24")
    recall = {name: space["recall"](rank) for name, rank in space["test_ranks"].items()}
    assert space["margin"].mean() > 3 * space["margin_error"]
    assert recall["GRU4Rec"] < recall["Bayes ceiling"]
    assert recall["Popularity"] < recall["Markov"] < recall["S-KNN"] < recall["GRU4Rec"]


def test_by_mrr_it_only_ties(lesson) -> None:
    """What the lesson says does not show."""
    space = lesson("24")
    assert abs(space["mrr_margin"].mean()) < 2 * space["mrr_margin_error"]


def test_with_little_data_the_neighbours_win(lesson) -> None:
    curve = lesson("24")["learning_curve"]
    network, neighbours = curve[1_500]
    assert network < neighbours - 0.02
    network, neighbours = curve[30_000]
    assert network > neighbours + 0.02


def test_little_data_overfit_while_the_loss_falls(lesson) -> None:
    loss, on_valid = lesson("24")["few"][1].T
    assert np.all(np.diff(loss) < 0)
    assert on_valid.argmax() < 4
    assert on_valid[-1] < on_valid.max() - 0.01


def test_most_is_learned_in_the_first_epoch(lesson) -> None:
    history = lesson("24")["headline_history"]
    assert history[0, 1] > 0.95 * history[:, 1].max()


def test_improvement_over_item_to_item(lesson) -> None:
    """The deck: "20-30%"."""
    found = lesson("24")["improvement"]
    assert found["TOP1 100"] == pytest.approx(0.156, abs=0.001)
    assert found["BPR 1000"] == pytest.approx(0.248, abs=0.001)


def test_after_training_bpr_hardly_pushes_a_nearly_right_target(lesson) -> None:
    """Figure 2 of Hidasi & Karatzoglou 2018, in the buckets of ranks 1 to 8."""
    found = lesson("24")["rank_gradients"]
    last = {key: values[:4] for key, values in found.items() if key[2] == 2}
    assert np.all(last["BPR-max", 450, 2] > 3 * last["BPR", 450, 2])
    assert np.all(last["BPR", 450, 2] < 0.9 * last["BPR", 0, 2])  # more samples, less gradient
    assert np.all(last["BPR-max", 450, 2] > 0.85 * last["BPR-max", 0, 2])
    assert np.all(last["BPR", 450, 2] < found["BPR", 450, 0][:4])  # and with training


def test_bpr_is_not_much_worse_at_500_items(lesson) -> None:
    """What the lesson says does not show."""
    found = lesson("24")["rank_recall"]
    assert found["BPR", 450] > found["BPR", 0]
    assert abs(found["BPR", 450] / found["BPR-max", 450] - 1) < 0.05


def test_details_that_change_recall(lesson) -> None:
    relative = lesson("24")["relative"]
    for name in (
        "Adagrad's accumulator starts at 0.1",
        "no additional samples",
        "samples by popularity (α = 1)",
        "BPR-max with the slide's penalty",
        "no state reset at all",
        "no state reset in evaluation",
        "no state reset in training",
        "clicks of a training session shuffled",
    ):
        assert len(relative[name]) == 3
        assert relative[name].max() < -0.01  # for every seed
    for name in list(relative)[1:4]:
        assert relative[name].mean() < -0.1
    assert relative["Adagrad's accumulator starts at 0.1"].mean() < -0.26
    assert abs(relative["α = 1 with logQ"].mean()) < 0.03
    popular = relative["samples by popularity (α = 1)"].mean()
    assert popular < relative["samples of α = 0.5"].mean() < -0.01


def test_the_library_says_the_same(lesson) -> None:
    space = lesson("24")
    assert space["same_steps"]
    assert max(space["library_gaps"].values()) < 1e-12
