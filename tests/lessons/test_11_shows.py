"""What lesson 11 claims, of the data in the folder of real data and of the made-up shop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lessons.engine.exercises import WRONG, outcomes
from lessons.engine.running import code_cells, execute, run_checks
from lessons.engine.source import find_lesson

SHORTER = {  # one text instead of several
    "in range(5)}": "in range(1)}",
    "in range(3)": "in range(1)",
    "SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.0)": "SHARES = (1.0, 0.0)",
    "epochs=20": "epochs=1",
}
FORMS = ("paris − france + italy", "king − man + woman")


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names of lesson 11 where it finds no data; its experiments with a single text."""
    path = find_lesson("11")
    text = path.read_text(encoding="utf-8")
    for some, one in SHORTER.items():
        assert some in text
        text = text.replace(some, one)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch, outcomes():
        patch.setenv("NNLIB_DATA", str(tmp_path_factory.mktemp("nothing")))
        patch.setenv("MPLBACKEND", "agg")
        patch.delenv("NNLIB_FIGURES", raising=False)
        execute(text, namespace, str(path))
    return namespace


@pytest.fixture
def space(lesson) -> dict[str, Any]:
    return lesson("11")


@pytest.fixture
def groceries(space, shared_data: Path) -> dict[str, Any]:
    """The names of lesson 11 where it found the groceries."""
    if not (shared_data / "groceries").is_dir():
        pytest.skip("no groceries in the folder of real data")
    return space


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        ("share[:, :, None] * dh[:, None, :]", "here[:, :, None] * dh[:, None, :]", "lacks 1/|C|"),
        (
            "np.add.at(dE, context, share[:, :, None] * dh[:, None, :])",
            "dE[context[here]] += (share[:, :, None] * dh[:, None, :])[here]",
            "of a repeated word one gradient is kept",
        ),
        ("here / here.sum(axis=1, keepdims=True)", "here * 1.0", "the slide's sum (D19)"),
    ],
)
def test_wrong_gradients_of_cbow_are_named(right: str, wrong: str, sentence: str) -> None:
    cells = code_cells(find_lesson("11"))
    at = next(i for i, cell in enumerate(cells) if "### BEGIN SOLUTION 11.3" in cell)
    assert right in cells[at].split("### HINT")[-1]
    head, tail = cells[at].rsplit(right, 1)
    cells[at] = head + wrong + tail
    [outcome] = run_checks(cells, ["11.3"])
    assert outcome.state == WRONG
    assert sentence in outcome.text


@pytest.mark.slow
def test_d25_softmax_is_a_probability_and_a_smooth_argmax(space) -> None:
    assert space["p_25"] == pytest.approx([0, 1, 0], abs=1e-3)
    assert space["smooth_max_25"] == pytest.approx(30, abs=1e-3)
    assert np.abs(space["area_25"] - 1).min() > 0.1


@pytest.mark.slow
def test_the_program_keeps_a_little_more_than_the_paper(space) -> None:
    assert space["told"] == [pytest.approx(0.1, abs=5e-4), pytest.approx(0.11, abs=5e-4)]


@pytest.mark.slow
def test_dynamic_windows_weigh_by_distance(space) -> None:
    assert space["share_at"] == pytest.approx(space["expected_share"], abs=0.03)


@pytest.mark.slow
def test_without_the_factor_it_is_the_gradient_of_no_loss(space) -> None:
    assert space["factor_errors"]["with 1/|C|"] < 1e-8
    assert space["asymmetry"]["with 1/|C|"] < 1e-8
    assert space["factor_errors"]["without"] > 0.5
    assert space["asymmetry"]["without"] > 0.1


@pytest.mark.slow
def test_what_the_missing_factor_does_to_training(space) -> None:
    test = {name: np.array(found) for name, found in space["cbow_test"].items()}
    assert len(test["with 1/|C|"]) == 3
    assert np.all(test["without, η = 8"] < test["with 1/|C|, η = 8"] - 0.05)
    assert np.abs(test["without, η = 8"] - test["with 1/|C|"]).max() < 0.02  # no difference
    by_size = {name: np.array(found) for name, found in space["cbow_by_size"].items()}
    assert np.all(by_size["with 1/|C|"][:, 0] < by_size["without, η = 8"][:, 0] - 0.15)
    assert np.all(by_size["with 1/|C|"][:, 4:7] > by_size["without, η = 8"][:, 4:7])


@pytest.mark.slow
def test_d19_a_sum_is_another_model_than_a_mean(space) -> None:
    p = space["p_19"]
    assert np.array_equal(p["mean", "once"], p["mean", "twice"])
    assert np.abs(p["sum", "once"] - p["sum", "twice"]).max() > 0.05
    test = {name: np.array(found) for name, found in space["cbow_test"].items()}
    assert np.all(test["sum"] < test["with 1/|C|"] - 0.03)


@pytest.mark.slow
def test_skip_gram_comes_near_the_entropy_of_its_counts_and_not_below(space) -> None:
    above = space["above_entropy"]
    assert space["pair_loss_gap"] < 1e-12
    assert 0 < above[64] < 0.002 < above[24] < 0.01 < above[8] < above[2]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", ["skip-gram", "skip-gram, thinned out", "CBOW", "CBOW, sum"])
def test_analogies_of_two_crossed_attributes(space, model: str, form: str) -> None:
    found = np.array(space["analogy_results"][model, form])
    assert len(found) == (3 if "CBOW" in model else 5)
    assert found[:, 0].min() >= 0.8
    assert np.all(found[:, 3] < found[:, 0] - 0.3)  # a neighbour alone is no answer


@pytest.mark.slow
def test_d26_without_exclusion_the_answer_is_mostly_a_query_word(space) -> None:
    for share, found in space["by_share"].items():
        excluded, free, query_word, control = np.array(found).T
        assert excluded.min() >= 0.95
        if share <= 0.2:
            assert query_word.min() > 0.5
            assert free.max() < 0.45
            assert control.min() >= 0.95
        if share <= 0.1:
            assert query_word.min() > 0.8
    assert min(np.array(space["by_share"][1.0])[:, 1]) >= 0.95


@pytest.mark.slow
def test_d26_exclusion_answers_even_where_there_is_no_gender(space) -> None:
    assert not {"he", "she", "his", "her", "him"} & {
        word for sentence in space["grammar"](500, 0, 0.0) for word in sentence
    }
    assert np.array(space["by_share"][0.0])[:, 0].min() >= 0.95


@pytest.mark.slow
def test_long_training_spoils_analogies_where_there_are_factors_to_spare(space) -> None:
    mean = {D: np.mean(found, axis=0) for D, found in space["by_steps"].items()}
    assert mean[16][-1] > 0.95
    assert mean[32][-1] < mean[32].max() - 0.2
    assert mean[32][-1] < mean[24][-1] < mean[16][-1]


@pytest.mark.slow
def test_offsets_of_pairs_are_parallel(space) -> None:
    assert min(space["offset_cosines"].values()) > 0.75


@pytest.mark.slow
def test_the_two_tables_of_the_groceries(groceries) -> None:
    assert groceries["REAL_GROCERIES"]
    assert len(groceries["same_shelf"]) == 3
    assert min(groceries["same_shelf"]) > 1.2 * groceries["shelf_by_chance"]
    lift = groceries["lift_of_best"]
    assert lift["with it"] > 1.5
    assert lift["alike"] < 1.2


@pytest.mark.slow
def test_d26_groceries_do_not_add_up(groceries) -> None:
    assert groceries["frozen_accuracy"] <= 0.2


@pytest.mark.slow
def test_without_the_folder_the_shop_is_made_up(made_up) -> None:
    assert not made_up["REAL_GROCERIES"]
    assert min(made_up["same_shelf"]) > 0.8
    assert np.isnan(made_up["frozen_accuracy"])


@pytest.mark.slow
def test_the_library_agrees(space) -> None:
    assert max(space["library_gaps"].values()) < 1e-12
    assert min(space["library_words"].values()) >= 0.8
