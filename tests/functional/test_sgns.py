"""Where negative sampling ends: pointwise mutual information less log k, to the last digits."""

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.check import assert_gradients
from nnlib.functional.sgns import sgns_expected
from nnlib.losses import negative_sampling
from nnlib.optim import Adam
from nnlib.parameter import Parameter

V, K = 12, 3


def world(alpha: float, seed: int = 0) -> tuple[Array, Array]:
    """Counts N, all above 0, and noise that is the α-th power of the contexts' shares."""
    counts = np.random.default_rng(seed).integers(1, 40, (V, V))
    q = counts.sum(axis=0) ** alpha
    return counts, q / q.sum()


def trained(counts: Array, q: Array, D: int, steps: int = 2000, lr: float = 0.05) -> Array:
    rng = np.random.default_rng(1)
    E, O = (Parameter(rng.normal(0, 0.5, (V, D))) for _ in range(2))
    optimizer = Adam([E, O], lr)
    for step in range(steps):
        optimizer.lr = lr * (1 - step / steps)
        _, backward = sgns_expected(E.value, O.value, counts, K, q)
        dE, dO = backward()
        E.accumulate(dE)
        O.accumulate(dO)
        optimizer.step()
    return E.value @ O.value.T


@pytest.mark.parametrize("alpha", [1.0, 0.75, 0.0, -0.5])
def test_the_optimum_is_pmi_less_log_k(alpha: float) -> None:
    counts, q = world(alpha)
    n_w, n_c, n = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    products = trained(counts, q, V)
    optimum = np.log(counts / (K * n_w[:, None] * q))
    assert np.sqrt(np.mean((products - optimum) ** 2)) < 1e-3
    if alpha == 1:
        pmi = np.log(counts * n / (n_w[:, None] * n_c))
        np.testing.assert_allclose(optimum, pmi - np.log(K), atol=1e-12)


def test_with_fewer_factors_than_items_it_cannot_be_reached() -> None:
    counts, q = world(1.0)
    optimum = np.log(counts / (K * counts.sum(axis=1)[:, None] * q))
    assert np.sqrt(np.mean((trained(counts, q, 2) - optimum) ** 2)) > 0.1


def test_it_is_the_mean_of_the_sampled_loss() -> None:
    """Every pair with every negative, each weighted by its probability."""
    rng = np.random.default_rng(2)
    counts, q = world(0.75)
    counts[0, 0] = 0
    E, O = rng.normal(size=(2, V, 4))
    w, c, j = (x.ravel() for x in np.indices((V, V, V)))
    n, scores = counts.sum(), E @ O.T
    loss, backward = negative_sampling(
        scores[w, c], scores[w, j][:, None], weight=counts[w, c] * q[j] * (len(w) / n)
    )
    expected, back_expected = sgns_expected(E, O, counts, 1, q)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    dpositive, dnegative = backward()
    dS = np.zeros((V, V))
    np.add.at(dS, (w, c), dpositive)
    np.add.at(dS, (w, j), dnegative[:, 0])
    np.testing.assert_allclose(back_expected()[0], dS @ O, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(back_expected()[1], dS.T @ E, rtol=1e-10, atol=1e-15)


def test_gradient_and_scale() -> None:
    rng = np.random.default_rng(3)
    counts, q = world(0.5)
    E, O = rng.normal(size=(2, V, 3))
    assert_gradients(lambda E, O: sgns_expected(E, O, counts, 2.5, q), E, O)
    a, b = sgns_expected(E, O, counts, K, q)[0], sgns_expected(E, O, counts / 7, K, q)[0]
    np.testing.assert_allclose(a, b, rtol=1e-12)  # a mean over pairs
    assert sgns_expected(0 * E, O, counts, K, q)[0] == pytest.approx((1 + K) * np.log(2))
    far = sgns_expected((300 * E).astype(np.float32), O.astype(np.float32), counts, K, q)[0]
    exact = sgns_expected(300 * E, O, counts, K, q)[0]
    assert far == pytest.approx(exact, rel=1e-4)
    assert far.dtype == np.float32
