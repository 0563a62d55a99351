"""What lesson 23 claims."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_order_is_beyond_a_bag_of_symbols(lesson) -> None:
    accuracy = lesson("23")["value_accuracy"]
    for task in ("parity", "which first"):
        assert min(accuracy[task, "GRU"]) > 0.95
    assert max(np.abs(np.array(accuracy["which first", "bag"]) - 0.5)) < 0.03


def test_parity_is_beyond_a_line_but_not_always_at_chance(lesson) -> None:
    """What the lesson says does not show: that a bag of symbols is at ½."""
    space = lesson("23")
    cuts = np.array(list(space["cuts_12"].values()))
    assert max(cuts) == pytest.approx(0.613, abs=5e-4)
    for share in space["value_accuracy"]["parity", "bag"]:
        assert min(abs(cuts - share)) < 0.025  # 4000 sequences
    assert max(abs(np.array(space["value_accuracy"]["parity", "bag"]) - 0.5)) > 0.05
    assert space["ones_and_parity"] == [-1] + 11 * [0]


def test_next_symbol_nears_the_entropy_rate_and_leaks_are_below(lesson) -> None:
    space = lesson("23")
    losses = space["tagger_losses"]
    loss, true = losses["next symbol, GRU"]
    assert true == pytest.approx(space["entropy_rate"], rel=0.02)
    assert true < loss < 1.05 * true
    assert loss < np.log(5)  # the best first-order table
    assert losses["target not shifted"][0] < 0.01
    assert losses["next symbol, both ways"][0] < 0.1


def test_feedback_is_for_choices(lesson) -> None:
    runs = lesson("23")["feedback_runs"]
    for feedback in (True, False):
        assert min(right for _, right in runs["counting down", feedback]) > 0.95
    for loss, right in runs["two spellings", True]:
        assert loss == pytest.approx(np.log(2), abs=0.1)
        assert right > 0.95
    for loss, right in runs["two spellings", False]:
        assert loss == pytest.approx(4 * np.log(2), abs=0.15)
        assert right == pytest.approx(2 / 16, abs=0.03)


def test_one_vector_holds_short_strings_only(lesson) -> None:
    match = lesson("23")["fed_match"]["target"]
    assert match[0] > 0.95
    assert match[-1] < 0.5
    assert np.corrcoef(np.arange(8), match)[0, 1] < -0.8


def test_the_target_is_the_better_teacher(lesson) -> None:
    match = lesson("23")["fed_match"]
    for feed in ("its own", "nothing"):
        assert match[feed].mean() < match["target"].mean() - 0.15


def test_exposure_bias_is_behind_the_first_mistake(lesson) -> None:
    space = lesson("23")
    assert space["same_strings"]
    forced, free = space["shares"]["forced"], space["shares"]["free"]
    assert forced[2] == free[2]
    assert forced[0] > free[0] + 0.05
    assert forced[1] > free[1] + 0.2


def test_beam_finds_what_is_likelier(lesson) -> None:
    found = lesson("23")["beam_found"]
    exact, log_p, missed = np.array([found[K] for K in (1, 2, 4, 8)]).T
    assert (np.diff(log_p) > 0).all()
    assert exact[2] > exact[0]
    assert missed[0] > 0.02
    assert missed[2] < 0.01


def test_attention_holds_long_strings(lesson) -> None:
    matches = lesson("23")["matches"]
    for (name, longest, _), match in matches.items():
        if name != "one query":
            assert match.min() > 0.95 if longest == 10 else match.mean() > 0.95


def test_one_vector_loses_strings_of_5_to_20(lesson) -> None:
    match = lesson("23")["plain_20_match"]
    assert len(match) == 16
    assert match[0] > 0.9
    assert match[8:].max() < 0.1
    assert np.corrcoef(np.arange(16), match)[0, 1] < -0.8


def test_one_query_for_all_is_one_vector(lesson) -> None:
    space = lesson("23")
    match = space["matches"]["one query", 10, 0]
    assert match[0] > 0.95
    assert match[-1] < 0.6


def test_attention_is_the_anti_diagonal(lesson) -> None:
    places = lesson("23")["places"]
    assert sum(key[:2] == ("multiplicative", 10) for key in places) == 2
    for (name, longest, _), (before, at, behind) in places.items():
        assert before < 0.05
        assert at + behind > 0.9
        if (name, longest) == ("multiplicative", 10):
            assert at > 0.9


def test_attention_may_settle_beside_it(lesson) -> None:
    """What the lesson says does not show: that it points at the symbol that is written."""
    assert lesson("23")["places"]["multiplicative", 20, 0][2] > 0.5


def test_the_library_says_the_same(lesson) -> None:
    gaps = lesson("23")["library_gaps"]
    assert len(gaps) == 5
    assert max(gaps.values()) < 1e-12
