"""AsymmetricMF: matrix factorization without user vectors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from nnlib.array import Array, keep_freed_memory
from nnlib.data import Histories, Interactions, batches
from nnlib.functional.sparse_products import sparse_product
from nnlib.models.base import Recommender, check_log
from nnlib.models.baselines.counting import count_pairs, tie_break
from nnlib.models.embeddings.asymmetric_network import AsymmetricNetwork
from nnlib.models.epochs import Epochs
from nnlib.models.item_vectors import normalized
from nnlib.models.settings import check_not_negative, check_positive, check_whole
from nnlib.optim import Adam, l2_penalty


@dataclass(kw_only=True)
class AsymmetricMF(Recommender):
    """A user is the sum of the vectors of the items that he has; a second vector scores an item.

        (1) P_u  = n_u^{−β} Σ_{j ∈ N(u)} X_j
        (2) s_uj = P_u · Q_j;  for j ∈ N(u), of the user without j
        (3) L    = ½ Σ_{all u,j} c_uj ([j ∈ N(u)] − s_uj)² + ½λ (‖X‖² + ‖Q‖²),
            c_uj = 1 + α for j ∈ N(u), otherwise 1
    The parameters are those of the items alone, so a new user needs no training and no solving: (1)
    is his vector as soon as he has an item, and one more item is one more summand.  Adam minimises
    (3) over batches of users; see `AsymmetricNetwork` for the equations.  An empty history gets
    popularity.

    Shapes
        X_, Q_ (N, D)
    Arguments
        n_factors: D ≥ 1
        alpha: α ≥ 0, how much more an item that a user has weighs than one that he has not
        exponent: β ≥ 0; 0 sums, 1 averages, ½ in between
        l2: λ ≥ 0
        epochs: passes over the users, ≥ 1
        batch_size: users of a step, ≥ 1
        lr: of Adam, > 0
        seed: of the vectors and of the shuffling
    Raises
        ValueError: an argument is out of its range.
        DataError: by `fit`, on fewer than two items or no user with two events.
    Source
        Paterek 2007 (NSVD1) for (1); Kabbur, Ning & Karypis 2013 (FISM) for (2); Hu, Koren &
        Volinsky 2008 for (3), where the papers have observed ratings or sampled zeros.
    """

    n_factors: int = 16
    alpha: float = 10.0
    exponent: float = 0.5
    l2: float = 60.0
    epochs: int = 30
    batch_size: int = 64
    lr: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(n_factors=self.n_factors, epochs=self.epochs, batch_size=self.batch_size)
        check_whole(0, seed=self.seed)
        check_not_negative(alpha=self.alpha, exponent=self.exponent, l2=self.l2)
        check_positive(lr=self.lr)

    def fit(
        self,
        train: Interactions,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from the users of `train`; the last three arguments are those of `Epochs`.

        After Ctrl-C the step is finished first, and the model can be used.
        """
        check_log(train)
        keep_freed_memory()
        N = train.n_items
        user, item, _ = count_pairs(train.user, train.item, N)
        sets = Histories.from_offsets(item, np.searchsorted(user, np.arange(train.n_users + 1)))
        sets = sets.take(np.flatnonzero(sets.lengths > 1))  # one item alone predicts nothing
        net = AsymmetricNetwork(
            N,
            self.n_factors,
            alpha=self.alpha,
            exponent=self.exponent,
            rng=np.random.default_rng(self.seed),
        )
        optimizer = Adam(net.parameters(), self.lr)
        run = Epochs(
            self,
            net,
            optimizer,
            train,
            events=len(sets),
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )

        def finish() -> None:
            self.X_, self.Q_ = net.X.value, net.Q.value
            self.tie_break_ = tie_break(train.support())

        with run.leaving(self, finish, item_ids_=train.item_ids, losses_=run.losses):
            for epoch in run:
                rng = np.random.default_rng((self.seed, epoch))
                for rows in batches(len(sets), self.batch_size, rng):
                    some = sets.take(rows)
                    offsets = np.concatenate([[0], np.cumsum(some.lengths)])
                    loss, backward = net(some.flat()[1], offsets)
                    backward()
                    penalty = l2_penalty(net.parameters(), self.l2 / len(sets))  # of one user
                    optimizer.step()
                    run.record(loss + penalty, len(rows))
        return self

    def scores(self, histories: Histories) -> Array:
        """(2) for each history, (B, N) float64; its own items are scored by the rest of it."""
        self._check_fitted()
        row, item, _ = count_pairs(*histories.flat(), len(self.item_ids_))
        offsets = np.searchsorted(row, np.arange(len(histories) + 1))
        n = np.diff(offsets)[:, None].astype(np.float64)
        total = sparse_product(np.ones(len(item)), item, offsets, self.X_)
        s = (np.maximum(n, 1) ** -self.exponent * total) @ self.Q_.T
        without = np.maximum(n - 1, 1)[row] ** -self.exponent * (total[row] - self.X_[item])
        s[row, item] = np.einsum("nd,nd->n", without, self.Q_[item])
        s[histories.lengths == 0] = self.tie_break_
        return s

    def similarity(self, item: int) -> Array:
        """Cosine of the vectors Q, (N,)."""
        unit = normalized(self.Q_)
        return unit @ unit[item]

    def arrays(self) -> dict[str, Array]:
        return {**super().arrays(), "losses": np.array(self.losses_)}

    def restore(self, arrays: dict[str, Array]) -> None:
        self.losses_ = arrays.pop("losses").tolist()
        super().restore(arrays)
        shape = (len(self.item_ids_), self.n_factors)
        if self.X_.shape != shape or self.Q_.shape != shape:
            raise ValueError(f"tables of shape {self.X_.shape} and {self.Q_.shape}, not {shape}")
