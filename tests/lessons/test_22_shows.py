"""What lesson 22 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow

CONTRACTIVE = "RNN, U = ½ Q"
GRU, LSTM = "GRU, b_z = −2", "LSTM, b_f = log T"


def test_what_the_forget_bias_leaves(lesson) -> None:
    table = lesson("22")["bias_table"]
    for b, f, left in ((1, 0.73, 0.002), (5, 0.993, 0.87)):
        assert table[b][0] == pytest.approx(f, abs=0.005)
        assert table[b][1] == pytest.approx(left, rel=0.06)


def test_the_chrono_rule_leaves_about_1_over_e(lesson) -> None:
    left = lesson("22")["chrono_left"]
    assert all(np.exp(-1) < share < 0.39 for share in left.values())
    assert left[1000] == pytest.approx(np.exp(-1), rel=1e-3)


def test_a_new_lstm_without_forget_bias_has_no_gradient_from_far(lesson) -> None:
    gradients = lesson("22")["fresh_gradients"]
    assert gradients[0][20] < 1e-3
    assert gradients[0][20] < gradients[1][20] < gradients[3][20]
    assert gradients[3][20] > 0.3
    assert gradients[5][20] > 0.8


def test_without_a_forget_gate_cells_grow_in_a_stream(lesson) -> None:
    streams = lesson("22")["streams"]
    assert streams["f = 1 (1997)"][-1, 0] > 20
    assert streams["f = 1 (1997)"][-1, 1] < 0.05
    assert streams["f = σ(1 + …)"][-1, 0] < 1


def test_the_two_conventions_of_z_are_one_model(lesson) -> None:
    assert lesson("22")["convention_gap"] < 1e-13
    assert lesson("22")["wrong_gap"] > 0.5


def test_the_slides_gru_has_no_memory_gate(lesson) -> None:
    space = lesson("22")
    assert space["slide_gap"] < 1e-12
    assert space["slide_gradients"][40] < 1e-9
    assert max(space["recall"]["GRU, deck literally", 40]) < 0.2


def test_reset_before_and_after_are_different_functions(lesson) -> None:
    gaps = lesson("22")["reset_gaps"]
    assert gaps[1] < 1e-13
    assert min(gaps[H] for H in (2, 5, 20)) > 0.1


def test_delayed_recall(lesson) -> None:
    recall = lesson("22")["recall"]
    assert len(recall[GRU, 40]) == len(recall[LSTM, 40]) == len(recall[CONTRACTIVE, 40]) == 3
    assert max(recall[CONTRACTIVE, 40]) < 0.2
    for T in (10, 40):
        assert min(recall[GRU, T]) > 0.95
        assert min(recall[LSTM, T]) > 0.95


def test_gates_without_their_bias_do_not_recall(lesson) -> None:
    recall = lesson("22")["recall"]
    assert max(recall["GRU, b_z = 0", 40]) < 0.2
    assert max(recall["LSTM, b_f = 0", 40]) < 0.2


def test_over_100_steps_the_gru_needs_log_t(lesson) -> None:
    recall = lesson("22")["recall"]
    assert max(recall[GRU, 100]) < 0.3
    assert min(recall["GRU, b_z = −log T", 100]) > 0.7


def test_over_100_steps_the_lstm_must_close_its_input_gate_too(lesson) -> None:
    """What the lesson says does not show: that b_f = log T is enough."""
    recall = lesson("22")["recall"]
    assert max(recall[LSTM, 100]) < 0.5
    assert min(recall["LSTM, b_f = −b_i = log T", 100]) > max(recall[LSTM, 100]) + 0.2


def test_gates_that_write_open_at_the_symbol(lesson) -> None:
    space = lesson("22")
    assert min(space["somewhere_accuracy"].values()) > 0.95
    for key in ((LSTM, "input gate i"), (GRU, "update gate z")):
        at, before, _ = space["gate_means"][key]
        assert at > 1.2 * before
    assert min(space["gate_means"][LSTM, "forget gate f"]) > 0.85
    for size in space["memory_sizes"].values():
        assert size[23] > size[11] + 0.1


def test_gradient_by_lag(lesson) -> None:
    curves = lesson("22")["lag_curves"]
    assert curves["before", CONTRACTIVE][39] < 1e-10
    for name in (GRU, LSTM):
        assert curves["before", name][39] > 1e-3
        assert curves["after", name][39] > 0.1
    assert curves["after", CONTRACTIVE][39] < 1e-3


def test_a_checkpoint_read_the_wrong_way_loses(lesson) -> None:
    swapped = lesson("22")["swapped"]
    assert min(swapped["as trained"]) > 0.95
    assert max(swapped["reset after"]) < min(swapped["as trained"])
    assert max(swapped["z the other way"]) < 0.6


def test_the_library_says_the_same(lesson) -> None:
    gaps = lesson("22")["library_gaps"]
    assert len(gaps) == 7
    assert max(gaps.values()) < 1e-12
