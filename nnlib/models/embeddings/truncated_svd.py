"""TruncatedSVD: item vectors from the co-occurrence matrix, without any training."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from nnlib.array import Array
from nnlib.data import Interactions
from nnlib.functional.sparse_products import sparse_product, transposed_product
from nnlib.functional.svd import truncated_svd
from nnlib.models.base import check_log
from nnlib.models.baselines.counting import count_pairs
from nnlib.models.item_vectors import ItemVectors, Score, check_scoring
from nnlib.models.settings import check_whole
from nnlib.threads import one_blas_thread


@dataclass(kw_only=True)
class TruncatedSVD(ItemVectors):
    """The best approximation of rank D to the cosines between items: what 2vec models must beat.

        (1) S_ij = N_ij / √(n_i n_j)       N_ij: users that have i and j; n_i = N_ii: users with i
        (2) S ≈ U Σ Uᵀ,  E = O = U √Σ      so that E_i · E_j ≈ S_ij
    S is never built: with X̂ = X diag(n)^{−½} it is X̂ᵀX̂, so U holds the right singular vectors of
    the sparse X̂ and √Σ its singular values.  Scores "pmi" are here sums of (2), see `ItemVectors`.

    Shapes
        E_, O_ (N, D)
    Arguments
        n_factors: D ≥ 1; columns beyond the number of users or items are zero
        score, decay: how a history is scored, see `ItemVectors`
        seed: of the start of the iteration
    Raises
        ValueError: an argument is out of its range.
        DataError: by `fit`, on fewer than two items or no user with two events.
    Source
        The baseline of Barkan & Koenigstein 2016, section 3.  Differs: S_ii = 1, so that S has no
        negative eigenvalues and n_i counts users; there N_ii is 0 and n_i a row sum.
    """

    n_factors: int = 40
    score: Score = "cosine"
    decay: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(n_factors=self.n_factors)
        check_whole(0, seed=self.seed)
        check_scoring(self.score, self.decay)

    def fit(self, train: Interactions) -> Self:
        check_log(train)
        M, N = train.n_users, train.n_items
        user, item, _ = count_pairs(train.user, train.item, N)
        g = 1 / np.sqrt(np.bincount(item)[item])  # the entries of X̂
        offsets = np.searchsorted(user, np.arange(M + 1))

        def times(Y: Array) -> Array:
            return sparse_product(g, item, offsets, Y)

        def transposed_times(Z: Array) -> Array:
            return transposed_product(g, item, offsets, Z, N)

        rng = np.random.default_rng(self.seed)
        with one_blas_thread():  # more of them take longer over matrices of this shape
            sigma, U = truncated_svd(times, transposed_times, N, self.n_factors, rng=rng)
        self.item_ids_ = train.item_ids
        self.E_ = np.zeros((N, self.n_factors))
        self.E_[:, : len(sigma)] = U * sigma  # √Σ of S = Σ of X̂
        self.O_ = self.E_
        support = train.support()
        self.log_q_ = np.log(np.maximum(support, 1) / support.sum())
        self.losses_ = []
        return self
