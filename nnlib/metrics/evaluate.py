"""Full-ranking evaluation of next-item prediction, and what it measured."""

import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlib.array import Array
from nnlib.compiled import compiled_kernels
from nnlib.metrics.ranking import Ties, check_ties, hits, reciprocals

if TYPE_CHECKING:  # models import metrics, not the other way round
    from nnlib.data import Interactions
    from nnlib.models.base import Recommender

METRICS = {"recall": hits, "mrr": reciprocals}
TIE_TOLERANCE = 1e-3  # of recall; ties that matter more are worth a warning


def evaluate(
    model: "Recommender",
    test: "Interactions",
    k: int | Sequence[int] = (1, 5, 10, 20),
    ties: Ties = "conservative",
    block: int | None = None,
) -> "Evaluation":
    """Rank all items of the training data at every event of `test` but the first of a session.

        (1) recall@k = 1/P Σ_p [rank_p ≤ k]        (2) MRR@k = 1/P Σ_p [rank_p ≤ k] / rank_p
    A session x_1…x_n gives n − 1 of the P points: the model has seen x_1…x_t, the one relevant item
    is x_{t+1}.  Events on items that the model does not know are removed first, then sessions left
    with a single event; both are counted.  Items seen in the session stay in the ranking: people do
    click again.

    Arguments
        test: sessions that the model was not trained on
        k: cut-offs, each ≥ 1
        ties: the rank of a target that others tie with; see `nnlib.metrics.ranking`
        block: points scored at a time, ≥ 1; None: as the model prefers
    Raises
        ValueError: nothing is left to predict; `k`, `ties` or `block` is out of range; a score is
            not finite.
        RuntimeError: the model's `walk` left a point out or gave one twice.
    Source
        Hidasi & Karatzoglou 2018, section 5, whose evaluator ranks standard by default; the
        protocol is theirs, the conservative default is not.
    """
    cuts = check_cuts(k)
    check_ties(ties)
    if block is not None and block < 1:
        raise ValueError(f"block={block}: at least one point must be scored at a time")
    model._check_fitted()

    known, dropped_events = test.in_items_of(model.item_ids_)
    everyone = known.histories()
    kept = np.flatnonzero(everyone.lengths > 1)
    if not len(kept):
        raise ValueError(
            f"none of the {test.n_users} test sessions has two events on items of the training "
            f"data ({dropped_events} of {test.n_events} events are on others): nothing to predict"
        )
    sessions = everyone.take(kept)
    points = sessions.points()

    standard = np.zeros(len(sessions.items), np.int64)
    conservative = np.zeros_like(standard)
    visits = np.zeros_like(standard)
    with compiled_kernels():
        for at, best, worst in model.walk_ranks(sessions, block):
            standard[at], conservative[at] = best, worst
            np.add.at(visits, at, 1)
    if visits.sum() != len(points) or not (visits[points] == 1).all():
        raise RuntimeError(
            f"{type(model).__name__}.walk gave {visits.sum()} points, {(visits[points] > 1).sum()} "
            f"of them more than once, where there are {len(points)}: a fault of the model's code"
        )

    standard, conservative = standard[points], conservative[points]
    _warn_of_ties(standard, conservative, cuts)
    lengths = sessions.lengths - 1
    return Evaluation(
        model=type(model).__name__,
        n_items=len(model.item_ids_),
        k=cuts,
        ties=ties,
        rank={
            "standard": standard,
            "conservative": conservative,
            "median": (standard + conservative) / 2,
        }[ties],
        target=known.item_ids[sessions.items[points + 1]],
        session=np.repeat(known.user_ids[kept], lengths),
        seen=points + 1 - np.repeat(sessions.start, lengths),
        dropped_events=dropped_events,
        dropped_sessions=test.n_users - len(kept),
    )


class Evaluation(Mapping[str, float]):
    """What `evaluate` measured: a mapping of "recall@20", "mrr@20" … and counts; prints as a table.

    Keys are recall@k and mrr@k for every cut-off, n_points, n_sessions, dropped_events and
    dropped_sessions.  `stderr` has the standard errors of the metrics.  The points of a session are
    not independent, so sessions are what is drawn:

        (1) m = Σ_s X_s / Σ_s n_s                                X_s = Σ_{p∈s} x_p over n_s points
        (2) stderr(m)² = S/(S−1) Σ_s (X_s − m n_s)² / (Σ_s n_s)²
    which is the linearised error of the ratio (1); a bootstrap of sessions gives the same.

    Attributes
        rank, target (P,): of each point, and the raw id of the item it is the rank of
        session, seen (P,): the session's raw id, and how many of its events the model had seen
        k, ties, model, n_items: what was measured
    """

    def __init__(
        self,
        *,
        model: str,
        n_items: int,
        k: tuple[int, ...],
        ties: Ties,
        rank: Array,
        target: Array,
        session: Array,
        seen: Array,
        dropped_events: int,
        dropped_sessions: int,
    ) -> None:
        self.model, self.n_items, self.k, self.ties = model, n_items, k, ties
        self.rank, self.target, self.session, self.seen = rank, target, session, seen
        self._row = np.cumsum(seen == 1) - 1  # code of the point's session
        keys = [f"{metric}@{cut}" for metric in METRICS for cut in k]
        measured = {key: mean_and_stderr(self.per_point(key), self._row) for key in keys}
        self.stderr = {key: stderr for key, (_, stderr) in measured.items()}
        self._values: dict[str, float] = {key: mean for key, (mean, _) in measured.items()}
        self._values |= {
            "n_points": len(rank),
            "n_sessions": int(self._row[-1]) + 1,
            "dropped_events": dropped_events,
            "dropped_sessions": dropped_sessions,
        }

    def __getitem__(self, key: str) -> float:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def per_point(self, key: str) -> Array:
        """What each point adds to a metric such as "recall@20" (any cut-off), (P,).

        Raises
            ValueError: `key` is not recall@k or mrr@k with k ≥ 1.
        """
        match = re.fullmatch(rf"({'|'.join(METRICS)})@([1-9]\d*)", key)
        if not match:
            raise ValueError(f"{key!r}: a metric is recall@k or mrr@k with k ≥ 1, as recall@20")
        return METRICS[match[1]](self.rank, int(match[2]))

    def by_position(self, key: str, longest: int = 10) -> list[tuple[int, float, int]]:
        """A metric by how many events the model had seen, as (seen, value, points).

        Points after `longest` or more events are put together in the last row.
        """
        if longest < 1:
            raise ValueError(f"longest={longest}: it must be at least 1")
        seen = np.minimum(self.seen, longest)
        points = np.bincount(seen)
        total = np.bincount(seen, self.per_point(key))
        return [(int(n), float(total[n] / points[n]), int(points[n])) for n in np.unique(seen)]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the points, in plain types that JSON can hold."""
        stderr = {key: None if math.isnan(e) else e for key, e in self.stderr.items()}
        return {
            "model": self.model,
            "ties": self.ties,
            "n_items": self.n_items,
            **self._values,
            "stderr": stderr,
        }

    def __repr__(self) -> str:
        best = max(self.k)
        return (
            f"Evaluation({self.model}: recall@{best} {self[f'recall@{best}']:.4f}, "
            f"mrr@{best} {self[f'mrr@{best}']:.4f}, {len(self.rank):,} points)"
        )

    def __str__(self) -> str:
        lines = [
            f"{self.model}: {self['n_points']:,} points of {self['n_sessions']:,} sessions, "
            f"each ranks all {self.n_items:,} items (ties: {self.ties})",
            f"{'k':>5}  {'recall@k':^17}  {'MRR@k':^17}".rstrip(),
        ]
        for cut in self.k:
            columns = [
                f"{self[key]:.4f} ± {self.stderr[key]:.4f}"
                for key in (f"recall@{cut}", f"mrr@{cut}")
            ]
            lines.append(f"{cut:>5}  {columns[0]:^17}  {columns[1]:^17}".rstrip())
        lines.append("± one standard error, sessions drawn as a whole")
        if self["dropped_events"] or self["dropped_sessions"]:
            lines.append(
                f"left out: {self['dropped_events']:,} events on items that the training data does "
                f"not have, then {self['dropped_sessions']:,} sessions with fewer than 2 events"
            )
        return "\n".join(lines)


def difference(a: Evaluation, b: Evaluation, key: str) -> tuple[float, float]:
    """(mean, standard error) of metric `key` of `a` minus that of `b`, point by point.

    Two models succeed and fail on much the same points, so this error is well below that of two
    separate means: differences of more than two of it are worth a sentence.

    Raises
        ValueError: the two did not rank the same points.
    """
    same = (np.array_equal(getattr(a, of), getattr(b, of)) for of in ("session", "seen", "target"))
    if not all(same):
        raise ValueError(
            f"the evaluations have {len(a.rank)} and {len(b.rank)} points and not the same ones: "
            "evaluate both models on one test set, trained on logs with the same items"
        )
    return mean_and_stderr(a.per_point(key) - b.per_point(key), a._row)


def mean_and_stderr(x: Array, cluster: Array) -> tuple[float, float]:
    """Mean of `x` and its standard error when whole clusters are drawn; nan for one cluster.

    Shapes
        x (P,) · cluster (P,) int codes 0…S−1
    """
    size = np.bincount(cluster)
    mean = x.mean()
    residual = np.bincount(cluster, x) - mean * size
    if len(size) < 2:
        return float(mean), math.nan
    variance = len(size) / (len(size) - 1) * (residual**2).sum() / len(x) ** 2
    return float(mean), math.sqrt(variance)


def _warn_of_ties(standard: Array, conservative: Array, cuts: tuple[int, ...]) -> None:
    gap = {cut: float((hits(standard, cut) - hits(conservative, cut)).mean()) for cut in cuts}
    worst = max(cuts, key=gap.__getitem__)
    if gap[worst] > TIE_TOLERANCE:
        warnings.warn(
            f"recall@{worst} is {hits(conservative, worst).mean():.4f} if the target loses its "
            f"ties and {hits(standard, worst).mean():.4f} if it wins them: scores that saturate or "
            "are constant",
            stacklevel=3,
        )


def check_cuts(k: int | Sequence[int]) -> tuple[int, ...]:
    """Cut-offs in order, each once; a `ValueError` unless they are whole numbers of at least 1."""
    cuts = tuple(k) if isinstance(k, Sequence | np.ndarray) else (k,)
    if not cuts or any(not isinstance(cut, int | np.integer) or cut < 1 for cut in cuts):
        raise ValueError(f"k={k!r}: give cut-offs that are whole numbers of at least 1, as (1, 20)")
    return tuple(sorted({int(cut) for cut in cuts}))
