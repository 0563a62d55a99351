"""Label agreement of nearest neighbours, and errors of ratings."""

from dataclasses import dataclass

import numpy as np
import pytest

from nnlib.data import Interactions
from nnlib.metrics import (
    agreement_per_item,
    label_agreement,
    mean_absolute_error,
    rating_rmse,
    rmse,
)
from nnlib.metrics.neighbours import nearest
from nnlib.models.base import Recommender

ANGLES = np.radians([0, 1, 3, 90, 91, 180])
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * np.array([[1, 9, 2, 1, 5, 1]]).T


@dataclass(kw_only=True)
class Similar(Recommender):
    def __init__(self, table):
        self.item_ids_ = np.arange(len(table))
        self.table = table

    def similarity(self, item):
        return self.table[item]


def test_nearest_by_cosine():
    assert nearest(VECTORS, np.arange(6), 2).tolist() == [
        [1, 2], [0, 2], [1, 0], [4, 2], [3, 2], [4, 3]
    ]  # fmt: skip


def test_one_label_each():
    labels = np.array(["a", "a", "b", "c", "c", "b"])
    np.testing.assert_allclose(agreement_per_item(VECTORS, labels, k=2), [0.5, 0.5, 0, 0.5, 0.5, 0])
    assert label_agreement(VECTORS, labels, k=2) == pytest.approx(1 / 3)
    assert label_agreement(VECTORS, labels, k=2, items=np.array([0, 5])) == pytest.approx(1 / 4)


def test_sets_of_labels():
    sets = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1]])
    found = agreement_per_item(VECTORS, sets, k=1)
    np.testing.assert_allclose(found, [1 / 2, 1 / 2, 0, 0, 0, 0])


def test_a_model_gives_its_own_similarity():
    table = -np.abs(np.subtract.outer(np.arange(5), np.arange(5)) - 1.0)  # j = i − 1 is the nearest
    assert nearest(Similar(table), np.array([2, 4]), 1).tolist() == [[1], [3]]


def test_blocks_and_equals():
    same = np.ones((1200, 2))
    found = nearest(same, np.arange(1200), 2)
    assert found[0].tolist() == [1, 2]
    assert found[700].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "k", "message"),
    [(np.zeros(5), 1, "labels of shape"), (np.zeros(6), 6, "k=6"), (np.zeros(6), 0, "k=0")],
)
def test_bad_arguments(labels, k, message):
    with pytest.raises(ValueError, match=message):
        label_agreement(VECTORS, labels, k)


class Doubled:
    def predict(self, users, items):
        return 2.0 * np.asarray(items)


def test_errors_of_ratings():
    assert rmse([1, 2], [1, 4]) == pytest.approx(np.sqrt(2))
    assert mean_absolute_error([1, 2], [1, 4]) == 1
    test = Interactions.from_arrays(["a", "b"], [1, 3], value=[2.0, 3.0])
    assert rating_rmse(Doubled(), test) == pytest.approx(np.sqrt(4.5))
    with pytest.raises(ValueError, match="no ratings"):
        rating_rmse(Doubled(), Interactions.from_arrays([1], [2]))
