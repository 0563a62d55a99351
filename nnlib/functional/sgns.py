"""Skip-gram with negative sampling without sampling: the loss in expectation, for few items."""

from nnlib.array import Array, Backward, array_module
from nnlib.functional.activations import log_logistic, logistic


def sgns_expected(E: Array, O: Array, counts: Array, k: float, q: Array) -> tuple[Array, Backward]:
    """Expected loss of negative sampling over all pairs: mean over pairs, in nats.

        (1) S = E Oᵀ
        (2) L = −1/n Σ_wc [N_wc log σ(S_wc) + M_wc log σ(−S_wc)]
            M_wc = k n_w q_c,  n_w = Σ_c N_wc,  n = Σ_w n_w               N = counts
    Nothing is drawn, so there is no noise, and a step costs three products of (V, V) by (V, D) and
    the square of V in memory, however many the pairs.  L is least where
    S_wc = log N_wc − log M_wc, and gets there for D ≥ V: with q the share of each item that is
    pointwise mutual information less log k.

    Backward
        ∂L/∂S = [(N + M) σ(S) − N] / n, returned as (dE, dO)
    Shapes
        E, O (V, D) · counts (V, V) ≥ 0 · q (V,), sums to 1 → L ()
    Arguments
        counts: how often context c was seen with item w, or any weight of that pair
        k: negatives for each pair, > 0
        q: the distribution that negatives come from
    Source
        Levy & Goldberg 2014, eq. 3 to 8 · differs: q may be any distribution.  As in their analysis
        a negative may equal the positive; where trainers skip those, M_wc = k (n_w − N_wc) q_c.
    """
    xp = array_module(E)
    counts, q = counts.astype(E.dtype, copy=False), q.astype(E.dtype, copy=False)
    n_w = counts.sum(axis=1)
    n = n_w.sum()
    S = E @ O.T  # (1)
    both = xp.outer(n_w * k, q)  # (2): M, then N + M
    loss = xp.vdot(both, S)  # log σ(−S) = log σ(S) − S
    both += counts
    loss = (loss - xp.vdot(both, log_logistic(S))) / n

    def backward(dloss: Array | float = 1.0) -> tuple[Array, Array]:
        dS = logistic(S)  # (2)
        dS *= both
        dS -= counts
        dS *= dloss / n
        return dS @ O, dS.T @ E  # (1)

    return loss, backward
