"""How far predicted ratings are from the given ones."""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from nnlib.array import Array

if TYPE_CHECKING:
    from nnlib.data import Interactions


class RatingModel(Protocol):
    """A model that predicts the rating of pairs of raw ids."""

    def predict(self, users: Array, items: Array) -> Array:
        """The rating of each pair: (E,), (E,) → (E,)."""


def rmse(predicted: Array, rating: Array) -> float:
    """√ of the mean squared difference."""
    return float(np.sqrt(np.mean(np.square(np.asarray(predicted) - np.asarray(rating)))))


def mean_absolute_error(predicted: Array, rating: Array) -> float:
    """Mean of the absolute difference."""
    return float(np.mean(np.abs(np.asarray(predicted) - np.asarray(rating))))


def rating_rmse(model: RatingModel, test: "Interactions") -> float:
    """RMSE of the model's predictions on all ratings (`value`) of `test`.

    Raises
        ValueError: `test` has no ratings.
    """
    if test.value is None:
        raise ValueError("the test log has no ratings: name their column, by value=…")
    return rmse(model.predict(test.user_ids[test.user], test.item_ids[test.item]), test.value)
