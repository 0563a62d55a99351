"""One step of a GRU whose previous state is a constant: what GRU4Rec trains with.

Session-parallel training cuts the gradient between steps, so nothing flows into the previous
state, a third of the backward products is not needed, and the rows whose session just began
(their state is zero) take no part in the recurrent products at all: the caller puts the C rows
that carry a state first, B − C fresh rows follow.  Where the gradient shall go further back, the
two functions at the end have what it is with respect to h.

    v (B, 3H)   input part x W, columns r | z | c
    h (C, H)    carried states, C ≤ B
    U (H, 3H)   recurrent weights, columns r | z | c
"""

from typing import NamedTuple

from nnlib.array import Array, array_module, fusable
from nnlib.functional.activations import logistic


class GRUStepSaved(NamedTuple):
    """What the backward needs of a step."""

    h: Array  # (C, H) carried states
    U: Array  # (H, 3H)
    gates: Array  # (B, 2H) r | z
    c: Array  # (B, H) candidate
    gap: Array  # (B, H) c − h
    inner: Array  # reset before: r ⊙ h (C, H) · reset after: h U_c + b_h,c (B, H)


@fusable
def gru_step_before(v: Array, h: Array, U: Array, b: Array) -> tuple[Array, GRUStepSaved]:
    """One GRU step, reset applied before the recurrent product.

        (1) a  = v + b
        (2) r | z = σ(a_rz + h U_rz)
        (3) q  = r ⊙ h
        (4) c  = tanh(a_c + q U_c)
        (5) h' = h + z ⊙ (c − h)
    Shapes
        v (B, 3H) · h (C, H) · U (H, 3H) · b (3H,) → h' (B, H)
    Source
        Cho et al. 2014, with z as Hidasi et al. 2016 use it (z = 1 takes the candidate).
    """
    C, H = h.shape
    gates = v[:, : 2 * H] + b[: 2 * H]  # (1)
    gates[:C] += h @ U[:, : 2 * H]
    logistic(gates, out=gates)  # (2)
    q = gates[:C, :H] * h  # (3)
    c = v[:, 2 * H :] + b[2 * H :]  # (1)
    c[:C] += q @ U[:, 2 * H :]
    array_module(v).tanh(c, out=c)  # (4)
    gap = c.copy()
    gap[:C] -= h
    h_next = gates[:, H:] * gap
    h_next[:C] += h  # (5)
    return h_next, GRUStepSaved(h, U, gates, c, gap, q)


@fusable
def gru_step_before_backward(dh_next: Array, saved: GRUStepSaved) -> tuple[Array, Array, Array]:
    """(da, dU, db) of `gru_step_before`; ∂L/∂v = da."""
    h, U, gates, c, gap, q = saved
    xp = array_module(c)
    C, H = h.shape
    da = xp.empty((len(c), 3 * H), c.dtype)
    da_r, da_z, da_c = da[:, :H], da[:, H : 2 * H], da[:, 2 * H :]
    slope = gates * (1 - gates)
    xp.multiply(dh_next, gates[:, H:], out=da_c)  # (5)
    xp.multiply(dh_next, gap, out=da_z)  # (5)
    da_c *= 1 - c * c  # (4)
    xp.multiply(da_c[:C] @ U[:, 2 * H :].T, h, out=da_r[:C])  # (3)
    da_r[C:] = 0
    da[:, : 2 * H] *= slope  # (2)
    dU = xp.empty_like(U)
    xp.matmul(q.T, da_c[:C], out=dU[:, 2 * H :])  # (4)
    xp.matmul(h.T, da[:C, : 2 * H], out=dU[:, : 2 * H])  # (2)
    return da, dU, da.sum(axis=0)  # (1)


@fusable
def gru_step_after(
    v: Array, h: Array, U: Array, b: Array, b_h: Array
) -> tuple[Array, GRUStepSaved]:
    """One GRU step, reset applied after the recurrent product.

        (1) a  = v + b,  m = h U + b_h
        (2) r | z = σ(a_rz + m_rz)
        (3) c  = tanh(a_c + r ⊙ m_c)
        (4) h' = h + z ⊙ (c − h)
    Shapes
        v (B, 3H) · h (C, H) · U (H, 3H) · b, b_h (3H,) → h' (B, H)
    Source
        The form of cuDNN and of torch's GRUCell, hence of the official GRU4Rec when it has
        embeddings.  Differs: torch's z is 1 − z here, the same model with that gate's weights
        negated.
    """
    C, H = h.shape
    a = v + b  # (1)
    m = array_module(v).empty_like(v)
    m[:] = b_h
    m[:C] += h @ U  # (1)
    gates = a[:, : 2 * H] + m[:, : 2 * H]
    logistic(gates, out=gates)  # (2)
    m_c = m[:, 2 * H :]
    c = gates[:, :H] * m_c
    c += a[:, 2 * H :]
    array_module(v).tanh(c, out=c)  # (3)
    gap = c.copy()
    gap[:C] -= h
    h_next = gates[:, H:] * gap
    h_next[:C] += h  # (4)
    return h_next, GRUStepSaved(h, U, gates, c, gap, m_c)


@fusable
def gru_step_after_backward(
    dh_next: Array, saved: GRUStepSaved
) -> tuple[Array, Array, Array, Array]:
    """(da, dU, db, db_h) of `gru_step_after`; ∂L/∂v = da."""
    h, _, gates, c, gap, m_c = saved
    xp = array_module(c)
    C, H = h.shape
    da = xp.empty((len(c), 3 * H), c.dtype)
    da_r, da_z, da_c = da[:, :H], da[:, H : 2 * H], da[:, 2 * H :]
    slope = gates * (1 - gates)
    xp.multiply(dh_next, gates[:, H:], out=da_c)  # (4)
    xp.multiply(dh_next, gap, out=da_z)  # (4)
    da_c *= 1 - c * c  # (3)
    xp.multiply(da_c, m_c, out=da_r)  # (3)
    da[:, : 2 * H] *= slope  # (2)
    dm = da.copy()
    dm[:, 2 * H :] *= gates[:, :H]  # (3)
    return da, h.T @ dm[:C], da.sum(axis=0), dm.sum(axis=0)  # (1)


def gru_step_before_into_state(dh_next: Array, da: Array, saved: GRUStepSaved) -> Array:
    """∂L/∂h (C, H) of `gru_step_before`; da from its backward."""
    h, U, gates, *_ = saved
    C, H = h.shape
    dh = dh_next[:C] * (1 - gates[:C, H:])  # (5)
    dh += (da[:C, 2 * H :] @ U[:, 2 * H :].T) * gates[:C, :H]  # (4) (3)
    dh += da[:C, : 2 * H] @ U[:, : 2 * H].T  # (2)
    return dh


def gru_step_after_into_state(dh_next: Array, da: Array, saved: GRUStepSaved) -> Array:
    """∂L/∂h (C, H) of `gru_step_after`; da from its backward."""
    h, U, gates, *_ = saved
    C, H = h.shape
    dm = da[:C].copy()
    dm[:, 2 * H :] *= gates[:C, :H]  # (3)
    dh = dh_next[:C] * (1 - gates[:C, H:])  # (4)
    dh += dm @ U.T  # (2) (1)
    return dh
