"""BPR-max: the ranking loss that is worth a kernel, in a textbook and in a fast form."""

import numpy as np

from nnlib.array import Array, array_module, fusable
from nnlib.functional.softmax import RowLosses, in_safe_range, rows_per_block


@fusable
def bpr_max(s: Array, target: Array, count: Array, regularization: float) -> RowLosses:
    """BPR-max per row; see `nnlib.losses.bpr_max` for what it is.

    On the host in blocks of rows that stay in the cache; a block whose scores are too far apart
    for `bpr_max_block` (about ±34), and everything on the GPU, takes the textbook form.

    Shapes
        s (B, U) · target (B,) int · count (U,) like s → losses (B,), G (B, U), scale (B,)
    """
    if not isinstance(s, np.ndarray):
        return bpr_max_in_logs(s, target, count, regularization)
    losses, G, scale = np.empty(len(s), s.dtype), np.empty_like(s), np.empty(len(s), s.dtype)
    n = rows_per_block(s)
    for start in range(0, len(s), n):
        block = slice(start, start + n)
        part = bpr_max_block(s[block], target[block], count, regularization, out=G[block])
        if part is None:
            part = bpr_max_in_logs(s[block], target[block], count, regularization)
            G[block] = part.G
        losses[block], scale[block] = part.losses, part.scale
    return RowLosses(losses, G, scale)


def bpr_max_in_logs(s: Array, target: Array, count: Array, regularization: float) -> RowLosses:
    """The textbook form, exact for all scores because products are sums of logarithms.

        (1) ℓ_j = s_j + log σ(s_t − s_j)
        (2) π = softmax(s),  r = softmax(ℓ)                over negatives
        (3) L = logsumexp(s) − logsumexp(ℓ) + λ Σ_j π_j s_j²
    The first difference is −log Σ_j π_j σ(s_t − s_j).  Where there is no negative, L = 0.
    """
    xp = array_module(s)
    rows = xp.arange(len(s))
    with np.errstate(divide="ignore"):
        log_w = xp.log(count) + xp.zeros_like(s)
        log_w[rows, target] = xp.log(count[target] - 1)  # −∞ if the positive has no copy
    y = s - s[rows, target][:, None]
    e = xp.exp(-abs(y))
    log_sigma = -xp.maximum(y, 0) - xp.log1p(e)  # log σ(s_t − s_j)
    sigma = xp.where(y > 0, e, 1) / (1 + e)
    pi, lse_s = _softmax(y + log_w)  # (2): y instead of s, both less s_t, cancels in (3)
    r, lse_l = _softmax(y + log_sigma + log_w)  # (1) (2)
    rho = (pi * s * s).sum(axis=1)
    losses = lse_s - lse_l + regularization * rho  # (3)

    ds = pi * (1 + regularization * (s * (s + 2) - rho[:, None]))  # (3) (2)
    ds -= r * sigma  # (1)
    ds[rows, target] -= (r * (1 - sigma)).sum(axis=1)
    return RowLosses(losses, ds, xp.ones_like(losses))


def bpr_max_block(
    s: Array, target: Array, count: Array, regularization: float, out: Array
) -> RowLosses | None:
    """The fast form on a few rows, G in `out`; None where a sum is outside the safe range.

    With e_j = exp(s_j), d_j = 1 / (e_j + e_t) the sigmoids are σ(s_t − s_j) = e_t d_j and
    σ(s_j − s_t) = e_j d_j, so one exponential gives softmax and sigmoids.  w_j is the count, one
    less for the positive.

        (1) Z = Σ w_j e_j,  V = Σ w_j e_j d_j,  ρ = Σ w_j e_j s_j² / Z
        (2) L = −log(e_t V / Z) + λ ρ
        (3) Z ∂L/∂s_j = w_j e_j [1 − (Z e_t / V) d_j² + λ (s_j (s_j + 2) − ρ)]
        (4) Z ∂L/∂s_t = −Z (1 − (e_t / V) Σ w_j e_j d_j²),  beside (3) for the positive's copies
    Tricks: in (3) the terms σ² and σ (1 − σ) of the derivative have merged into d²; no maximum is
    subtracted (a pass), the range of the sums is looked at instead; 1 / Z is left to `scale`;
    sums are row-wise dot products, so no product is stored; temporaries are used again.
    """
    rows, ones, lam = np.arange(len(s)), np.ones(s.shape[1], s.dtype), regularization
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        e = np.exp(s)
        e_t = e[rows, target]
        d = e + e_t[:, None]
        np.reciprocal(d, out=d)
        e *= count
        e[rows, target] = e_t * (count[target] - 1)
        Z = e @ ones  # (1)
        safe = in_safe_range(Z, e_t, Z / e_t)
    if not safe:
        return None
    V = np.vecdot(e, d)
    q = np.add(s, 2, out=out)
    q *= s
    rho = (np.vecdot(e, q) - 2 * np.vecdot(e, s)) / Z
    losses = lam * rho - np.log(e_t * V / Z)  # (2)

    np.square(d, out=d)  # (3)
    last = 1 - e_t * np.vecdot(e, d) / V  # (4)
    d *= (Z * e_t / V)[:, None]
    q *= lam
    q += (1 - lam * rho)[:, None]
    q -= d
    q *= e
    q[rows, target] -= Z * last  # (4)
    return RowLosses(losses, q, 1 / Z)


def _softmax(a: Array) -> tuple[Array, Array]:
    """Softmax and log-sum-exp of rows; both 0 for a row that is −∞ throughout."""
    xp = array_module(a)
    top = a.max(axis=1, keepdims=True)
    top = xp.where(top == -xp.inf, xp.zeros_like(top), top)
    e = xp.exp(a - top)
    z = e.sum(axis=1, keepdims=True)
    z = xp.where(z == 0, xp.ones_like(z), z)
    return e / z, (xp.log(z) + top)[:, 0]
