"""A GRU step on the GPU: products by a library, what is between them in one or two kernels."""

from nnlib.array import Array, array_module, without_kernel
from nnlib.cuda.kernel import Kernel, fits
from nnlib.functional import gru_step as reference
from nnlib.functional.gru_step import GRUStepSaved
from nnlib.functional.products import product

GATES_BEFORE = Kernel("gru_step", "gates_before")
STATE_BEFORE = Kernel("gru_step", "state_before")
Z_C_BEFORE_BACKWARD = Kernel("gru_step", "z_c_before_backward")
R_BEFORE_BACKWARD = Kernel("gru_step", "r_before_backward")
STEP_AFTER = Kernel("gru_step", "step_after")
STEP_AFTER_BACKWARD = Kernel("gru_step", "step_after_backward")


def gru_step_before(v: Array, h: Array, U: Array, b: Array) -> tuple[Array, GRUStepSaved]:
    """`functional.gru_step.gru_step_before`."""
    if not fits(v, h, U, b):
        return without_kernel(reference.gru_step_before)(v, h, U, b)
    a = v + b  # (1)
    xp, B, (C, H) = array_module(a), len(a), h.shape
    gates, q = xp.empty((B, 2 * H), a.dtype), xp.empty((C, H), a.dtype)
    GATES_BEFORE.per_element(B * 2 * H, a, _product(h, U[:, : 2 * H]), h, gates, q, B, C, H)
    c, gap, h_next = (xp.empty((B, H), a.dtype) for _ in range(3))
    qU = _product(q, U[:, 2 * H :])
    STATE_BEFORE.per_element(B * H, a, qU, h, gates, c, gap, h_next, B, C, H)
    return h_next, GRUStepSaved(h, U, gates, c, gap, q)


def gru_step_before_backward(dh_next: Array, saved: GRUStepSaved) -> tuple[Array, Array, Array]:
    """`functional.gru_step.gru_step_before_backward`."""
    h, U, gates, c, gap, q = saved
    if not fits(dh_next, *saved):
        return without_kernel(reference.gru_step_before_backward)(dh_next, saved)
    xp, B, (C, H) = array_module(c), len(c), h.shape
    da = xp.empty((B, 3 * H), c.dtype)
    Z_C_BEFORE_BACKWARD.per_element(B * H, dh_next, gates, c, gap, da, B, H)
    dq = _product(da[:C, 2 * H :], U[:, 2 * H :].T)
    R_BEFORE_BACKWARD.per_element(B * H, dq, gates, h, da, B, C, H)
    dU = xp.empty_like(U)
    product(q.T, da[:C, 2 * H :], out=dU[:, 2 * H :])  # (4)
    product(h.T, da[:C, : 2 * H], out=dU[:, : 2 * H])  # (2)
    return da, dU, da.sum(axis=0)  # (1)


def gru_step_after(
    v: Array, h: Array, U: Array, b: Array, b_h: Array
) -> tuple[Array, GRUStepSaved]:
    """`functional.gru_step.gru_step_after`."""
    if not fits(v, h, U, b, b_h):
        return without_kernel(reference.gru_step_after)(v, h, U, b, b_h)
    a = v + b  # (1)
    xp, B, (C, H) = array_module(a), len(a), h.shape
    gates = xp.empty((B, 2 * H), a.dtype)
    c, gap, m_c, h_next = (xp.empty((B, H), a.dtype) for _ in range(4))
    hU = _product(h, U)
    STEP_AFTER.per_element(B * H, a, hU, b_h, h, gates, c, gap, m_c, h_next, B, C, H)
    return h_next, GRUStepSaved(h, U, gates, c, gap, m_c)


def gru_step_after_backward(
    dh_next: Array, saved: GRUStepSaved
) -> tuple[Array, Array, Array, Array]:
    """`functional.gru_step.gru_step_after_backward`."""
    h, _, gates, c, gap, m_c = saved
    if not fits(dh_next, *saved):
        return without_kernel(reference.gru_step_after_backward)(dh_next, saved)
    xp, B, (C, H) = array_module(c), len(c), h.shape
    da, dm = xp.empty((B, 3 * H), c.dtype), xp.empty((B, 3 * H), c.dtype)
    STEP_AFTER_BACKWARD.per_element(B * H, dh_next, gates, c, gap, m_c, da, dm, B, H)
    return da, product(h.T, dm[:C]), da.sum(axis=0), dm.sum(axis=0)  # (1)


def _product(x: Array, y: Array) -> Array:
    """x y in the order of memory that kernels count on, whatever order the library likes."""
    return array_module(x).ascontiguousarray(product(x, y))
