"""Losses: functions  loss, backward = f(scores, ...);  dscores = backward().

The loss is 0-d, of the scores' dtype, a mean over the batch, in nats where it is a likelihood.
`backward(dloss=1.0)` returns ∂loss/∂scores · dloss, a new array each time.  Targets, counts and
weights are data: they get no gradient.
"""

from nnlib.losses.adversarial import (
    discriminator_loss,
    generator_loss,
    minimax_generator_loss,
)
from nnlib.losses.classification import (
    cross_entropy,
    kl_divergence,
    logistic,
    reverse_kl_divergence,
    soft_cross_entropy,
)
from nnlib.losses.cosine import cosine_distance
from nnlib.losses.ranking import bpr, bpr_max, top1, top1_max
from nnlib.losses.regression import squared
from nnlib.losses.sampled import negative_sampling
from nnlib.losses.sequence import sequence_cross_entropy

__all__ = [
    "bpr",
    "bpr_max",
    "cosine_distance",
    "cross_entropy",
    "discriminator_loss",
    "generator_loss",
    "kl_divergence",
    "logistic",
    "minimax_generator_loss",
    "negative_sampling",
    "reverse_kl_divergence",
    "sequence_cross_entropy",
    "soft_cross_entropy",
    "squared",
    "top1",
    "top1_max",
]
