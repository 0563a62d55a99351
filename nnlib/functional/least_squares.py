"""Many small ridge regressions at once: the half-step of alternating least squares."""

from collections.abc import Iterator

import numpy as np

from nnlib.array import Array

PADDED = 1 << 18  # numbers gathered for a block, padding included: they should stay in the cache
SIMILAR = 0.8  # the shortest row of a block relative to its longest


def ridge_rows(
    Q: Array,
    items: Array,
    offsets: Array,
    weight: Array,
    target: Array,
    l2: float,
    *,
    gram: Array | None = None,
) -> tuple[Array, Array]:
    """For every row of cells the vector that explains them best, given the item vectors.

        (1) A_u = G + Σ_{t ∈ u} w_t q_t q_tᵀ + λ I,   b_u = Σ_{t ∈ u} v_t q_t,   q_t = Q[items_t]
        (2) p_u = A_u⁻¹ b_u
        (3) f_u = ½ p_u·A_u p_u − b_u·p_u = −½ b_u·p_u       what is minimised, but for a constant
    With w = 1, v = r and G = 0 this is ridge regression of the ratings r on the item vectors.  With
    G = QᵀQ, w = c − 1 and v = c it minimises Σ_i c_ui (s_ui − p·q_i)² + λ‖p‖² over *all* N items,
    s = 1 and confidence c in the row's cells, 0 and 1 elsewhere: G holds all items once, so a row
    costs its own cells only.

    Rows of similar length are padded to one length and become one batched product and one batched
    `solve`; the loop is over such blocks.

    Shapes
        Q (N, D) · items, weight, target (n,) · offsets (M+1,), row u: cells offsets[u]:offsets[u+1]
        · gram (D, D) or None → p (M, D), f (M,); zeros for an empty row
    Source
        Hu, Koren & Volinsky 2008, section 4 (G once per sweep).
    """
    D = Q.shape[1]
    P, f = np.zeros((len(offsets) - 1, D), Q.dtype), np.zeros(len(offsets) - 1)
    ridge = l2 * np.eye(D, dtype=Q.dtype)
    if gram is not None:
        ridge += gram
    for rows, at, valid in _padded(offsets, D):
        q = Q.take(items.take(at), axis=0)
        w, v = (np.where(valid, x.take(at), 0).astype(Q.dtype) for x in (weight, target))
        A = np.matmul((q * w[:, :, None]).transpose(0, 2, 1), q) + ridge  # (1)
        b = np.matmul(v[:, None, :], q)
        p = np.linalg.solve(A, b.transpose(0, 2, 1))  # (2)
        P[rows], f[rows] = p[:, :, 0], -0.5 * np.matmul(b, p)[:, 0, 0]  # (3)
    return P, f


def ridge_rows_cg(
    Q: Array,
    items: Array,
    offsets: Array,
    weight: Array,
    target: Array,
    l2: float,
    *,
    gram: Array,
    P: Array,
    steps: int,
) -> tuple[Array, Array]:
    """`ridge_rows` by a few steps of conjugate gradients from P, without ever forming A_u.

        (1) A_u x = x G + Σ_{t ∈ u} w_t (q_t · x) q_t + λ x
        (2) f_u   = −½ p_u · (b_u + r_u)                        r = b − A p, what is left
    A step costs D per cell where forming A_u costs D², and a sweep need not be exact: the next one
    starts where it ended.

    Shapes
        as `ridge_rows` · P (M, D) is where the rows start; not written to
    Source
        Takács, Pilászy & Tikk 2011; Hestenes & Stiefel 1952 for the recursion.
    """
    P, D, f = P.copy(), Q.shape[1], np.zeros(len(P))
    ridge = gram + l2 * np.eye(D, dtype=Q.dtype)
    tiny = np.finfo(Q.dtype).tiny
    for rows, at, valid in _padded(offsets, D):
        q = Q.take(items.take(at), axis=0)
        w, v = (np.where(valid, x.take(at), 0).astype(Q.dtype) for x in (weight, target))

        def product(x: Array, q: Array = q, w: Array = w) -> Array:
            along = np.matmul(q, x[:, :, None])[:, :, 0]
            return x @ ridge + np.matmul((w * along)[:, None, :], q)[:, 0]  # (1)

        x = P[rows]
        b = np.matmul(v[:, None, :], q)[:, 0]
        r = b - product(x)
        direction, rr = r, (r * r).sum(axis=1)
        for _ in range(steps):
            Ad = product(direction)
            step = rr / np.maximum((direction * Ad).sum(axis=1), tiny)
            x = x + step[:, None] * direction
            r = r - step[:, None] * Ad
            rr, before = (r * r).sum(axis=1), rr
            direction = r + (rr / np.maximum(before, tiny))[:, None] * direction
        P[rows], f[rows] = x, -0.5 * (x * (b + r)).sum(axis=1)  # (2)
    P[np.diff(offsets) == 0] = 0
    return P, f


def _padded(offsets: Array, n_factors: int) -> Iterator[tuple[Array, Array, Array]]:
    """(rows (B,), cells (B, L), which of them are the row's (B, L)) of blocks of similar rows."""
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    order = order[: np.count_nonzero(lengths)]
    sorted_lengths = lengths[order]
    a = 0
    while a < len(order):
        L = int(sorted_lengths[a])
        similar = int(np.searchsorted(-sorted_lengths, -SIMILAR * L, side="right"))
        b = min(similar, a + max(1, PADDED // (L * n_factors)))
        rows = order[a:b]
        place = np.arange(L)
        valid = place < sorted_lengths[a:b, None]
        yield rows, offsets[rows][:, None] + np.where(valid, place, 0), valid
        a = b
