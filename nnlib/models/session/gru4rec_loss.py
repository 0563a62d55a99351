"""GRU4Rec's losses on a score block in which every item stands once."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from nnlib.array import Array, Backward, Device, array_module, to_device
from nnlib.functional import ranking, softmax
from nnlib.functional.activations import elu, tanh
from nnlib.functional.rows import count_places
from nnlib.functional.softmax import RowLosses
from nnlib.losses import bpr, top1, top1_max
from nnlib.models.session.gru4rec_network import Objective, ScoreBlock

Loss: TypeAlias = Literal["cross-entropy", "bpr-max", "top1", "top1-max", "bpr"]


def score_block_loss(
    loss: Loss,
    support: Array,
    *,
    bpreg: float,
    elu_alpha: float,
    logq: float,
    sample_alpha: float,
    device: Device,
) -> Objective:
    """The final activation and the loss of each row:  (scores, block) → RowLosses.

    A scored column stands for as many columns of the paper's block as its item occurs among the
    targets and negatives; the losses take that number as `count`.
    """
    if loss == "cross-entropy":
        return _cross_entropy(support, logq, sample_alpha, device)
    activation: Callable[[Array], tuple[Array, Backward]] = partial(elu, alpha=elu_alpha)
    if loss in ("top1", "bpr"):
        activation = tanh
    elif elu_alpha == 0:
        activation = lambda s: (s, lambda dy: dy)
    of_rows = {
        "bpr-max": partial(ranking.bpr_max, regularization=bpreg),
        "top1-max": partial(_rows_of, top1_max),
        "top1": partial(_rows_of, top1),
        "bpr": partial(_rows_of, bpr),
    }[loss]

    def objective(scores: Array, block: ScoreBlock) -> RowLosses:
        count = count_places(block.column_of, scores.shape[1], scores.dtype)
        y, back_activation = activation(scores)
        losses, G, scale = of_rows(y, block.column, count)
        return RowLosses(losses, back_activation(G), scale)

    return objective


def _rows_of(
    loss: Callable[..., tuple[Array, Backward]], y: Array, target: Array, count: Array
) -> RowLosses:
    """A loss that is a mean over rows, in the form of those with a fused gradient."""
    mean, backward = loss(y, target, count)
    ones = array_module(y).ones(len(y), y.dtype)
    return RowLosses(mean * ones, backward(len(y)), ones)


def _cross_entropy(support: Array, logq: float, sample_alpha: float, device: Device) -> Objective:
    """Softmax cross-entropy with the logQ correction.

        (1) r_bj = s_bj − logq · log q_j       q = supp of a target's column, supp^α of a sample's
        (2) L_b  = −r_bb + log Σ_j exp(r_bj)
    Columns of one item differ in q only, so that together they weigh Σ q^−logq times exp(s).
    """
    log_support = to_device(np.log(np.maximum(support, 1).astype(np.float64)), device)
    xp = array_module(log_support)
    of_target = xp.exp(-logq * log_support)
    of_sample = xp.exp(-logq * sample_alpha * log_support)

    def objective(scores: Array, block: ScoreBlock) -> RowLosses:
        weights = None
        if logq:
            weights = xp.concatenate([of_target.take(block.target), of_sample.take(block.negative)])
        weight = count_places(block.column_of, scores.shape[1], scores.dtype, weights)
        losses, G, scale = softmax.cross_entropy(scores, block.column, weight)  # (2)
        if logq:  # of r_bb, a constant
            losses += (logq * log_support.take(block.target)).astype(scores.dtype)  # (1)
        return RowLosses(losses, G, scale)

    return objective
