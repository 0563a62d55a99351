"""GRU4Rec's losses on a score block in which every item stands once."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from nnlib.array import Array, Backward, Device, array_module, to_device
from nnlib.functional.activations import elu, tanh
from nnlib.losses import bpr, bpr_max, cross_entropy, top1, top1_max
from nnlib.models.session.gru4rec_network import ScoreBlock

Loss: TypeAlias = Literal["cross-entropy", "bpr-max", "top1", "top1-max", "bpr"]
Objective: TypeAlias = Callable[[Array, ScoreBlock, Array, Array], tuple[Array, Backward]]


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
    """The final activation and the loss:  (scores, block, target, negative) → loss, backward.

    A scored column stands for as many columns of the paper's block as its item occurs among the
    targets and negatives; the losses take that number as `count`.
    """
    if loss == "cross-entropy":
        return _cross_entropy(support, logq, sample_alpha, device)
    activation = tanh if loss in ("top1", "bpr") else partial(elu, alpha=elu_alpha)
    rankings: dict[str, Callable[..., tuple[Array, Backward]]] = {
        "bpr-max": partial(bpr_max, regularization=bpreg),
        "top1-max": top1_max,
        "top1": top1,
        "bpr": bpr,
    }
    ranking = rankings[loss]
    linear = loss in ("bpr-max", "top1-max") and elu_alpha == 0

    def objective(
        scores: Array, block: ScoreBlock, target: Array, negative: Array
    ) -> tuple[Array, Backward]:
        count = array_module(scores).bincount(block.column_of).astype(scores.dtype)
        if linear:
            return ranking(scores, block.column, count)
        y, back_activation = activation(scores)
        value, back_loss = ranking(y, block.column, count)
        return value, lambda dloss=1.0: back_activation(back_loss(dloss))

    return objective


def _cross_entropy(support: Array, logq: float, sample_alpha: float, device: Device) -> Objective:
    """Softmax cross-entropy with the logQ correction.

        (1) r_bj = s_bj − logq · log q_j       q = supp of a target's column, supp^α of a sample's
        (2) L_b  = −r_bb + log Σ_j exp(r_bj)
    Columns of one item differ in q only, so that together they weigh Σ q^−logq times exp(s).
    """
    log_support = to_device(np.log(support.astype(np.float64)), device)
    xp = array_module(log_support)
    of_target = xp.exp(-logq * log_support)
    of_sample = xp.exp(-logq * sample_alpha * log_support)

    def objective(
        scores: Array, block: ScoreBlock, target: Array, negative: Array
    ) -> tuple[Array, Backward]:
        weights = None
        if logq:
            weights = xp.concatenate([of_target.take(target), of_sample.take(negative)])
        weight = xp.bincount(block.column_of, weights)
        value, backward = cross_entropy(
            scores, block.column, xp.log(weight).astype(scores.dtype)
        )  # (2) without the correction of r_bb, a constant
        if logq:
            value = value + (logq * log_support.take(target).mean()).astype(scores.dtype)  # (1)
        return value, backward

    return objective
