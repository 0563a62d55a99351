"""nnlib: from a neuron to GRU4Rec, by hand.

    y, backward = layer(x, rng=rng)        # rng=None: no noise
    dx = backward(dy)                      # adds to the parameters' gradients, returns dL/dx

Here are the names that networks are built from.  Recommenders are in `nnlib.models`, logs and
batches in `nnlib.data`, full-ranking evaluation in `nnlib.metrics`, gradient checks in
`nnlib.check`, figures in `nnlib.plot`.
"""

from nnlib.array import Array, array_module, to_device, to_host
from nnlib.functional.activations import (
    elu,
    leaky_relu,
    relu,
    selu,
    sigmoid,
    softmax,
    softplus,
    tanh,
)
from nnlib.layer import Layer
from nnlib.layers import (
    GRU,
    AlphaDropout,
    Dense,
    Dropout,
    Embedding,
    GRUCell,
    GRUStep,
    Residual,
    Scan,
    Sequential,
    concat,
    product,
)
from nnlib.losses import (
    bpr,
    bpr_max,
    cross_entropy,
    discriminator_loss,
    generator_loss,
    kl_divergence,
    logistic,
    minimax_generator_loss,
    reverse_kl_divergence,
    soft_cross_entropy,
    squared,
    top1,
    top1_max,
)
from nnlib.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    EarlyStopping,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
    clip_global_norm,
    l2_penalty,
    soft_threshold,
)
from nnlib.parameter import Parameter

__version__ = "0.1.0"
__all__ = [
    "GRU",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "AlphaDropout",
    "Array",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "GRUCell",
    "GRUStep",
    "Layer",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "Parameter",
    "RMSProp",
    "Residual",
    "Scan",
    "Sequential",
    "array_module",
    "bpr",
    "bpr_max",
    "clip_global_norm",
    "concat",
    "cross_entropy",
    "discriminator_loss",
    "elu",
    "generator_loss",
    "kl_divergence",
    "l2_penalty",
    "leaky_relu",
    "logistic",
    "minimax_generator_loss",
    "product",
    "relu",
    "reverse_kl_divergence",
    "selu",
    "sigmoid",
    "soft_cross_entropy",
    "soft_threshold",
    "softmax",
    "softplus",
    "squared",
    "tanh",
    "to_device",
    "to_host",
    "top1",
    "top1_max",
]
