"""AsymmetricNetwork: a user is the sum of the vectors of what he has; all cells are in the loss."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.functional.rows import add_rows
from nnlib.functional.sparse_products import sparse_product
from nnlib.layer import Layer
from nnlib.parameter import Parameter


class AsymmetricNetwork(Layer):
    """Loss of a batch of users' whole rows, observed and empty cells alike.

        (1) T_u  = Σ_{j ∈ N(u)} X_j,   P_u = n_u^{−β} T_u
        (2) P_ui = (n_u − 1)^{−β} (T_u − X_i),  i ∈ N(u)      the user without item i
        (3) s_ui = P_ui · Q_i,   t_ui = P_u · Q_i
        (4) L = ½/B Σ_u [Σ_{i ∈ N(u)} c (1 − s_ui)² + Σ_{j ∉ N(u)} t_uj²],   c = 1 + α
              = ½/B [Σ_{de} (PᵀP)_de (QᵀQ)_de + Σ_{u, i ∈ N(u)} (c (1 − s_ui)² − t_ui²)]
    The second form of (4) costs the observed cells and two D × D matrices, not B · N cells.
    Without (2) an item would predict itself by X_i · Q_i and little else would be learned.

    Shapes
        items (n,) int, offsets (B+1,): row u has the distinct items offsets[u]:offsets[u+1], ≥ 2
        → L ();  X, Q (N, D)
    Arguments
        alpha: α ≥ 0
        exponent: β ≥ 0
        rng: draws X and Q
    """

    def __init__(
        self,
        n_items: int,
        n_factors: int,
        *,
        alpha: float,
        exponent: float,
        rng: np.random.Generator,
    ) -> None:
        self.X = Parameter(rng.normal(0.0, 0.1, (n_items, n_factors)))
        self.Q = Parameter(rng.normal(0.0, 0.1, (n_items, n_factors)))
        self.alpha, self.exponent = alpha, exponent

    def __call__(
        self, items: Array, offsets: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Backward]:
        X, Q, c = self.X, self.Q, 1 + self.alpha
        size = np.diff(offsets)
        B = len(size)
        row = np.repeat(np.arange(B), size)
        n = size[:, None].astype(X.value.dtype)
        whole, less = n**-self.exponent, (n - 1)[row] ** -self.exponent

        T = sparse_product(np.ones(len(items), X.value.dtype), items, offsets, X.value)
        P = whole * T  # (1)
        P_of, Q_of = P[row], Q.value[items]
        P_without = less * (T[row] - X.value[items])  # (2)
        s = np.einsum("nd,nd->n", P_without, Q_of)  # (3)
        t = np.einsum("nd,nd->n", P_of, Q_of)
        PP, QQ = P.T @ P, Q.value.T @ Q.value
        loss = (0.5 / B) * ((PP * QQ).sum() + (c * (1 - s) ** 2 - t * t).sum())  # (4)

        def backward(dloss: Array | float = 1.0) -> tuple[None, None]:
            ds = (dloss / B) * c * (s - 1)[:, None]  # (4)
            dt = (-dloss / B) * t[:, None]
            dP = (dloss / B) * (P @ QQ)
            dQ = (dloss / B) * (Q.value @ PP)
            add_rows(dQ, items, ds * P_without + dt * P_of)  # (3)
            through = less * (ds * Q_of)  # (2)
            dP += np.add.reduceat(dt * Q_of, offsets[:-1], axis=0)
            dT = whole * dP + np.add.reduceat(through, offsets[:-1], axis=0)  # (1)
            dX = np.zeros_like(X.value)
            add_rows(dX, items, dT[row] - through)
            X.accumulate(dX)
            Q.accumulate(dQ)
            return None, None

        return loss, backward
