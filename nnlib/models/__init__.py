"""Recommenders, and a reader that finds out which of them a file holds."""

from pathlib import Path

from nnlib.models.base import NotFittedError, Recommender, Session
from nnlib.models.baselines.bayes import BayesCeiling
from nnlib.models.baselines.item_knn import ItemKNN
from nnlib.models.baselines.markov import Markov
from nnlib.models.baselines.popularity import Popularity
from nnlib.models.baselines.session_knn import SessionKNN
from nnlib.models.baselines.session_popularity import SessionPopularity
from nnlib.models.baselines.vsknn import VSKNN
from nnlib.models.embeddings.asymmetric_mf import AsymmetricMF
from nnlib.models.embeddings.bagged_prod2vec import BaggedProd2Vec
from nnlib.models.embeddings.co_occurrence import CoOccurrence
from nnlib.models.embeddings.content2vec import Content2Vec
from nnlib.models.embeddings.ease import EASE
from nnlib.models.embeddings.implicit_als import ImplicitALS
from nnlib.models.embeddings.item2vec import Item2Vec
from nnlib.models.embeddings.matrix_factorization import MatrixFactorization
from nnlib.models.embeddings.meta_prod2vec import MetaProd2Vec
from nnlib.models.embeddings.paragraph_vectors import ParagraphVectors
from nnlib.models.embeddings.prod2vec import Prod2Vec
from nnlib.models.embeddings.truncated_svd import TruncatedSVD
from nnlib.models.embeddings.user2vec import User2Vec
from nnlib.models.embeddings.word2vec import Word2Vec
from nnlib.models.session.cosine_gru4rec import CosineGRU4Rec
from nnlib.models.session.distilled_gru4rec import DistilledGRU4Rec
from nnlib.models.session.gru4rec import GRU4Rec
from nnlib.models.session.prefix_gru4rec import PrefixGRU4Rec
from nnlib.models.session.relevar import ReLeVar
from nnlib.models.session.warm_start import WarmStart
from nnlib.storage import read_arrays

__all__ = [
    "EASE",
    "MODELS",
    "VSKNN",
    "AsymmetricMF",
    "BaggedProd2Vec",
    "BayesCeiling",
    "CoOccurrence",
    "Content2Vec",
    "CosineGRU4Rec",
    "DistilledGRU4Rec",
    "GRU4Rec",
    "ImplicitALS",
    "Item2Vec",
    "ItemKNN",
    "Markov",
    "MatrixFactorization",
    "MetaProd2Vec",
    "NotFittedError",
    "ParagraphVectors",
    "Popularity",
    "PrefixGRU4Rec",
    "Prod2Vec",
    "ReLeVar",
    "Recommender",
    "Session",
    "SessionKNN",
    "SessionPopularity",
    "TruncatedSVD",
    "User2Vec",
    "WarmStart",
    "Word2Vec",
    "load_model",
]

MODELS: dict[str, type[Recommender]] = {  # what can be trained and saved, by name
    "AsymmetricMF": AsymmetricMF,
    "BaggedProd2Vec": BaggedProd2Vec,
    "BayesCeiling": BayesCeiling,
    "Content2Vec": Content2Vec,
    "CoOccurrence": CoOccurrence,
    "CosineGRU4Rec": CosineGRU4Rec,
    "DistilledGRU4Rec": DistilledGRU4Rec,
    "EASE": EASE,
    "GRU4Rec": GRU4Rec,
    "ImplicitALS": ImplicitALS,
    "Item2Vec": Item2Vec,
    "ItemKNN": ItemKNN,
    "Markov": Markov,
    "MatrixFactorization": MatrixFactorization,
    "MetaProd2Vec": MetaProd2Vec,
    "ParagraphVectors": ParagraphVectors,
    "Popularity": Popularity,
    "PrefixGRU4Rec": PrefixGRU4Rec,
    "Prod2Vec": Prod2Vec,
    "ReLeVar": ReLeVar,
    "SessionKNN": SessionKNN,
    "SessionPopularity": SessionPopularity,
    "TruncatedSVD": TruncatedSVD,
    "User2Vec": User2Vec,
    "VSKNN": VSKNN,
    "Word2Vec": Word2Vec,
}


def load_model(path: str | Path) -> Recommender:
    """Read a model that `save` wrote, of whichever class it is.

    Raises
        FileNotFoundError: there is no such file.
        ValueError: it is no model file, is damaged, or holds a model that this nnlib does not know.
    """
    _, header = read_arrays(path)
    if "checkpoint" in header:
        raise ValueError(
            f"{path}: a checkpoint of an unfinished {header['checkpoint']}, not a model: "
            "finish the training first"
        )
    name = header.get("model")
    if not isinstance(name, str) or name not in MODELS:
        raise ValueError(f"{path}: holds {name!r}, no model of this nnlib ({', '.join(MODELS)})")
    return MODELS[name].load(path)
