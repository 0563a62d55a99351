"""What a recommendation is worth: ranks, recall, NDCG, RMSE, and the evaluation of a model."""

from nnlib.metrics.evaluate import Evaluation, difference, evaluate
from nnlib.metrics.neighbours import agreement_per_item, label_agreement
from nnlib.metrics.ranking import Ties, mrr_at, ranks, recall_at
from nnlib.metrics.rating import mean_absolute_error, rating_rmse, rmse
from nnlib.metrics.top_n import TopN, evaluate_top_n, held_out_item

__all__ = [
    "Evaluation",
    "Ties",
    "TopN",
    "agreement_per_item",
    "difference",
    "evaluate",
    "evaluate_top_n",
    "held_out_item",
    "label_agreement",
    "mean_absolute_error",
    "mrr_at",
    "ranks",
    "rating_rmse",
    "recall_at",
    "rmse",
]
