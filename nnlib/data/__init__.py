"""The only forms in which data reaches a model."""

from nnlib.data.basket_world import BasketWorld, Tastes
from nnlib.data.baskets import baskets, read_baskets
from nnlib.data.batches import SessionParallel, batches, session_parallel
from nnlib.data.corpus import Corpus, InteractionsCorpus, TextCorpus
from nnlib.data.errors import DataError
from nnlib.data.histories import Histories
from nnlib.data.interactions import Interactions
from nnlib.data.negatives import PopularitySampler
from nnlib.data.readers import (
    Rsc15Counts,
    read_movielens,
    read_rsc15,
    read_yoochoose,
    rsc15_split,
)
from nnlib.data.split import by_event, by_session, by_time, last_out, one_out, within_users
from nnlib.data.synthetic import HMMClicks
from nnlib.data.vocabulary import Vocabulary, keep_probability
from nnlib.data.windows import (
    basket_pairs,
    cbow_windows,
    document_windows,
    set_pairs,
    skip_gram_pairs,
)
from nnlib.data.word_vectors import read_word_vectors, write_word_vectors

__all__ = [
    "BasketWorld",
    "Corpus",
    "DataError",
    "HMMClicks",
    "Histories",
    "Interactions",
    "InteractionsCorpus",
    "PopularitySampler",
    "Rsc15Counts",
    "SessionParallel",
    "Tastes",
    "TextCorpus",
    "Vocabulary",
    "basket_pairs",
    "baskets",
    "batches",
    "by_event",
    "by_session",
    "by_time",
    "cbow_windows",
    "document_windows",
    "keep_probability",
    "last_out",
    "one_out",
    "read_baskets",
    "read_movielens",
    "read_rsc15",
    "read_word_vectors",
    "read_yoochoose",
    "rsc15_split",
    "session_parallel",
    "set_pairs",
    "skip_gram_pairs",
    "within_users",
    "write_word_vectors",
]
