"""k-means: group vectors by which of C centres is nearest."""

import numpy as np

from nnlib.array import Array
from nnlib.functional.rows import add_rows


def k_means(
    x: Array, n_clusters: int, rng: np.random.Generator, iterations: int = 50
) -> tuple[Array, Array]:
    """Lloyd's algorithm from k-means++ centres:  (cluster of each vector, centres).

        (1) c_n = argmin_c ‖x_n − m_c‖²
        (2) m_c = mean of the x_n with c_n = c
    repeated until no vector changes its cluster.  A cluster that loses all its vectors keeps its
    centre.

    Shapes
        x (N, D) → cluster (N,) int, centres (C, D)
    Arguments
        n_clusters: C, 1 … N
        iterations: at most that many
    Source
        Lloyd 1982; Arthur & Vassilvitskii 2007 for the first centres: each next one is drawn in
        proportion to the squared distance from the nearest so far.
    """
    centres = x[rng.integers(len(x), size=1)]
    nearest = _squared_distances(x, centres)[:, 0]
    while len(centres) < n_clusters:
        total = np.cumsum(nearest)
        chosen = min(int(np.searchsorted(total, rng.random() * total[-1])), len(x) - 1)
        centres = np.concatenate([centres, x[chosen : chosen + 1]])
        nearest = np.minimum(nearest, _squared_distances(x, centres[-1:])[:, 0])
    cluster = np.full(len(x), -1)
    for _ in range(iterations):
        before, cluster = cluster, _squared_distances(x, centres).argmin(axis=1)  # (1)
        if (cluster == before).all():
            break
        total = np.zeros_like(centres)
        add_rows(total, cluster, x)
        size = np.bincount(cluster, minlength=n_clusters).astype(x.dtype)[:, None]
        centres = np.where(size > 0, total / np.maximum(size, 1), centres)  # (2)
    return cluster, centres


def _squared_distances(x: Array, centres: Array) -> Array:
    """(N, C), never negative."""
    d = (x * x).sum(axis=1)[:, None] - 2 * (x @ centres.T) + (centres * centres).sum(axis=1)
    return np.maximum(d, 0)
