"""The largest singular values of a matrix that is known by its products only."""

from collections.abc import Callable

import numpy as np

from nnlib.array import Array

Product = Callable[[Array], Array]

MARGIN = 10  # vectors carried beyond those asked for
STEPS = 6  # blocks of the Krylov space


def truncated_svd(
    multiply: Product,
    multiply_transposed: Product,
    n_columns: int,
    k: int,
    *,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """The `k` largest singular values of X and their right singular vectors: (k,), (n_columns, k).

    Fewer than k if X has fewer rows or columns.

        (1) K = [Y, (XᵀX) Y, (XᵀX)² Y, …],   Y random with k + 10 columns
        (2) V = an orthonormal basis of K;  the SVD of X V gives the best approximation within it
    The space (1) holds what a power method of as many steps would end with and all it passed
    through, so a few products suffice; where it is the whole space the result is exact.

    Arguments
        multiply: Y (n_columns, m) → X Y (n_rows, m)
        multiply_transposed: Z (n_rows, m) → Xᵀ Z (n_columns, m)
        rng: draws Y
    Source
        Musco & Musco 2015, algorithm 2 (block Krylov); Halko, Martinsson & Tropp 2011.
    """
    block = rng.standard_normal((n_columns, min(k + MARGIN, n_columns)))
    space = []
    for _ in range(STEPS):
        block, _ = np.linalg.qr(block)  # keeps the blocks from collapsing onto the first vector
        space.append(block)
        block = multiply_transposed(multiply(block))  # (1)
    V, _ = np.linalg.qr(np.concatenate([*space, block], axis=1))
    _, s, Wt = np.linalg.svd(multiply(V), full_matrices=False)  # (2)
    return s[:k], V @ Wt[:k].T
