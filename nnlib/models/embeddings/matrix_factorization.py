"""MatrixFactorization: ratings from vectors and biases of users and items."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from nnlib.array import Array, keep_freed_memory
from nnlib.data import DataError, Histories, Interactions, batches
from nnlib.functional.least_squares import ridge_rows
from nnlib.losses import squared
from nnlib.models.base import Recommender, _pack_ids, _unpack_ids, check_log
from nnlib.models.embeddings.rating_network import RatingNetwork
from nnlib.models.epochs import Epochs
from nnlib.models.item_vectors import normalized
from nnlib.models.settings import check_positive, check_whole, check_word
from nnlib.optim import SGD

Solver: TypeAlias = Literal["als", "sgd"]


@dataclass(kw_only=True)
class MatrixFactorization(Recommender):
    """Explain the ratings that were given, `value` of the log, and nothing else.

        (1) r̂_ui = μ + b_u + b_i + P_u · Q_i               μ: mean training rating
        (2) L = ½ Σ_{rated} (r_ui − r̂_ui)² + ½λ (‖P‖² + ‖Q‖² + ‖b‖²)
    solver="als": with Q and b_i fixed, (2) is a ridge regression of every user's ratings on
    [Q_i, 1], which gives [P_u, b_u]; then the items' turn.  solver="sgd": gradient steps on small
    batches of ratings, the penalty shared out over them (`RatingNetwork`).

    A rating is a *product*: a user likes items whose vectors point his way and are long, not those
    "similar" to his own.  For any invertible A, (P A, Q A⁻ᵀ) predicts the same as (P, Q): without λ
    the cosines of the vectors mean nothing, and λ > 0 leaves only rotations, which keep cosines.

    `predict` is for known pairs.  `scores` are for histories, which say what was seen and not how
    it was rated: every item in one counts as rated `liked`, and b_u and P_u are solved from that as
    above, so that new users are served too.  An empty history gets the item biases.  Predicting
    ratings well is not ranking well: for what people choose see `ImplicitALS`.

    Shapes
        P_ (M, D), Q_ (N, D), user_bias_ (M,), item_bias_ (N,), mean_ ()
    Arguments
        n_factors: D ≥ 0; 0: biases only
        solver: "als" or "sgd"
        l2: λ > 0, in rating units squared
        epochs: sweeps over the ratings, ≥ 1
        lr, batch_size: of "sgd": learning rate > 0 of a single rating, and ratings of a step, ≥ 1
        liked: rating that an item of a history stands for; None: the highest training rating
        seed: of the first vectors and of the shuffling
    Raises
        ValueError: an argument is out of its range.
        DataError: by `fit`, if a rating is missing or not finite; on fewer than two items, or no
            user with two ratings.
    Source
        Koren, Bell & Volinsky 2009; "sgd" after Funk 2006.  Differs: the same λ for biases; λ is
        per vector in both solvers, where Funk's is per rating.
    """

    n_factors: int = 16
    solver: Solver = "als"
    l2: float = 12.0
    epochs: int = 15
    lr: float = 0.01
    batch_size: int = 64
    liked: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(0, n_factors=self.n_factors, seed=self.seed)
        check_whole(epochs=self.epochs, batch_size=self.batch_size)
        check_word(Solver, solver=self.solver)
        check_positive(l2=self.l2, lr=self.lr)
        if self.liked is not None and not np.isfinite(self.liked):
            raise ValueError(f"liked={self.liked}: it must be a rating, or None for the highest")

    def fit(
        self,
        train: Interactions,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from all ratings of `train`; the last three arguments are those of `Epochs`.

        After Ctrl-C the sweep or step is finished first, and the model can be used.
        """
        check_log(train)
        r = _ratings(train)
        keep_freed_memory()
        net = RatingNetwork(
            np.diff(train.offsets),
            train.support(),
            self.n_factors,
            float(r.mean()),
            rng=np.random.default_rng(self.seed),
        )
        optimizer = SGD(net.parameters(), self.lr) if self.solver == "sgd" else None
        run = Epochs(
            self,
            net,
            optimizer,
            train,
            events=len(r),
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )

        def finish() -> None:
            self.P_, self.Q_ = net.P.value, net.Q.value
            self.user_bias_, self.item_bias_ = net.user_bias.value, net.item_bias.value
            self.mean_, self.highest_ = np.array(net.mean), np.array(r.max())
            self.user_ids_ = train.user_ids

        with run.leaving(self, finish, item_ids_=train.item_ids, losses_=run.losses):
            if optimizer is None:
                self._alternate(net, run, train)
            else:
                self._descend(net, run, optimizer, train)
        return self

    def predict(self, users: Sequence[Any] | Array, items: Sequence[Any] | Array) -> Array:
        """(1) for pairs of raw ids, (n,); what is not known of a user or an item counts 0."""
        self._check_fitted()
        if len(users) != len(items):
            raise ValueError(f"{len(users)} users and {len(items)} items: give one of each a pair")
        u, i = _codes(users, self.user_ids_), _codes(items, self.item_ids_)
        both = (u >= 0) & (i >= 0)
        product = np.einsum("nd,nd->n", self.P_[u], self.Q_[i])
        b_u, b_i = np.where(u >= 0, self.user_bias_[u], 0), np.where(i >= 0, self.item_bias_[i], 0)
        return self.mean_ + b_u + b_i + np.where(both, product, 0)  # (1)

    def scores(self, histories: Histories) -> Array:
        """(1) for each history, the user solved from it as the class says: (B, N) float64."""
        user = self.fold_in(histories)
        return self.mean_ + user[:, -1:] + self.item_bias_ + user[:, :-1] @ self.Q_.T  # (1)

    def fold_in(self, histories: Histories) -> Array:
        """[P_u, b_u] of each history, every item of it rated `liked`: (B, D + 1)."""
        self._check_fitted()
        items = histories.flat()[1]
        offsets = np.concatenate([[0], np.cumsum(histories.lengths)])
        liked = float(self.highest_) if self.liked is None else self.liked
        rest = liked - self.mean_ - self.item_bias_[items]
        return _regress(self.Q_, items, offsets, rest, self.l2)[0]

    def similarity(self, item: int) -> Array:
        """Cosine of the item vectors, (N,)."""
        unit = normalized(self.Q_)
        return unit @ unit[item]

    def arrays(self) -> dict[str, Array]:
        users, _ = _pack_ids(self.user_ids_)
        return {**super().arrays(), "user_ids_": users, "losses": np.array(self.losses_)}

    def restore(self, arrays: dict[str, Array]) -> None:
        self.losses_ = arrays.pop("losses").tolist()
        users = arrays.pop("user_ids_")
        super().restore(arrays)
        self.user_ids_ = _unpack_ids(users, "json" if users.dtype == np.uint8 else "integers")
        tables = (
            (self.user_ids_, self.P_, self.user_bias_),
            (self.item_ids_, self.Q_, self.item_bias_),
        )
        for ids, table, bias in tables:
            if table.shape != (len(ids), self.n_factors) or bias.shape != (len(ids),):
                raise ValueError(f"a table of shape {table.shape} for {len(ids)} ids")

    def _alternate(self, net: RatingNetwork, run: Epochs, train: Interactions) -> None:
        item, r = train.item, _ratings(train) - net.mean
        by_item = np.argsort(item, kind="stable")
        users_of, r_of = train.user[by_item], r[by_item]
        of_item = np.searchsorted(item[by_item], np.arange(train.n_items + 1))
        P, Q, b_u, b_i = net.P, net.Q, net.user_bias, net.item_bias
        for _ in run:
            rest = r - b_i.value[item]
            z, _ = _regress(Q.value, item, train.offsets, rest, self.l2)
            P.value, b_u.value = z[:, :-1], z[:, -1]
            rest = r_of - b_u.value[users_of]
            z, f = _regress(P.value, users_of, of_item, rest, self.l2)
            Q.value, b_i.value = z[:, :-1], z[:, -1]
            penalty = self.l2 * ((P.value**2).sum() + (b_u.value**2).sum())
            loss = f.sum() + 0.5 * ((rest**2).sum() + penalty)  # (2): f and what f lacks of it
            run.record(loss / len(r), len(r))

    def _descend(
        self, net: RatingNetwork, run: Epochs, optimizer: SGD, train: Interactions
    ) -> None:
        user, item, r = train.user, train.item, _ratings(train)
        for epoch in run:
            rng = np.random.default_rng((self.seed, epoch))
            for at in batches(len(r), self.batch_size, rng):
                (rating, penalty), backward = net(user[at], item[at])
                loss, back_loss = squared(rating, r[at])
                B = len(at)
                backward(back_loss(B), np.full(B, self.l2))  # the sum over the batch: lr is a
                optimizer.step()  # single rating's, whatever the size of the batch
                run.record(loss + self.l2 * penalty.mean(), B)


def _regress(Q: Array, items: Array, offsets: Array, rest: Array, l2: float) -> tuple[Array, Array]:
    """[P_u, b_u] (M, D + 1) that fit each row's `rest` best, by ridge regression on [Q_i, 1].

    Also, (M,), f of `ridge_rows`.
    """
    features = np.concatenate([Q, np.ones((len(Q), 1))], axis=1)
    return ridge_rows(features, items, offsets, np.ones(len(items)), rest, l2)


def _ratings(train: Interactions) -> Array:
    """The values, all of which must be there and finite."""
    if train.value is None:
        raise DataError("the log has no ratings: name their column, by value=… or --value")
    if not np.isfinite(train.value).all():
        at = int(np.flatnonzero(~np.isfinite(train.value))[0])
        user = train.user_ids.tolist()[train.user[at]]
        item = train.item_ids.tolist()[train.item[at]]
        raise DataError(
            f"the rating of item {item!r} by user {user!r} is {train.value[at]}: ratings must be "
            "finite numbers, so leave such events out"
        )
    return train.value


def _codes(raw: Sequence[Any] | Array, ids: Array) -> Array:
    """Codes of raw ids, −1 for unknown ones, (n,)."""
    code = {x: c for c, x in enumerate(ids.tolist())}
    values = raw.tolist() if isinstance(raw, np.ndarray) else list(raw)
    return np.array([code.get(x, -1) for x in values], np.int64)
