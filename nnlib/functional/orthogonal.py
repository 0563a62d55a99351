"""Orthogonal matrices: how to stay one, and how to be one by construction."""

from nnlib.array import Array, Backward, array_module


def nearest_orthogonal(U: Array) -> Array:
    """The orthogonal matrix that differs least from U, in the sum of squares: its polar factor.

    (1) U = P S Qᵀ   singular values
    (2) P Qᵀ         all of them set to 1
    """
    P, _, Qt = array_module(U).linalg.svd(U)
    return P @ Qt


def cayley(a: Array, signs: Array) -> tuple[Array, Backward]:
    """An orthogonal matrix from any numbers: the scaled Cayley transform.

        (1) A = L − Lᵀ                         L: the numbers a below the diagonal, row by row
        (2) U = (I + A)⁻¹ (I − A) D            D: the signs on the diagonal
    A is skew-symmetric, so that I + A has an inverse and U Uᵀ = I.  Without D no eigenvalue of U
    could be −1.

    Backward:  with V = (I + A)⁻ᵀ dU (D + Uᵀ),  dA = Vᵀ − V;  its lower triangle is da.

    Shapes
        a (H (H − 1) / 2,) · signs (H,), +1 or −1 → U (H, H)
    Source
        Helfrich et al. 2018, theorem 3.2.
    """
    xp, H = array_module(a), len(signs)
    lower = xp.tril_indices(H, -1)
    A = xp.zeros((H, H), a.dtype)
    A[lower] = a
    A -= A.T.copy()  # (1)
    one_and_A, D = xp.eye(H, dtype=a.dtype) + A, xp.diag(signs)
    U = xp.linalg.solve(one_and_A, one_and_A.T * signs)  # (2): (I + A)ᵀ = I − A

    def backward(dU: Array) -> Array:
        V = xp.linalg.solve(one_and_A.T, dU) @ (D + U.T)  # (2)
        return (V.T - V)[lower]  # (2) (1)

    return U, backward
