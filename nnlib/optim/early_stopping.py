"""Early stopping: keep the best parameters seen, and say when to stop looking for better ones."""

import math
from collections.abc import Iterable

from nnlib.parameter import Parameter


class EarlyStopping:
    """Watches a validation metric; the loop stays yours.

        stopping = EarlyStopping(model.parameters(), patience=5)
        for epoch in range(epochs):
            ...                                         # train, then evaluate
            if stopping(validation_loss):
                break
        stopping.restore()                              # the parameters of the best evaluation

    An evaluation improves if it beats the best one by more than `threshold` · |best|; the first
    always does, unless it is NaN.  At each improvement the parameters are copied.  After `patience`
    evaluations in a row without one, the call returns True.

    Arguments
        params: what to keep; a parameter that occurs twice counts once
        patience: ≥ 1
        threshold: relative, ≥ 0
        maximize: True for a metric such as recall, False for a loss
    Raises
        ValueError: an argument is outside its range, or there are no parameters.
    Source
        Prechelt 1998.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        patience: int = 10,
        threshold: float = 0.0,
        maximize: bool = False,
    ) -> None:
        if not patience >= 1:
            raise ValueError(f"patience={patience!r}: it must be at least 1")
        if not 0 <= threshold < math.inf:
            raise ValueError(f"threshold={threshold!r}: it must be finite and not negative")
        self.params = list(dict.fromkeys(params))
        if not self.params:
            raise ValueError("params is empty: early stopping needs parameters to keep")
        self.patience, self.threshold, self.maximize = patience, threshold, maximize
        self.best = math.nan  # NaN: nothing seen
        self.best_evaluation = 0  # counted from 1; 0: none
        self.evaluations = 0
        self._kept = [p.value.copy() for p in self.params]

    def __call__(self, metric: float) -> bool:
        """Take note of an evaluation; True when it is time to stop.  NaN is no improvement."""
        metric = float(metric)
        self.evaluations += 1
        if self._improves(metric):
            self.best, self.best_evaluation = metric, self.evaluations
            for kept, p in zip(self._kept, self.params, strict=True):
                kept[...] = p.value
        return self.evaluations - self.best_evaluation >= self.patience

    def restore(self) -> None:
        """Write the kept values into the parameters, and forget their gradients.

        Without any improvement these are the values at construction.
        """
        for kept, p in zip(self._kept, self.params, strict=True):
            p.value[...] = kept
            p.clear()

    def _improves(self, metric: float) -> bool:
        if math.isnan(self.best):
            return not math.isnan(metric)
        gain = metric - self.best if self.maximize else self.best - metric
        return gain > self.threshold * abs(self.best)
