"""What lesson 20 claims, and what it says does not show."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_columns_and_rows_and_one_hot_rows(lesson) -> None:
    assert lesson("20")["slide_gap"] < 1e-12
    assert lesson("20")["one_hot_gap"] == 0


def test_the_shared_weights_gradient_is_a_sum_over_steps(lesson) -> None:
    assert lesson("20")["untied_gap"] < 1e-7


def test_truncation_is_back_propagation_in_pieces(lesson) -> None:
    assert lesson("20")["pieces_gap"] < 1e-12


def test_what_truncation_leaves_of_the_pairs(lesson) -> None:
    space = lesson("20")
    for k, share in space["shares"].items():
        assert share == pytest.approx(np.maximum(0, 1 - np.arange(13) / k), abs=0.01)
    for k, found in space["reach_maps"].items():
        s, t = np.indices(found.shape)
        same_piece = (t <= s) if k is None else (t <= s) & (s // k == t // k)
        assert np.array_equal(found > 0, same_piece)


def test_copy_is_solved_by_all_steps_and_not_without_a_state(lesson) -> None:
    found = lesson("20")["copy_found"]
    assert all(len(right) == 3 for right in found.values())
    assert found["x_{t−2}, all steps"].min() > 0.999
    assert found["x_{t−2}, BPTT(3)"].min() > 0.99
    assert found["x_{t−2}, feed-forward"] == pytest.approx(0.2, abs=0.02)


def test_short_truncation_loses_the_copy_task_in_two_acts(lesson) -> None:
    space = lesson("20")
    late, early = space["copy_found"], space["copy_early"]
    for name in ("x_{t−2}, BPTT(1)", "x_{t−2}, BPTT(2)"):
        assert early[name].min() > 0.5  # luck
        assert late[name].max() < 0.45
        assert late[name].max() < late["x_{t−2}, read-out alone"].min() - 0.3
    assert early["x_{t−1}, BPTT(1)"].min() > early["x_{t−2}, BPTT(1)"].max()
    assert late["x_{t−1}, BPTT(1)"].max() < early["x_{t−1}, BPTT(1)"].min()


def test_the_truncated_gradient_is_another_direction(lesson) -> None:
    story = lesson("20")["cut_story"]
    start, then, end = (story[steps].mean(axis=0) for steps in (0, 100, 400))
    assert then[:2].max() < 0.3
    assert start[1] > then[1]
    assert end[2] > 2 * start[2]  # U grows
    assert end[3] > 0.2 > 0.05 > start[3]  # the units saturate


def test_training_moves_the_gradient_to_the_lag_of_the_task(lesson) -> None:
    by_lag = lesson("20")["lag_gradients"]
    assert by_lag["trained, all steps"].argmax() == 2
    assert by_lag["before training"].argmax() == 0


def test_padding_on_the_right_is_transparent(lesson) -> None:
    assert lesson("20")["padding_gap"] < 1e-12
    assert lesson("20")["unmasked_gap"] > 0.1


def test_parity_up_to_twelve(lesson) -> None:
    space = lesson("20")
    at = space["PARITY_LENGTHS"].index(12)
    assert space["parity_found"].shape[0] == 3
    assert space["parity_found"][:, : at + 1].min() > 0.95


def test_the_best_threshold_for_the_number_of_ones(lesson) -> None:
    """(20.10), and by trying all thresholds on all sequences."""
    space = lesson("20")
    for T, found in zip(space["PARITY_LENGTHS"], space["bag_found"], strict=True):
        assert found == pytest.approx(0.5 + space["comb"](T - 1, (T - 1) // 2) / 2**T)
    ones = np.array([bin(sequence).count("1") for sequence in range(2**8)])
    right = [np.mean((ones > limit) == (ones % 2)) for limit in range(-1, 9)]
    best = max(*right, *(1 - share for share in right))
    assert space["bag_found"][space["PARITY_LENGTHS"].index(8)] == pytest.approx(best)


def test_next_symbol_of_a_second_order_chain(lesson) -> None:
    space = lesson("20")
    rate, table, found = space["entropy_rate"], space["first_order"], space["chain_found"]
    assert rate < table
    assert space["truth_on_test"] == pytest.approx(rate, rel=0.01)
    assert max(losses.max() for losses in found.values()) < table
    assert found[32, "all steps"].max() < 1.05 * rate
    assert min(losses.min() for losses in found.values()) > space["truth_on_test"]


def test_one_step_is_enough_for_the_chain_if_the_net_is_wide(lesson) -> None:
    rate, found = lesson("20")["entropy_rate"], lesson("20")["chain_found"]
    assert found[32, "BPTT(1)"].max() < 1.05 * rate
    loss = {H: (found[H, "BPTT(1)"] - found[H, "all steps"]).mean() for H in (8, 32)}
    assert 0 < loss[32] < loss[8]
    for H in (8, 32):  # and it does more than read what is there by luck
        assert found[H, "BPTT(1)"].max() < found[H, "read-out alone"].min() - 0.1


def test_the_library_says_the_same(lesson) -> None:
    gaps = lesson("20")["library_gaps"]
    assert len(gaps) == 10
    assert max(gaps.values()) < 1e-12
