"""Losses of classification, each fused with the softmax or sigmoid before it.

Fused, because −log of a softmax is exact where the softmax itself underflows, and because the
derivative by the scores is the plain difference of what is predicted and what was wanted.
"""

import math

from nnlib.array import Array, Backward, array_module
from nnlib.functional import activations, softmax
from nnlib.functional.softmax import exp_sum, scale_rows


def cross_entropy(
    scores: Array, target: Array, log_count: Array | None = None
) -> tuple[Array, Backward]:
    """Softmax cross-entropy with one right column per row: mean over the batch, in nats.

        (1) e_bj = exp(s_bj + c_j),  z_b = Σ_j e_bj                  c = log_count
        (2) L = 1/B Σ_b (log z_b − s_bt)                            t = target_b
    `log_count` gives a column weight e^c_j in the sum: log n if it stands for n equal columns (an
    item drawn n times, scored once), −logq · log q_j as correction for sampling by probability q,
    the sum of both, −∞ for a column that does not count.  It is not part of the score s_bt.

    Backward
        ∂L/∂s_bj = (p_bj − [j = t]) / B  with  p = e / z.
    Shapes
        scores (B, N) · target (B,) int · log_count (N,) → L ()
    """
    if log_count is None:
        losses, G, scale = softmax.cross_entropy(scores, target)  # (1) (2)
    elif _moderate(log_count):
        weight = array_module(scores).exp(log_count).astype(scores.dtype)
        losses, G, scale = softmax.cross_entropy(scores, target, weight)  # (1) (2)
    else:
        losses, G, scale = softmax.cross_entropy(scores + log_count, target)  # (1) (2)
        losses += log_count[target]  # s_bt itself is without it
    loss = losses.mean()

    def backward(dloss: Array | float = 1.0) -> Array:
        return scale_rows(G, scale * (dloss / len(scores)))  # scale · G = p − [j = t]

    return loss, backward


def soft_cross_entropy(scores: Array, target: Array) -> tuple[Array, Backward]:
    """Softmax cross-entropy with a distribution as target: mean over the batch, in nats.

        (1) e_bj = exp(s_bj),  z_b = Σ_j e_bj
        (2) L = 1/B Σ_b Σ_j t_bj (log z_b − s_bj)
    `target` need not sum to 1: with counts, such as the 0s and 1s of a user's items, it is the
    negative log-likelihood of a multinomial.

    Backward
        ∂L/∂s_bj = (n_b p_bj − t_bj) / B  with  p = e / z,  n_b = Σ_j t_bj.
    Shapes
        scores (B, N) · target (B, N), ≥ 0 → L ()
    """
    xp, B = array_module(scores), len(scores)
    target = target.astype(scores.dtype, copy=False)
    e, z, shift = exp_sum(scores)  # (1)
    log_p = (scores - shift[:, None]) - xp.log(z)[:, None]
    loss = -(target * log_p).sum() / B  # (2)

    def backward(dloss: Array | float = 1.0) -> Array:
        ds = scale_rows(e, dloss / B * target.sum(axis=1) / z)  # (2) (1)
        ds -= target * (dloss / B)
        return ds

    return loss, backward


def kl_divergence(scores: Array, target: Array) -> tuple[Array, Backward]:
    """Divergence of a softmax from a target distribution: mean over the batch, in nats.

        (1) p = softmax(s)
        (2) L = 1/B Σ_b KL(t_b ‖ p_b) = 1/B Σ_b Σ_j t_bj (log t_bj − log p_bj)       0 log 0 = 0
    It is soft_cross_entropy less the entropy of the target, hence 0 at best.

    Backward
        ∂L/∂s_bj = (p_bj − t_bj) / B  for  Σ_j t_bj = 1.
    Shapes
        scores (B, N) · target (B, N), rows ≥ 0 that sum to 1 → L ()
    """
    xp, B = array_module(scores), len(scores)
    target = target.astype(scores.dtype, copy=False)
    e, z, shift = exp_sum(scores)  # (1)
    log_p = (scores - shift[:, None]) - xp.log(z)[:, None]
    log_t = xp.log(xp.where(target > 0, target, 1))
    loss = (target * (log_t - log_p)).sum() / B  # (2)

    def backward(dloss: Array | float = 1.0) -> Array:
        ds = scale_rows(e, dloss / B / z)  # (2) (1)
        ds -= target * (dloss / B)
        return ds

    return loss, backward


def reverse_kl_divergence(scores: Array, target: Array) -> tuple[Array, Backward]:
    """KL divergence with its sides exchanged, KL(p ‖ t): mean over the batch, in nats.

        (1) p = softmax(s)
        (2) u_bj = log p_bj − log t_bj
        (3) L = 1/B Σ_b L_b,   L_b = KL(p_b ‖ t_b) = Σ_j p_bj u_bj
    It is dear to have p where t is small, and free to miss where t is large.  So a p that cannot
    match all of t settles on a part of it, where `kl_divergence` spreads p over the whole.

    Backward
        ∂L/∂s_bj = p_bj (u_bj − L_b) / B.
    Shapes
        scores (B, N) · target (B, N), > 0, rows that sum to 1 → L ()
    """
    xp, B = array_module(scores), len(scores)
    target = target.astype(scores.dtype, copy=False)
    e, z, shift = exp_sum(scores)
    p = scale_rows(e, 1 / z)  # (1)
    u = (scores - shift[:, None]) - xp.log(z)[:, None] - xp.log(target)  # (2)
    losses = (p * u).sum(axis=1)  # (3)

    def backward(dloss: Array | float = 1.0) -> Array:
        du = u - losses[:, None]  # (3) (2)
        return p * du * (dloss / B)  # (3) (1)

    return losses.mean(), backward


def logistic(
    scores: Array, target: Array, weight: Array | float | None = None
) -> tuple[Array, Backward]:
    """Cross-entropy of independent yes/no outputs: sum over outputs, mean over the batch, nats.

        (1) p = σ(s)
        (2) L = −1/B Σ w (y log p + (1 − y) log(1 − p)) = 1/B Σ w (softplus(s) − y s)
    Backward
        ∂L/∂s = w (p − y) / B.
    Shapes
        scores (B, ...) · target like scores, in [0, 1] · weight broadcasts to scores → L ()
    """
    xp, B = array_module(scores), len(scores)
    target = target.astype(scores.dtype, copy=False)
    if weight is not None:
        weight = xp.asarray(weight, scores.dtype)
    softplus = xp.maximum(scores, 0) + xp.log1p(xp.exp(-abs(scores)))
    losses = softplus - target * scores
    loss = (losses if weight is None else weight * losses).sum() / B  # (2)

    def backward(dloss: Array | float = 1.0) -> Array:
        ds = activations.logistic(scores)  # (1)
        ds -= target  # (2)
        ds *= dloss / B if weight is None else weight * (dloss / B)
        return ds

    return loss, backward


def _moderate(log_count: Array) -> bool:
    """Whether exp(log_count) is a factor of single precision: −∞, or between −30 and 30."""
    finite = log_count[log_count > -math.inf]
    return bool((abs(finite) < 30).all())
