"""Optimizers, one file each: the equation and its rule; clipping; learning-rate schedules.

optimizer = Adagrad(model.parameters(), lr=0.1)
...                                    # forward, backward
clip_global_norm(optimizer.params, 5.0)
optimizer.lr = schedule(optimizer.t)
optimizer.step()                       # moves the parameters, clears their gradients
"""

from nnlib.optim.adadelta import Adadelta
from nnlib.optim.adagrad import Adagrad
from nnlib.optim.adam import Adam
from nnlib.optim.adamw import AdamW
from nnlib.optim.clip import clip_global_norm
from nnlib.optim.early_stopping import EarlyStopping
from nnlib.optim.momentum import Momentum
from nnlib.optim.nesterov import Nesterov
from nnlib.optim.optimizer import Optimizer
from nnlib.optim.penalties import l2_penalty, soft_threshold
from nnlib.optim.rmsprop import RMSProp
from nnlib.optim.schedule import (
    ReduceOnPlateau,
    Schedule,
    exponential,
    inverse_time,
    linear,
    step_decay,
    warmup_cosine,
)
from nnlib.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "EarlyStopping",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSProp",
    "ReduceOnPlateau",
    "Schedule",
    "clip_global_norm",
    "exponential",
    "inverse_time",
    "l2_penalty",
    "linear",
    "soft_threshold",
    "step_decay",
    "warmup_cosine",
]
