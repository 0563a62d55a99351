"""FixedFeatures: what is known of each item beforehand, looked up and never learned."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.layer import Layer


class FixedFeatures(Layer):
    """Rows of a table that stays as it is, such as an image network's output for every item.

        (1) y = F[ids]
    Shapes
        ids (...) int · F (N, D) → y (..., D)
    Arguments
        features: F, one row for each item
    Raises
        ValueError: F is no matrix, is empty or has a number that is not finite.
    """

    def __init__(self, features: Array) -> None:
        if features.ndim != 2 or not features.size:
            raise ValueError(
                f"features have shape {features.shape}: give a matrix with one row for each item"
            )
        finite = np.isfinite(features).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"the features of item {int(np.argmin(finite))} are not all finite: "
                "an item without features has a row of zeros"
            )
        self.features = features

    def __call__(
        self, ids: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        return self.features[ids], lambda dy: None  # (1): F is a constant
