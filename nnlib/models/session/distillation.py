"""The loss of a student who also hears what a teacher thinks."""

from nnlib.array import Array, array_module
from nnlib.functional.rows import count_places
from nnlib.functional.softmax import RowLosses, exp_sum
from nnlib.models.session.gru4rec_network import Objective, ScoreBlock


def soft_label_loss(teacher_scores: Array, share: Array) -> Objective:
    """Cross-entropy with a target that is part the item that came, part the teacher's opinion.

        (1) q = softmax(teacher's scores)            over the block's columns, as p
        (2) y = (1 − λ) [j = target] + λ q
        (3) L_b = −Σ_j y_bj log p_bj                 = (1 − λ) XE(target) + λ XE(q)
    Backward
        ∂L_b/∂s = p − y
    Shapes
        teacher_scores (B, U), of the block's distinct columns · share (B,): λ of each row
    """

    def objective(scores: Array, block: ScoreBlock) -> RowLosses:
        xp = array_module(scores)
        rows = xp.arange(len(scores))
        count = count_places(block.column_of, scores.shape[1], scores.dtype)
        e, z, _ = exp_sum(teacher_scores.astype(scores.dtype, copy=False), count)
        y = e * (share / z)[:, None].astype(scores.dtype)  # (1)
        y[rows, block.column] += 1 - share  # (2)
        e, z, shift = exp_sum(scores, count)
        log_p = scores - (shift + xp.log(z))[:, None]
        p = e / z[:, None]
        return RowLosses(-(y * log_p).sum(axis=1), p - y, xp.ones(len(p), p.dtype))  # (3)

    return objective
