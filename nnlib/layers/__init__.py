"""Layers: parameters and the functions that use them, one concept to a file."""

from nnlib.functional.sequences import last_state
from nnlib.layers.alpha_dropout import AlphaDropout
from nnlib.layers.attention import AdditiveAttention, MaskedMean, MultiplicativeAttention
from nnlib.layers.bag_of_words import BagOfWords
from nnlib.layers.bidirectional import Bidirectional
from nnlib.layers.concat import concat
from nnlib.layers.decoder import Decoder
from nnlib.layers.dense import Dense
from nnlib.layers.dropout import Dropout
from nnlib.layers.embedding import Embedding
from nnlib.layers.encoder_decoder import EncoderDecoder
from nnlib.layers.fixed_features import FixedFeatures
from nnlib.layers.gaussian_latent import GaussianLatent
from nnlib.layers.gru import GRU
from nnlib.layers.gru_cell import GRUCell
from nnlib.layers.gru_step import GRUStep
from nnlib.layers.hierarchical_softmax import HierarchicalSoftmax
from nnlib.layers.linear_ensemble import LinearEnsemble
from nnlib.layers.lstm import LSTM, LSTMCell
from nnlib.layers.modrelu import ModReLU
from nnlib.layers.orthogonal import CayleyRNN, OrthogonalRNN
from nnlib.layers.pairwise_residual import PairwiseResidual
from nnlib.layers.product import product
from nnlib.layers.residual import Residual
from nnlib.layers.rnn import RNN, RNNCell
from nnlib.layers.scan import Scan
from nnlib.layers.sequential import Sequential
from nnlib.layers.unitary import UnitaryCell

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "AlphaDropout",
    "BagOfWords",
    "Bidirectional",
    "CayleyRNN",
    "Decoder",
    "Dense",
    "Dropout",
    "Embedding",
    "EncoderDecoder",
    "FixedFeatures",
    "GRUCell",
    "GRUStep",
    "GaussianLatent",
    "HierarchicalSoftmax",
    "LSTMCell",
    "LinearEnsemble",
    "MaskedMean",
    "ModReLU",
    "MultiplicativeAttention",
    "OrthogonalRNN",
    "PairwiseResidual",
    "RNNCell",
    "Residual",
    "Scan",
    "Sequential",
    "UnitaryCell",
    "concat",
    "last_state",
    "product",
]
