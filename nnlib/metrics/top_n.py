"""Top-N recommendation: each user's held-out items among all items that the user did not have."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlib.array import Array, to_host
from nnlib.data import Histories
from nnlib.metrics.evaluate import check_cuts
from nnlib.metrics.ranking import Ties, check_ties

if TYPE_CHECKING:  # models import metrics, not the other way round
    from nnlib.data import Interactions
    from nnlib.models.base import Recommender

METRICS = ("recall", "hit_rate", "ndcg")


def evaluate_top_n(
    model: "Recommender",
    train: "Interactions",
    test: "Interactions",
    k: int | Sequence[int] = (10, 20),
    *,
    ties: Ties = "conservative",
    block: int = 256,
) -> "TopN":
    """Rank for every user of `test` all items that the user does not have in `train`.

    The model is given the user's history in `train`, whose items leave the ranking; the user's
    items in `test` are the R relevant ones, at the ranks r_1 < … < r_R:

        (1) recall@k   = |{m : r_m ≤ k}| / R
        (2) hit_rate@k = [r_1 ≤ k]
        (3) ndcg@k     = Σ_{r_m ≤ k} 1 / log₂(1 + r_m)  /  Σ_{m ≤ min(R, k)} 1 / log₂(1 + m)
    each a mean over users.  `train` is what the model is told about the users, and need not be what
    it was fitted on: with users it has never met it is the test of new users.  A test user without
    events in `train` has an empty history.

    Left out and counted: test events on items that the model does not know; test events on items
    that the user has in `train`, for these cannot be recommended; users left with nothing.
    Repeated events count once.

    Arguments
        k: cut-offs, each ≥ 1
        ties: relevant items lose ties against the others ("conservative"), win them ("standard")
            or are placed in their middle ("median": ties count half)
        block: users scored at a time, ≥ 1
    Raises
        ValueError: nothing is left to rank; an argument is out of range; a score is NaN or infinite
    Source
        Järvelin & Kekäläinen 2002 for (3), with gains 0 and 1.
    """
    cuts = check_cuts(k)
    check_ties(ties)
    if block < 1:
        raise ValueError(f"block={block}: at least one user must be scored at a time")
    model._check_fitted()

    n_items = len(model.item_ids_)
    known, dropped_unknown = test.in_items_of(model.item_ids_)
    histories = _histories(model, train, known.user_ids)
    row, item = _distinct(known.user, known.item, n_items)
    had_row, had = _distinct(*histories.flat(), n_items)
    new = ~np.isin(row * n_items + item, had_row * n_items + had)
    dropped_seen = int(len(new) - new.sum())
    row, item = row[new], item[new]
    if not len(row):
        raise ValueError(
            f"none of the {test.n_events} test events is on an item that the model knows and the "
            f"user does not have in train ({dropped_unknown} unknown, {dropped_seen} already had)"
        )
    users, row = np.unique(row, return_inverse=True)
    rank = np.concatenate(
        [
            _ranks(
                _scores(model, histories.take(users[i : i + block])),
                row[(a := np.searchsorted(row, i)) : (b := np.searchsorted(row, i + block))] - i,
                item[a:b],
                ties,
            )
            for i in range(0, len(users), block)
        ]
    )
    counts = {
        "dropped_unknown": dropped_unknown,
        "dropped_seen": dropped_seen,
        "dropped_users": test.n_users - len(users),
    }
    return TopN(type(model).__name__, n_items, cuts, known.user_ids[users], row, item, rank, counts)


def held_out_item(
    model: "Recommender",
    rest: "Interactions",
    held_out: "Interactions",
    k: int | Sequence[int] = (10, 20),
    *,
    block: int = 256,
) -> "TopN":
    """Hit rate and NDCG of one item per user given the user's other items; ties count half.

    The two logs are what `data.one_out` makes of one; the model may have been fitted on `rest` (the
    users are known) or on other users altogether.  With gt items scored above the held-out one and
    eq others like it, the rank is gt + eq/2 + 1: a constant scorer has every item in the middle.

    Raises
        ValueError: a user has more than one held-out event; or as for `evaluate_top_n`.
    """
    events = np.diff(held_out.offsets)
    if (events > 1).any():
        user = held_out.user_ids.tolist()[int(events.argmax())]
        raise ValueError(
            f"user {user!r} has {events.max()} held-out events, not one: split with data.one_out, "
            "or use evaluate_top_n"
        )
    return evaluate_top_n(model, rest, held_out, k, ties="median", block=block)


class TopN(Mapping[str, float]):
    """Result of `evaluate_top_n`: a mapping with "recall@10", "hit_rate@10", "ndcg@10" …

    Also "n_users", "n_relevant" and what was left out: "dropped_unknown", "dropped_seen" (events)
    and "dropped_users".  `stderr` has the same metrics' standard errors, over users; what a user
    contributed is `per_user(key)`, and `difference` compares two models user by user.

    Shapes
        users (U,) raw ids · row, item (R,) int: relevant items, row into `users` · rank (R,)
    """

    def __init__(
        self,
        model: str,
        n_items: int,
        k: tuple[int, ...],
        users: Array,
        row: Array,
        item: Array,
        rank: Array,
        counts: Mapping[str, int],
    ) -> None:
        self.model, self.n_items, self.k = model, n_items, k
        self.users, self.row, self.item, self.rank = users, row, item, rank
        measured = {
            key: mean_and_error(self.per_user(key))
            for key in (f"{metric}@{cut}" for metric in METRICS for cut in k)
        }
        self.stderr = {key: error for key, (_, error) in measured.items()}
        self._values: dict[str, float] = {key: mean for key, (mean, _) in measured.items()}
        self._values |= {"n_users": len(users), "n_relevant": len(rank), **counts}

    def __getitem__(self, key: str) -> float:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def per_user(self, key: str) -> Array:
        """A metric such as "ndcg@10" (any cut-off) of every user, (U,).

        Raises
            ValueError: `key` is not recall@k, hit_rate@k or ndcg@k with k ≥ 1.
        """
        match = re.fullmatch(rf"({'|'.join(METRICS)})@([1-9]\d*)", key)
        if not match:
            raise ValueError(f"{key!r}: a metric is {', '.join(METRICS)} @k with k ≥ 1, as ndcg@10")
        metric, cut = match[1], int(match[2])
        hit = self.rank <= cut
        relevant = np.bincount(self.row)
        if metric == "ndcg":
            gain = np.bincount(self.row, hit / np.log2(1 + self.rank))
            ideal = np.cumsum(1 / np.log2(1 + np.arange(1, cut + 1)))
            return gain / ideal[np.minimum(relevant, cut) - 1]  # (3)
        hits = np.bincount(self.row, hit)
        return hits / relevant if metric == "recall" else np.minimum(hits, 1.0)  # (1) (2)

    def difference(self, other: "TopN", key: str) -> tuple[float, float]:
        """(mean, standard error) of metric `key` of this minus the other's, user by user.

        Raises
            ValueError: the two did not rank the same items of the same users.
        """
        same = self.users.tolist() == other.users.tolist() and all(
            np.array_equal(getattr(self, of), getattr(other, of)) for of in ("row", "item")
        )
        if not same:
            raise ValueError(
                f"the evaluations have {len(self.users)} and {len(other.users)} users and not the "
                "same ones with the same items: evaluate both models on one split"
            )
        return mean_and_error(self.per_user(key) - other.per_user(key))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the users, in plain types that JSON can hold."""
        stderr = {key: None if math.isnan(e) else e for key, e in self.stderr.items()}
        return {"model": self.model, "n_items": self.n_items, **self._values, "stderr": stderr}

    def __repr__(self) -> str:
        best = f"ndcg@{min(self.k)}"
        return f"TopN({self.model}: {best} {self[best]:.4f}, {len(self.users):,} users)"

    def __str__(self) -> str:
        lines = [
            f"{self.model}: {len(self.rank):,} held-out items of {len(self.users):,} users among "
            f"{self.n_items:,} items",
            f"{'k':>5}  {'recall@k':^17}  {'hit rate@k':^17}  {'NDCG@k':^17}".rstrip(),
        ]
        for cut in self.k:
            keys = [f"{metric}@{cut}" for metric in METRICS]
            columns = "  ".join(f"{self[key]:.4f} ± {self.stderr[key]:.4f}  " for key in keys)
            lines.append(f"{cut:>5}  {columns}".rstrip())
        lines.append("± one standard error over users")
        left_out = [
            f"{int(self[key]):,} {what}"
            for key, what in (
                ("dropped_unknown", "events on items unknown to the model"),
                ("dropped_seen", "events on items of the history"),
                ("dropped_users", "users with no other"),
            )
            if self[key]
        ]
        return "\n".join(lines + ([f"left out: {', '.join(left_out)}"] if left_out else []))


def mean_and_error(x: Array) -> tuple[float, float]:
    """Mean of (n,) independent numbers and its standard error; nan for a single number."""
    error = float(x.std(ddof=1)) / math.sqrt(len(x)) if len(x) > 1 else math.nan
    return float(x.mean()), error


def _histories(model: "Recommender", train: "Interactions", user_ids: Array) -> Histories:
    """The train items, in the model's codes, of each of these users."""
    told, _ = train.in_items_of(model.item_ids_)
    code = {raw: m for m, raw in enumerate(told.user_ids.tolist())}
    user = np.array([code.get(raw, -1) for raw in user_ids.tolist()], np.int64)
    offsets = told.offsets
    start, stop = offsets[:-1][user], offsets[1:][user]
    return Histories(told.item, start, np.where(user >= 0, stop, start))


def _distinct(row: Array, item: Array, n_items: int) -> tuple[Array, Array]:
    """Each (row, item) once, in order."""
    row, item = np.divmod(np.unique(row * n_items + item), n_items)
    return row, item


def _scores(model: "Recommender", histories: Histories) -> Array:
    """Scores of all items, a copy, those of the history −∞."""
    scores = np.array(to_host(model.scores(histories)))
    if not np.isfinite(scores).all():
        row, item = np.argwhere(~np.isfinite(scores))[0]
        raise ValueError(
            f"the score of item {item} is {scores[row, item]}: scores must be finite to be ranked, "
            "so look for a division by zero or a learning rate too high"
        )
    scores[histories.flat()] = -np.inf
    return scores


def _ranks(scores: Array, row: Array, item: Array, ties: Ties) -> Array:
    """Rank of every relevant item: its place among the relevant ones + those not relevant above it.

    Relevant items never share a rank, so a perfect ranking has the ranks 1…R even under ties.
    """
    s = scores[row, item]
    order = np.lexsort((-s, row))
    place = np.empty(len(row), np.int64)
    place[order] = np.arange(1, len(row) + 1) - np.searchsorted(row, row[order])
    others = scores
    others[row, item] = -np.inf
    above = np.array([np.count_nonzero(others[r] > x) for r, x in zip(row, s, strict=True)])
    if ties == "standard":
        return above + place
    at_least = np.array([np.count_nonzero(others[r] >= x) for r, x in zip(row, s, strict=True)])
    return at_least + place if ties == "conservative" else (above + at_least) / 2 + place
