"""The baselines that `nnlib demo` and `nnlib reproduce` put beside GRU4Rec."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnlib.models import Recommender


def baselines() -> "dict[str, Recommender]":
    """All six, untrained, by the name in the tables."""
    from nnlib.models import VSKNN, ItemKNN, Markov, Popularity, SessionKNN, SessionPopularity

    return {
        "Popularity": Popularity(),
        "Session popularity": SessionPopularity(),
        "Item-KNN": ItemKNN(),
        "Markov": Markov(),
        "S-KNN": SessionKNN(),
        "V-S-KNN": VSKNN(),
    }
