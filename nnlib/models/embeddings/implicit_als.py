"""ImplicitALS: matrix factorization of what people did, zeros included."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

import numpy as np

from nnlib.array import Array, keep_freed_memory
from nnlib.data import DataError, Histories, Interactions
from nnlib.functional.least_squares import ridge_rows, ridge_rows_cg
from nnlib.layer import Layer
from nnlib.models.base import Recommender, check_log
from nnlib.models.baselines.counting import count_pairs, tie_break
from nnlib.models.epochs import Epochs
from nnlib.models.item_vectors import normalized
from nnlib.models.settings import check_not_negative, check_positive, check_whole, check_word
from nnlib.parameter import Parameter

Solver: TypeAlias = Literal["exact", "cg"]
Counts: TypeAlias = Literal["events", "value"]


@dataclass(kw_only=True)
class ImplicitALS(Recommender):
    """Vectors of users and items whose products are 1 where there was an event and 0 elsewhere.

        (1) L = ½ Σ_{all u,i} c_ui (s_ui − P_u·Q_i)² + ½λ (‖P‖² + ‖Q‖²)
            s_ui = [r_ui > 0],   c_ui = 1 + α r_ui         r_ui: events of u on i
        (2) P_u = (QᵀQ + Σ_{i ∈ N(u)} α r_ui Q_i Q_iᵀ + λ I)⁻¹ Σ_{i ∈ N(u)} c_ui Q_i
        (3) Q_i by the same with P and Q exchanged
    Every cell is in the loss: a zero says "perhaps not" with confidence 1.  QᵀQ is computed once a
    sweep, so that (2) costs only the cells with events.  Each half-step is the exact minimum, or
    with solver="cg" comes closer to it by 3 steps of conjugate gradients, which pays for many
    factors.  P and Q are determined up to a rotation: λ > 0 fixes the rest, and cosines with it.

    Scores are for histories, not for users: a history is folded in, its vector solved by (2) from
    the item vectors, so people who were not in the training data are served like all others and
    the vectors of those who were need not be kept.  An empty history gets popularity.

    Shapes
        Q_ (N, D)
    Arguments
        n_factors: D ≥ 1
        alpha: α ≥ 0, how much more an event weighs than its absence
        l2: λ > 0; the result depends on it more than on anything else
        epochs: sweeps over users and items, ≥ 1
        solver: "exact" or "cg"
        counts: r_ui is the number of events, or with "value" the sum of their values
        seed: of the first Q
    Raises
        ValueError: an argument is out of its range.
        DataError: by `fit`, on values that are missing, negative or not finite if they count;
            fewer than two items, or no user with two events.
    Source
        Hu, Koren & Volinsky 2008; Takács, Pilászy & Tikk 2011 for "cg".
    """

    n_factors: int = 16
    alpha: float = 10.0
    l2: float = 20.0
    epochs: int = 15
    solver: Solver = "exact"
    counts: Counts = "events"
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(n_factors=self.n_factors, epochs=self.epochs)
        check_whole(0, seed=self.seed)
        check_not_negative(alpha=self.alpha)
        check_positive(l2=self.l2)
        check_word(Solver, solver=self.solver)
        check_word(Counts, counts=self.counts)

    def fit(
        self,
        train: Interactions,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from all events of `train`; the last three arguments are those of `Epochs`.

        After Ctrl-C the sweep is finished first, and the model can be used.
        """
        check_log(train)
        keep_freed_memory()
        M, N, D = train.n_users, train.n_items, self.n_factors
        user, item, r = self._cells(train)
        of_user = np.searchsorted(user, np.arange(M + 1))
        by_item = np.argsort(item, kind="stable")
        users_of, r_of = user[by_item], r[by_item]
        of_item = np.searchsorted(item[by_item], np.arange(N + 1))

        net = Factors(M, N, D, rng=np.random.default_rng(self.seed))
        P, Q = net.P, net.Q
        run = Epochs(
            self,
            net,
            None,
            train,
            events=len(r),
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )

        def finish() -> None:
            self.Q_, self.tie_break_ = Q.value, tie_break(train.support())

        with run.leaving(self, finish, item_ids_=train.item_ids, losses_=run.losses):
            for _ in run:
                P.value, _ = self._solve(Q.value, item, of_user, r, P.value)  # (2)
                Q.value, f = self._solve(P.value, users_of, of_item, r_of, Q.value)  # (3)
                # f lacks of (1) what does not depend on Q.
                weights, penalty = 1 + self.alpha * r, self.l2 * (P.value**2).sum()
                loss = f.sum() + 0.5 * weights.sum() + 0.5 * penalty
                run.record(loss / len(r), len(r))
        return self

    def scores(self, histories: Histories) -> Array:
        """Products with the vectors that `fold_in` solves: (B, N) float32."""
        s = self.fold_in(histories) @ self.Q_.T
        s[histories.lengths == 0] = self.tie_break_
        return s

    def fold_in(self, histories: Histories) -> Array:
        """(2) for each history, an item that occurs r times in it having r events: (B, D)."""
        self._check_fitted()
        row, item, r = count_pairs(*histories.flat(), len(self.item_ids_))
        offsets = np.searchsorted(row, np.arange(len(histories) + 1))
        gram = self.Q_.T @ self.Q_
        weight = self.alpha * r
        P, _ = ridge_rows(self.Q_, item, offsets, weight, 1 + weight, self.l2, gram=gram)  # (2)
        return P

    def similarity(self, item: int) -> Array:
        """Cosine of the item vectors, (N,)."""
        unit = normalized(self.Q_)
        return unit @ unit[item]

    def arrays(self) -> dict[str, Array]:
        return {**super().arrays(), "losses": np.array(self.losses_)}

    def restore(self, arrays: dict[str, Array]) -> None:
        self.losses_ = arrays.pop("losses").tolist()
        super().restore(arrays)
        if self.Q_.shape != (len(self.item_ids_), self.n_factors):
            raise ValueError(f"Q_ of shape {self.Q_.shape} is not that of items and n_factors")

    def _cells(self, train: Interactions) -> tuple[Array, Array, Array]:
        """(user, item, r) of all cells with r > 0, by user."""
        if self.counts == "events":
            return count_pairs(train.user, train.item, train.n_items)
        value = train.value
        if value is None:
            raise DataError("counts='value' needs a value column: name it, or use counts='events'")
        if not (np.isfinite(value) & (value >= 0)).all():
            at = int(np.flatnonzero(~(np.isfinite(value) & (value >= 0)))[0])
            raise DataError(f"the value of event {at} is {value[at]}: counts must be at least 0")
        if not value.any():
            raise DataError("all values are 0: there is nothing to learn")
        key = train.user * train.n_items + train.item
        cell, place = np.unique(key, return_inverse=True)
        r = np.bincount(place, value)
        user, item = np.divmod(cell[r > 0], train.n_items)
        return user, item, r[r > 0]

    def _solve(
        self, Q: Array, items: Array, offsets: Array, r: Array, P: Array
    ) -> tuple[Array, Array]:
        weight = self.alpha * r
        cells = (Q, items, offsets, weight, 1 + weight, self.l2)
        if self.solver == "cg":
            return ridge_rows_cg(*cells, gram=Q.T @ Q, P=P, steps=3)
        return ridge_rows(*cells, gram=Q.T @ Q)


class Factors(Layer):
    """The two tables, as a checkpoint holds them; they are solved for, not trained by gradients."""

    def __init__(self, n_users: int, n_items: int, n_factors: int, *, rng: np.random.Generator):
        self.P = Parameter(np.zeros((n_users, n_factors), np.float32))
        self.Q = Parameter(rng.normal(0.0, 0.1, (n_items, n_factors)).astype(np.float32))
