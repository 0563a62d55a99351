"""RatingNetwork: biases and the product of two looked-up vectors."""

import numpy as np

from nnlib.array import Array, Backward
from nnlib.layer import Layer
from nnlib.parameter import Parameter


class RatingNetwork(Layer):
    """A rating as a network: two one-hot inputs, their embeddings, their product.

        (1) r̂ = μ + b_u + b_i + P_u · Q_i
        (2) R = ½ (‖P_u‖² + b_u²) / n_u + ½ (‖Q_i‖² + b_i²) / n_i
    n_u and n_i are how many ratings the user and the item have, so that R summed over all ratings
    is ½ (‖P‖² + ‖Q‖² + ‖b‖²): each rating carries its share of the penalty.

    Shapes
        users, items (B,) int → r̂ (B,), R (B,);  P (M, D), Q (N, D), b_u (M,), b_i (N,)
    Arguments
        user_counts, item_counts: n_u (M,), n_i (N,)
        mean: μ, not learned
        rng: draws P and Q
    """

    def __init__(
        self,
        user_counts: Array,
        item_counts: Array,
        n_factors: int,
        mean: float,
        *,
        rng: np.random.Generator,
    ) -> None:
        M, N = len(user_counts), len(item_counts)
        self.P = Parameter(rng.normal(0.0, 0.1, (M, n_factors)))
        self.Q = Parameter(rng.normal(0.0, 0.1, (N, n_factors)))
        self.user_bias = Parameter(np.zeros(M))
        self.item_bias = Parameter(np.zeros(N))
        self.mean = mean
        self.user_share = 1 / np.maximum(user_counts, 1)
        self.item_share = 1 / np.maximum(item_counts, 1)

    def __call__(
        self, users: Array, items: Array, rng: np.random.Generator | None = None
    ) -> tuple[tuple[Array, Array], Backward]:
        P, Q, b_u, b_i = self.P, self.Q, self.user_bias, self.item_bias
        p, q, u, i = P.value[users], Q.value[items], b_u.value[users], b_i.value[items]
        dtype = p.dtype
        of_user = self.user_share[users].astype(dtype)
        of_item = self.item_share[items].astype(dtype)
        rating = self.mean + u + i + np.einsum("bd,bd->b", p, q)  # (1)
        p2, q2 = np.einsum("bd,bd->b", p, p) + u * u, np.einsum("bd,bd->b", q, q) + i * i
        penalty = 0.5 * of_user * p2 + 0.5 * of_item * q2  # (2)

        def backward(drating: Array, dpenalty: Array) -> tuple[None, None]:
            su, si = dpenalty * of_user, dpenalty * of_item  # (2)
            P.accumulate_rows(users, drating[:, None] * q + su[:, None] * p)  # (1) (2)
            Q.accumulate_rows(items, drating[:, None] * p + si[:, None] * q)
            b_u.accumulate_rows(users, drating + su * u)
            b_i.accumulate_rows(items, drating + si * i)
            return None, None

        return (rating, penalty), backward
