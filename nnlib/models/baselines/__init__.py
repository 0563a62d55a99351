"""Classical baselines: what a network has to beat."""

from nnlib.models.baselines.item_knn import ItemKNN
from nnlib.models.baselines.markov import Markov
from nnlib.models.baselines.popularity import Popularity
from nnlib.models.baselines.session_knn import SessionKNN
from nnlib.models.baselines.session_popularity import SessionPopularity
from nnlib.models.baselines.vsknn import VSKNN

__all__ = ["VSKNN", "ItemKNN", "Markov", "Popularity", "SessionKNN", "SessionPopularity"]
