"""Losses of sampled outputs: what was seen against a few items drawn at random."""

from nnlib.array import Array, Backward, array_module
from nnlib.functional.activations import log_logistic, logistic


def negative_sampling(
    positive: Array, negative: Array, weight: Array | None = None
) -> tuple[Array, Backward]:
    """Negative sampling: tell an observed pair from K invented ones; mean over the batch, in nats.

        (1) L_b = −log σ(s⁺_b) − Σ_k log σ(−s⁻_bk)
        (2) L   = 1/B Σ_b w_b L_b                                            w = 1 without weight
    With negatives drawn from q, scores that are free to take any value end at
    s_ij = log p(j|i) / (K q_j): not a probability, but how much more often than by chance.

    A negative that happens to be the positive itself is to be left out: give it the score −∞,
    at which loss and gradient are 0.

    Backward
        ∂L/∂s⁺_b = w_b (σ(s⁺_b) − 1) / B,   ∂L/∂s⁻_bk = w_b σ(s⁻_bk) / B.
    Shapes
        positive (B,) · negative (B, K) · weight (B,) → L ()
    Source
        Mikolov et al. 2013b, eq. 4; Levy & Goldberg 2014 for where it ends.
    """
    B = len(positive)
    losses = -log_logistic(positive) - log_logistic(-negative).sum(axis=1)  # (1)
    if weight is None:
        w = array_module(positive).ones_like(positive)
    else:
        w = weight.astype(positive.dtype, copy=False)
    loss = (w * losses).sum() / B  # (2)

    def backward(dloss: Array | float = 1.0) -> tuple[Array, Array]:
        dlosses = w * (dloss / B)  # (2)
        dpositive = logistic(positive) - 1  # (1)
        dpositive *= dlosses
        dnegative = logistic(negative)  # (1)
        dnegative *= dlosses[:, None]
        return dpositive, dnegative

    return loss, backward
