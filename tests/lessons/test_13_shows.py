"""What lesson 13 claims, and what it says does not show."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lessons.engine.exercises import outcomes
from lessons.engine.running import code_cells, execute
from lessons.engine.source import find_lesson

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names of films and shop where there is no folder of data."""
    path = find_lesson("13")
    parts = ("import os", "def fit_table(", "def set_table(", "films = {", "same_department = []")
    cells = [cell for cell in code_cells(path) if any(part in cell for part in parts)]
    assert len(cells) == len(parts)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch, outcomes():
        patch.setenv("NNLIB_DATA", str(tmp_path_factory.mktemp("nothing")))
        patch.setenv("MPLBACKEND", "agg")
        patch.delenv("NNLIB_FIGURES", raising=False)
        for i, cell in enumerate(cells):
            execute(cell, namespace, f"{path} part {i}")
    return namespace


@pytest.fixture
def real(lesson, shared_data: Path) -> dict[str, Any]:
    """The names of the lesson where it found MovieLens 100K and the groceries."""
    for folder in ("ml-100k", "groceries"):
        if not (shared_data / folder).is_dir():
            pytest.skip(f"no {folder} in the folder of real data")
    return lesson("13")


def means(found: dict[str, Any], column: int) -> dict[str, float]:
    return {name: float(np.asarray(values)[..., column].mean()) for name, values in found.items()}


def test_pv_dbow_is_close_to_lsa_and_inference_loses_nothing(lesson) -> None:
    mean = {name: np.mean(found) for name, found in lesson("13")["topic_accuracy"].items()}
    assert mean["PV-DBOW"] >= mean["LSA"] - 0.02
    assert mean["inferred"] >= mean["PV-DBOW"] - 0.02
    assert abs(mean["PV-DBOW"] - mean["mean of word vectors"]) < 0.02  # not better


def test_only_the_concatenation_knows_the_direction(lesson) -> None:
    found = lesson("13")["order_accuracy"]
    grammars, directions = means(found, 0), means(found, 1)
    for name in ("PV-DBOW", "the same, one word"):
        assert 0.4 < grammars[name] < 0.6
        assert 0.4 < directions[name] < 0.6
    assert found["PV-DM, concatenated"][:, 0].min() > 0.95
    assert directions["PV-DM, mean"] < 0.6
    assert directions["PV-DM, concatenated"] > directions["PV-DM, mean"] + 0.1


def test_dbow_is_no_cbow(lesson) -> None:
    """D21."""
    assert lesson("13")["same_pairs"] == {"PV-DBOW": True, "PV-DM": False}


def test_a_window_is_not_all_the_others(lesson) -> None:
    """D22."""
    found = lesson("13")["pairs_22"]
    assert [found[c][0].sum() for c in (2, 5)] == [18, 30]
    assert not np.array_equal(*found[2])
    assert np.array_equal(*found[5])


def test_a_sum_of_embeddings_is_another_loss(lesson) -> None:
    """D23: where one has its minimum the other has not."""
    found = lesson("13")["losses_23"]
    assert found["product"][1] < 1e-12
    assert found["sum"][1] > 0.01
    assert abs(found["product"][0] - found["sum"][0]) > 0.1


def test_next_basket_and_same_basket_in_every_world(lesson) -> None:
    found = lesson("13")["next_same"]
    assert found["bagged"].shape == (3, 2)
    assert np.all(found["bagged"][:, 0] > found["prod2vec"][:, 0])
    assert np.all(found["prod2vec"][:, 1] > found["bagged"][:, 1])
    for name in ("prod2vec", "bagged"):
        assert np.all(found[name][:, 0] > found["popularity"][:, 0])
        assert np.all(found[f"{name}, directed"][:, 0] > found[name][:, 0])
    assert found["bagged"][:, 0].mean() > found["bagged, sum"][:, 0].mean()


def test_counting_the_same_pairs_is_as_good(lesson) -> None:
    """What the lesson says does not show: that vectors are better, in a dense world."""
    found = lesson("13")["next_same"]
    assert abs(found["prod2vec"] - found["counts of the window"]).mean() < 0.02
    assert abs(found["bagged"] - found["counts, bagged"]).mean() < 0.02


def test_substitutes_by_cosine_complements_by_the_product(lesson) -> None:
    like, along = lesson("13")["told"]
    _, along_next = lesson("13")["told_next"]
    assert like > 0.9
    assert along < 0.1
    assert along_next > 0.4


def test_user2vec_on_what_the_last_purchases_hide(lesson) -> None:
    found = lesson("13")["user2vec_hits"]
    for other in ("prod2vec, last two", "CBOW"):
        assert np.all(found["user2vec"][:, 1] > found[other][:, 1])
    assert np.all(found["user2vec, only the user"][:, 1] > found["prod2vec, all purchases"][:, 1])
    hidden = means(found, 1)
    assert hidden["user2vec"] < hidden["popularity"] + 0.02  # no more than that


def test_rare_films_have_neighbours_of_their_genres_with_the_weights(real) -> None:
    found = real["films"]
    _, rare, others, hits = found["item2vec"]
    for name in ("cosine", "truncated SVD", "item2vec without weights"):
        assert rare > found[name][1] + 0.02
        assert others > found[name][2]
    assert hits > found["cosine"][3]
    gain = np.subtract(found["item2vec"], found["truncated SVD"])
    assert gain[1] > gain[2]  # more so for rare films
    assert found["item2vec"] == pytest.approx((0.354, 0.339, 0.364, 0.244), abs=0.005)


def test_without_the_folder_films_are_made_up(made_up) -> None:
    assert not made_up["REAL_FILMS"]
    rare = {name: values[1] for name, values in made_up["films"].items()}
    assert max(rare, key=rare.get) == "item2vec"
    assert min(made_up["same_department"]) > 2 * made_up["by_chance"]


def test_neighbouring_groceries_are_more_often_of_a_department(real) -> None:
    assert min(real["same_department"]) > 1.3 * real["by_chance"]


def test_metadata_helps_where_nothing_else_is_known(lesson) -> None:
    found = lesson("13")["meta_hits"]
    meta, penalty = found["Meta-Prod2Vec"], found["prod2vec with L2"]
    assert np.all(meta[:, 0] > 1.5 * penalty[:, 0])
    assert np.all(meta[:, 0] > 1.5 * found["best sellers"][:, 0])
    assert np.all(meta.mean(axis=0) > penalty.mean(axis=0))


def test_shuffled_metadata_gains_nothing(lesson) -> None:
    found = lesson("13")["meta_hits"]
    shuffled = found["shuffled metadata"].mean(axis=0)
    assert np.all(shuffled < found["prod2vec with L2"].mean(axis=0))
    assert np.all(shuffled + 0.02 < found["Meta-Prod2Vec"].mean(axis=0))


def test_what_metadata_does_not_do(lesson) -> None:
    found = {name: x.mean(axis=0) for name, x in lesson("13")["meta_hits"].items()}
    category, meta = found["best sellers of the category"], found["Meta-Prod2Vec"]
    assert abs(meta[0] - category[0]) < 0.03  # no better than best sellers of the category
    assert category[1] > meta[1]
    plain, penalty = found["prod2vec"][1], found["prod2vec with L2"][1]
    assert penalty - plain > meta[1] - penalty  # most of the gain is the penalty


def test_modules_together_are_better_than_the_best_alone(lesson) -> None:
    found = lesson("13")["content_auc"]
    best = np.max([found[f"{name} alone"] for name in ("prod2vec", "text", "image")], axis=0)
    for name in ("all, weighted sum", "all, residual unit"):
        assert np.all(found[name][:, 0] >= best[:, 0] + 0.02)
        assert np.all(found[name][:, 1] > found["text and image"][:, 1] - 0.03)  # not hurt
    assert np.all(found["prod2vec alone"][:, 1] == 0.5)
    assert found["text and image"][:, 1].min() > 0.65
