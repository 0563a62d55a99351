"""What a recommendation is worth: ranks, recall, MRR, and the evaluation of a model."""

from nnlib.metrics.evaluate import Evaluation, difference, evaluate
from nnlib.metrics.ranking import Ties, mrr_at, ranks, recall_at

__all__ = ["Evaluation", "Ties", "difference", "evaluate", "mrr_at", "ranks", "recall_at"]
