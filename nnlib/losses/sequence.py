"""Cross-entropy of sequences of unequal length."""

from nnlib.array import Array, Backward, array_module
from nnlib.functional.sequences import step_mask
from nnlib.losses.classification import cross_entropy


def sequence_cross_entropy(
    scores: Array, target: Array, lengths: Array | None = None
) -> tuple[Array, Backward]:
    """Softmax cross-entropy at every step: mean over the steps that count, in nats.

        (1) L_tb = log Σ_j exp(s_tbj) − s_tbk        k = target_tb
        (2) L = 1/n Σ_tb L_tb      over the n steps, of all sequences, that count
    Padding is in neither the sum nor n, so that it cannot make a loss look small, and it is not
    read.  The mean is over steps, not over sequences: a long one weighs more than a short one.

    Backward
        ∂L/∂s_tbj = (p_tbj − [j = k]) / n  with  p = softmax(s),  0 where a step does not count.
    Shapes
        scores (T, B, N) · target (T, B) int · lengths (B,) int, how many steps of each sequence
        count, or a mask (T, B) bool of those that do, or None: all → L ()
    Raises
        ValueError: no step counts.
    """
    xp = array_module(scores)
    if lengths is None:
        counts = xp.ones(target.shape, bool)
    else:
        counts = lengths if lengths.ndim == 2 else step_mask(lengths, len(target))
    if not counts.any():
        raise ValueError("no step counts: the mean of no losses is nothing, leave such batches out")
    loss, back_rows = cross_entropy(scores[counts], target[counts])  # (1) (2)

    def backward(dloss: Array | float = 1.0) -> Array:
        dscores = xp.zeros_like(scores)
        dscores[counts] = back_rows(dloss)  # (2) (1)
        return dscores

    return loss, backward
