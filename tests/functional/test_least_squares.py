"""Batched ridge regressions against one at a time; block Krylov against the whole SVD."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.functional import least_squares
from nnlib.functional.least_squares import ridge_rows, ridge_rows_cg
from nnlib.functional.svd import truncated_svd


def problem(seed, n_rows=9, n_items=14, D=4):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 12, n_rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    n = int(offsets[-1])
    items = rng.integers(n_items, size=n)
    return rng.normal(size=(n_items, D)), items, offsets, rng.uniform(0, 3, n), rng.normal(size=n)


def values(P, Q, items, offsets, weight, target, l2, gram):
    """½ p·A p − b·p of each row by its cells."""
    row = np.repeat(np.arange(len(P)), np.diff(offsets))
    s = np.einsum("nd,nd->n", P[row], Q[items])
    f = 0.5 * l2 * (P**2).sum(axis=1) + 0.5 * np.einsum("ud,de,ue->u", P, gram, P)
    np.add.at(f, row, 0.5 * weight * s**2 - target * s)
    return f


def one_at_a_time(Q, items, offsets, weight, target, l2, gram):
    P = np.zeros((len(offsets) - 1, Q.shape[1]))
    for u in range(len(P)):
        cells = slice(offsets[u], offsets[u + 1])
        q = Q[items[cells]]
        A = gram + (q.T * weight[cells]) @ q + l2 * np.eye(Q.shape[1])
        if len(q):
            P[u] = np.linalg.inv(A) @ (q.T @ target[cells])
    return P


@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([1, 64, 1 << 17]))
def test_ridge_rows(seed, with_gram, padded):
    cells = problem(seed)
    Q = cells[0]
    gram = Q.T @ Q if with_gram else np.zeros((4, 4))
    expected = one_at_a_time(*cells, 0.7, gram)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(least_squares, "PADDED", padded)
        found, f = ridge_rows(*cells, 0.7, gram=gram if with_gram else None)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(f, values(found, *cells, 0.7, gram), atol=1e-9)
        exact, _ = ridge_rows_cg(*cells, 0.7, gram=gram, P=np.ones_like(found), steps=30)
        np.testing.assert_allclose(exact, expected, rtol=1e-6, atol=1e-9)
        near, f = ridge_rows_cg(*cells, 0.7, gram=gram, P=np.ones_like(found), steps=1)
        np.testing.assert_allclose(f, values(near, *cells, 0.7, gram), atol=1e-9)


def test_each_step_of_conjugate_gradients_is_nearer():
    cells = problem(3, n_rows=40, D=8)
    gram = cells[0].T @ cells[0]
    exact, _ = ridge_rows(*cells, 1.0, gram=gram)
    start = np.zeros_like(exact)
    error = [
        np.abs(ridge_rows_cg(*cells, 1.0, gram=gram, P=start, steps=n)[0] - exact).max()
        for n in (0, 2, 4, 8)
    ]
    assert error[0] > 2 * error[1] > 4 * error[2]
    assert error[3] < 1e-9
    assert not start.any()  # is not written to


def test_dtype_stays():
    Q, *cells = problem(1)
    Q = Q.astype(np.float32)
    assert ridge_rows(Q, *cells, 1.0)[0].dtype == np.float32
    P, _ = ridge_rows_cg(Q, *cells, 1.0, gram=Q.T @ Q, P=np.zeros((9, 4), np.float32), steps=2)
    assert P.dtype == np.float32


@pytest.mark.parametrize(("shape", "k"), [((200, 150), 12), (((30, 80)), 25), ((60, 6), 10)])
def test_truncated_svd(shape, k):
    rng = np.random.default_rng(0)
    X = rng.normal(size=shape) / np.arange(1, shape[1] + 1) ** 0.5
    s, V = truncated_svd(lambda Y: X @ Y, lambda Z: X.T @ Z, shape[1], k, rng=rng)
    _, exact, Vt = np.linalg.svd(X, full_matrices=False)
    k = min(k, *shape)
    assert (s.shape, V.shape) == ((k,), (shape[1], k))
    np.testing.assert_allclose(s, exact[:k], rtol=1e-3)
    np.testing.assert_allclose(V.T @ V, np.eye(k), atol=1e-10)
    # What is left of X is not more than what the best k vectors leave.
    rest = lambda W: np.linalg.norm(X - X @ W @ W.T)
    assert rest(V) <= 1.001 * rest(Vt[:k].T) + 1e-12
