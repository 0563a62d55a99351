"""Ranking losses: the positive of a row against negatives, of which there may be thousands.

    loss, backward = bpr_max(scores, target, count);  dscores = backward()

Row b has its positive in column t = target_b; every other column is a negative, and `count` says
how many.  A step of GRU4Rec draws the same item several times, as target of several rows or as a
sample; the model scores it once and count_j = 3 means three equal columns j.  The positive is one
of its own count_t copies; the others are negatives of itself, as in the reference.  So

    a call with counts  =  a call with each column j repeated count_j times,

in value, and in gradient summed over the copies.  Below w_bj = count_j − [j = t] is the number of
negatives that column j holds for row b, N = Σ_j w_bj their number, and sums run over columns.

All are means over the batch.  A row without negatives (N = 0) has loss and gradient 0.  Final
activations (tanh for bpr and top1, ELU for the -max losses) are the caller's.

                    loss of a row                             with the paper's name for it
    bpr             mean_j −log σ(s_t − s_j)                  BPR
    top1            mean_j [σ(s_j − s_t) + σ(s_j²)]           TOP1
    top1_max        Σ_j π_j [σ(s_j − s_t) + σ(s_j²)]          TOP1-max, π = softmax over negatives
    bpr_max         −log Σ_j π_j σ(s_t − s_j) + λ Σ_j π_j s_j²           BPR-max

With many negatives the mean drowns the few that are close to the positive; π singles them out.
π depends on the scores, and its derivative is part of the gradient.
"""

from nnlib.array import Array, Backward, array_module
from nnlib.functional import ranking
from nnlib.functional.products import product, row_dots
from nnlib.functional.softmax import exp_sum, scale_rows

LOG_2 = 0.6931471805599453


def bpr(scores: Array, target: Array, count: Array | None = None) -> tuple[Array, Backward]:
    """Bayesian personalised ranking: the mean of −log σ(s_t − s_j) over negatives, in nats.

        (1) v_bj = σ(s_bj − s_bt)
        (2) L = 1/B Σ_b 1/N Σ_j w_bj (−log(1 − v_bj))
    Backward
        ∂L/∂s_bj = w_bj v_bj / (N B),   ∂L/∂s_bt = −Σ_j of that.
    Shapes
        scores (B, U) · target (B,) int · count (U,) ≥ 1 → L ()
    Source
        Rendle et al. 2009; Hidasi et al. 2016 · differs: the released GRU4Rec code takes the sum
        over all columns, j = t included, which multiplies the learning rate by N and adds log 2.
    """
    xp, B, n = array_module(scores), len(scores), _counts(scores, count)
    rows, N = xp.arange(B), n.sum() - 1
    y = scores - scores[rows, target][:, None]
    above = xp.maximum(y, 0)
    y *= 0.5
    h = xp.tanh(y, out=y)  # (1): v = ½ (1 + h)
    above -= xp.log1p(abs(h))  # −log(1 − v) = max(y, 0) − log(1 + |h|) + log 2; without log 2 ...
    loss = product(above, n).mean() / xp.maximum(N, 1)  # (2) ... the positive itself contributes 0
    loss += LOG_2 * xp.minimum(N, 1)

    def backward(dloss: Array | float = 1.0) -> Array:
        ds = h + 1
        ds *= n
        ds *= dloss / (2 * B * xp.maximum(N, 1))  # (2) (1)
        ds[rows, target] -= ds.sum(axis=1)  # the positive itself: + ½ − ½
        return ds

    return loss, backward


def top1(scores: Array, target: Array, count: Array | None = None) -> tuple[Array, Backward]:
    """TOP1: the share of negatives above the positive, softened, and their scores held near 0.

        (1) v_bj = σ(s_bj − s_bt),   q_bj = σ(s_bj²)
        (2) L = 1/B Σ_b 1/N Σ_j w_bj (v_bj + q_bj)
    Backward
        ∂L/∂s_bj = w_bj [v_bj (1 − v_bj) + 2 s_bj q_bj (1 − q_bj)] / (N B),
        ∂L/∂s_bt = −Σ_j w_bj v_bj (1 − v_bj) / (N B).
    Shapes
        scores (B, U) · target (B,) int · count (U,) ≥ 1 → L ()
    Source
        Hidasi et al. 2016 · differs: the released code divides by all columns and keeps σ(0) = ½ of
        j = t.
    """
    xp, B, n = array_module(scores), len(scores), _counts(scores, count)
    rows, N = xp.arange(B), n.sum() - 1
    h, g = _half_tanhs(scores, scores[rows, target])  # (1): v = ½ (1 + h), q = ½ (1 + g)
    sums = product(h + g, n) - g[rows, target]  # Σ_j w (h + g), as h_t = 0
    loss = sums.mean() / (2 * xp.maximum(N, 1)) + xp.minimum(N, 1)  # (2)

    def backward(dloss: Array | float = 1.0) -> Array:
        c = dloss / (4 * B * xp.maximum(N, 1))  # (2)
        ds = 1 - g * g  # (1): 2 s q (1 − q) = ¼ · 2 s (1 − g²)
        ds *= scores
        ds *= 2 * c
        own = ds[rows, target]
        dy = h * h  # (1): v (1 − v) = ¼ (1 − h²)
        dy *= -c
        dy += c
        ds += dy
        ds *= n
        ds[rows, target] -= own + product(dy, n)
        return ds

    return loss, backward


def top1_max(scores: Array, target: Array, count: Array | None = None) -> tuple[Array, Backward]:
    """TOP1-max: TOP1 with the negatives weighted by their softmax instead of equally.

        (1) v_bj = σ(s_bj − s_bt),   q_bj = σ(s_bj²),   l = v + q
        (2) π_bj = w_bj exp(s_bj) / Σ_k w_bk exp(s_bk)
        (3) L = 1/B Σ_b L_b,   L_b = Σ_j π_bj l_bj
    Backward
        ∂L/∂s_bj = π_bj [l_bj − L_b + v_bj (1 − v_bj) + 2 s_bj q_bj (1 − q_bj)] / B,
        ∂L/∂s_bt = −Σ_j π_bj v_bj (1 − v_bj) / B.
    Shapes
        scores (B, U) · target (B,) int · count (U,) ≥ 1 → L ()
    Source
        Hidasi & Karatzoglou 2018.
    """
    B, n = len(scores), _counts(scores, count)
    rows = array_module(scores).arange(B)
    h, g = _half_tanhs(scores, scores[rows, target])  # (1): v = ½ (1 + h), q = ½ (1 + g)
    l = h + g
    l *= 0.5
    l += 1
    e, z, _ = exp_sum(scores, n, leave_out=target)  # (2): π = e / z
    losses = row_dots(e, l) / z  # (3)

    def backward(dloss: Array | float = 1.0) -> Array:
        slope = h * h
        slope -= 1
        slope *= e  # −4 π z v (1 − v)
        ds = g * g
        ds -= 1
        ds *= scores
        ds *= -0.5  # (1): 2 s q (1 − q) = ½ s (1 − g²)
        ds += l  # (3) (2)
        ds -= losses[:, None]
        ds *= e
        ds -= slope * 0.25  # (1)
        ds[rows, target] += slope.sum(axis=1) * 0.25
        return scale_rows(ds, dloss / B / z)

    return losses.mean(), backward


def bpr_max(
    scores: Array, target: Array, count: Array | None = None, regularization: float = 1.0
) -> tuple[Array, Backward]:
    """BPR-max: BPR against the softmax-weighted negatives, with a weighted penalty on scores.

        (1) π_bj = w_bj exp(s_bj) / Σ_k w_bk exp(s_bk)
        (2) A_b  = Σ_j π_bj σ_bj,   σ_bj = σ(s_bt − s_bj)
        (3) ρ_b  = Σ_j π_bj s_bj²
        (4) L    = 1/B Σ_b (−log A_b + λ ρ_b)                        λ = regularization
    Backward
        ∂L/∂s_bj = π_bj [1 − σ_bj² / A_b + λ (s_bj² + 2 s_bj − ρ_b)] / B,
        ∂L/∂s_bt = −Σ_j π_bj σ_bj (1 − σ_bj) / (A_b B).
    The maths is in `nnlib.functional.ranking`, in a form for all scores and in a fast one.

    Shapes
        scores (B, U) · target (B,) int · count (U,) ≥ 1 → L ()
    Arguments
        regularization: λ ≥ 0
    Source
        Hidasi & Karatzoglou 2018, eq. 10 and 13 · differs: the deck prints λ Σ_j s_j² without
        π_j, which would push all scores to 0 alike.
    """
    B, n = len(scores), _counts(scores, count)
    losses, G, scale = ranking.bpr_max(scores, target, n, regularization)  # (1) to (4)

    def backward(dloss: Array | float = 1.0) -> Array:
        return scale_rows(G, scale * (dloss / B))  # (4) to (1)

    return losses.mean(), backward


def _counts(scores: Array, count: Array | None) -> Array:
    """How many equal columns each column stands for, in the scores' dtype, (U,)."""
    if count is None:
        return array_module(scores).ones(scores.shape[1], scores.dtype)
    return count.astype(scores.dtype, copy=False)


def _half_tanhs(scores: Array, positive: Array) -> tuple[Array, Array]:
    """h and g with σ(s − s_t) = ½ (1 + h) and σ(s²) = ½ (1 + g)."""
    xp = array_module(scores)
    h = scores - positive[:, None]
    h *= 0.5
    g = xp.square(scores)
    g *= 0.5
    return xp.tanh(h, out=h), xp.tanh(g, out=g)
