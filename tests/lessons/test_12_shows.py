"""What lesson 12 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_softmax_is_an_argmax_and_a_probability(lesson) -> None:
    """D25."""
    space = lesson("12")
    p, smooth_maximum = space["smooth_25"][0.03]
    assert np.abs(p - [0, 1, 0, 0]).max() < 1e-9
    assert smooth_maximum == pytest.approx(3, abs=1e-9)
    assert np.abs(space["sum_over_words"] - 1).max() < 1e-12
    assert np.abs(space["integral_over_h"] - 1).min() > 0.2


def test_huffmans_mean_length_is_between_entropy_and_entropy_plus_1(lesson) -> None:
    space = lesson("12")
    for found in space["code_table"].values():
        assert found["entropy"] <= found["Huffman"] < found["entropy"] + 1
        assert found["Huffman"] <= min(found["balanced"], found["chain"])
        assert found["Kraft"] == 1
    assert space["code_table"]["Zipf, V = 50"]["Huffman"] < np.log2(50) - 0.9
    for name in ("entropy, Zipf", "Huffman, Zipf"):
        assert np.all(space["lengths_by_size"][name] < space["lengths_by_size"]["log₂ V"])


def test_not_every_binary_tree_is_short(lesson) -> None:
    assert lesson("12")["code_table"]["uniform, V = 1000"]["chain"] > 500


def test_with_the_slides_indicator_probabilities_do_not_sum_to_1(lesson) -> None:
    """D20."""
    space = lesson("12")
    right, slide = space["tree_sums"].T
    assert len(right) == 200
    assert np.abs(right - 1).max() < 1e-12
    assert np.mean(np.abs(slide - 1) > 0.05) > 0.9
    assert np.all(slide != 1)
    assert abs(space["a_axis"][space["right_loss"].argmin()]) < 0.05
    assert np.all(np.diff(space["slide_loss"]) < 0)


def test_the_product_runs_to_the_words_own_length(lesson) -> None:
    """D20, L(w) and not L(w_t)."""
    sums = lesson("12")["length_of_all"]
    assert sums["milk"] > 1.05
    assert sums["tea"] == pytest.approx(1, abs=1e-12)


def test_an_item_of_the_alias_table_is_drawn_as_often_as_it_should(lesson) -> None:
    assert np.abs(lesson("12")["draw_errors"]).max() < 4


def test_the_full_softmax_grows_like_V_and_a_path_like_log_V(lesson) -> None:
    """Of the times only what no busy machine can turn round: factors of ten and more."""
    space = lesson("12")
    assert space["row_slopes"]["full softmax"] == pytest.approx(1)
    assert space["row_slopes"]["negative sampling"] == pytest.approx(0, abs=1e-9)
    steps = np.diff(space["rows_touched"]["hierarchical softmax"])
    assert np.all((steps > 0.4) & (steps < 1))  # a doubling costs less than a question
    slopes = space["time_slopes"]
    assert slopes["full softmax"] > 0.75
    assert slopes["hierarchical softmax"] < 0.4
    assert slopes["negative sampling"] < 0.4
    assert space["full_over_tree"] > 10


def test_hierarchical_softmax_is_within_ten_per_cent_of_the_full_one(lesson) -> None:
    for found in lesson("12")["perplexities"].values():
        full = found["full softmax"]
        assert np.mean(found["Huffman"] / full) < 1.1
        assert np.mean(found["similar together"] / full) < 1.03
    assert full.max() < lesson("12")["unigram_perplexity"] / 2


def test_a_random_tree_is_worse_than_one_of_similar_words_for_every_seed(lesson) -> None:
    found = lesson("12")["perplexities"][8]
    assert len(found["random"]) == 5
    assert np.all(found["random"] > 1.03 * found["similar together"])


def test_with_more_factors_the_difference_is_nearly_gone(lesson) -> None:
    """What the lesson says does not show."""
    found = lesson("12")["perplexities"][16]
    assert np.all(found["random"] < 1.02 * found["similar together"])


def test_huffmans_tree_has_the_shortest_paths(lesson) -> None:
    lengths = lesson("12")["toy_lengths"]
    assert lengths["Huffman"] < lengths["random"] - 0.5


def test_the_optimum_of_negative_sampling_is_pmi_less_log_k(lesson) -> None:
    space = lesson("12")
    assert set(space["theorem"]) == {1.0, 0.75, 0.0}
    for found in space["theorem"].values():
        assert found["rmse"] < 1e-3
        assert found["gradient"] < 1e-15
    assert space["pmi_gap"] < 1e-12
    by_size = space["theorem_by_size"]
    assert by_size[15] < 1e-3
    assert all(by_size[D] > 0.05 for D in (1, 2, 4, 8, 12))


def test_the_sampled_loss_has_the_expected_one_as_its_mean(lesson) -> None:
    space = lesson("12")
    assert abs(space["sampled_mean"] - space["exact_mean"]) < 4 * space["sampled_error"]


def test_ranking_by_products_needs_log_q(lesson) -> None:
    hits = {name: np.array(found) for name, found in lesson("12")["hits"].items()}
    assert len(hits["counts"]) == 3
    for alpha in (1.0, 0.75):
        by_pmi, by_probability = hits[f"O·E, α = {alpha}"], hits[f"O·E + log q, α = {alpha}"]
        assert np.all(by_probability > 1.1 * by_pmi)
        assert np.all(by_pmi < hits["counts"])
        assert np.all(by_probability > hits["counts"])
    assert np.all(hits["O·E, α = 1.0"] < hits["O·E, α = 0.75"])
    assert np.array_equal(hits["O·E, α = 0.0"], hits["O·E + log q, α = 0.0"])


def test_products_alone_recommend_what_is_rare(lesson) -> None:
    rank = lesson("12")["popularity_rank"]
    assert np.mean(rank["O·E, α = 0.75"]) > 3 * np.mean(rank["O·E + log q, α = 0.75"])


def test_neighbours_are_of_the_same_topic(lesson) -> None:
    found = {name: np.array(values) for name, values in lesson("12")["in_topic"].items()}
    near = found["E, α = 0.75"]
    assert np.all(near > 1.5 * found["random"])
    assert np.all(near > found["counts"])


def test_the_cosine_of_counts_is_hard_to_beat(lesson) -> None:
    """What the lesson says does not show: that training is always better."""
    found = lesson("12")["in_topic"]
    assert np.mean(found["cosine of counts"]) > np.mean(found["E, α = 0.75, 300 steps"])
