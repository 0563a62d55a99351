"""Gradients over many steps: what lets them live, and the layers that are built for it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.functional.activations import linear, tanh
from nnlib.functional.orthogonal import cayley, nearest_orthogonal
from nnlib.functional.unitary import complex_modrelu, to_complex
from nnlib.init import orthogonal
from nnlib.layers import RNN, CayleyRNN, OrthogonalRNN, Scan, UnitaryCell
from nnlib.optim import SGD, Adam

I, H = 2, 16


def gradients_by_lag(U: Array, f: Any, n_steps: int, rng: np.random.Generator) -> Array:
    """|∂L/∂h_{T−k}|, k = 0…T, of a loss of the last state alone."""
    layer = RNN(I, len(U), rng=rng, activation=f).astype(np.float64)
    layer.cell.U.value = U
    x = rng.normal(size=(n_steps, 1, I))
    h0 = 0.3 * rng.normal(size=(1, len(U)))
    d = rng.normal(size=(1, len(U)))
    norms = [np.linalg.norm(d)]
    states = layer(x, h0)[0]
    for k in range(n_steps):
        h = h0 if k == n_steps - 1 else states[n_steps - 2 - k]
        d = layer.cell(x[n_steps - 1 - k], h)[1](d)[1]
        norms.append(np.linalg.norm(d))
    return np.array(norms)


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0, 1.1, 1.5])
def test_linear_gradients_grow_by_the_gain_and_tanh_stays_below(gain: float) -> None:
    U = gain * orthogonal(np.random.default_rng(0), (H, H)).astype(np.float64)
    norms = {f: gradients_by_lag(U, f, 60, np.random.default_rng(1)) for f in (linear, tanh)}
    slope = np.polyfit(np.arange(61), np.log(norms[linear]), 1)[0]
    assert slope == pytest.approx(np.log(gain), rel=0.01, abs=1e-6)  # U came from float32
    assert (norms[tanh][1:] < norms[linear][1:]).all()
    assert (norms[tanh] <= norms[tanh][0] * gain ** np.arange(61) * (1 + 1e-9)).all()  # ‖U‖ᵗ


def test_norm_above_1_vanishes_under_tanh() -> None:
    U = 1.5 * orthogonal(np.random.default_rng(0), (H, H)).astype(np.float64)
    rng = np.random.default_rng(2)
    layer = RNN(I, H, rng=rng).astype(np.float64)
    layer.cell.U.value = U
    layer.cell.b.value[:] = 2  # units that are far from 0 let little through
    h, backward = layer(rng.normal(size=(60, 1, I)))
    dh = np.zeros_like(h)
    dh[-1] = rng.normal(size=(1, H))
    assert np.linalg.norm(backward(dh)[1]) < 1e-3 * np.linalg.norm(dh)


def jacobian(U: Array, t: int) -> Array:
    """∂h_t/∂h_0 of a linear network."""
    layer = RNN(I, len(U), rng=np.random.default_rng(0), activation=linear).astype(np.float64)
    layer.cell.U.value = U
    h, backward = layer(np.zeros((t, len(U), I)))
    dh = np.zeros_like(h)
    dh[-1] = np.eye(len(U))
    return backward(dh)[1]


def test_norm_above_1_is_necessary_for_explosion_but_not_enough() -> None:
    U = np.array([[0.5, 10], [0, 0.5]])
    assert np.linalg.norm(U, 2) > 10
    assert np.linalg.norm(jacobian(U, 50), 2) == pytest.approx(8.88e-13, rel=0.01)
    assert max(np.linalg.norm(jacobian(U, t), 2) for t in range(1, 10)) > 10  # at first it grows
    assert not jacobian(np.array([[0.0, 5], [0, 0]]), 2).any()


def test_the_rate_is_the_spectral_radius() -> None:
    """Gelfand: ‖Uᵗ‖^(1/t) → ρ(U), which is the norm only for normal matrices."""
    U = np.array([[0.9, 4], [-0.1, 0.7]])
    radius = abs(np.linalg.eigvals(U)).max()
    assert np.linalg.norm(U, 2) > 4 * radius
    rates = [np.linalg.norm(jacobian(U, t), 2) ** (1 / t) for t in (10, 100, 1000)]
    assert rates[2] == pytest.approx(radius, rel=0.003)
    assert abs(rates[0] - radius) > abs(rates[1] - radius) > abs(rates[2] - radius)


def test_norm_1_is_not_enough_to_keep_gradients() -> None:
    flat = jacobian(np.diag([1, 0.1]), 20)
    np.testing.assert_allclose(np.linalg.svd(flat)[1], [1, 1e-20])
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(H, H)))[0]
    np.testing.assert_allclose(np.linalg.svd(jacobian(Q, 1000))[1], 1, rtol=0, atol=1e-11)


def not_orthogonal(U: Array) -> float:
    return float(abs(U.T @ U - np.eye(len(U))).max())


def train(layer: Any, n_steps: int, after: Callable[[], None] = lambda: None) -> None:
    rng, optimizer = np.random.default_rng(0), Adam(layer.parameters(), 0.01)
    for _ in range(n_steps):
        h, backward = layer(rng.normal(size=(5, 4, I)))
        backward(h - 0.3)
        optimizer.step()
        after()


def test_cayley_stays_orthogonal_and_moves() -> None:
    layer = CayleyRNN(I, H, rng=np.random.default_rng(0)).astype(np.float64)
    start = layer.recurrent()[0]
    train(layer, 100)
    U = layer.recurrent()[0]
    assert not_orthogonal(start) < 1e-12
    assert not_orthogonal(U) < 1e-12
    assert abs(U - start).max() > 0.1


def test_orthogonal_rnn_is_put_back() -> None:
    layer = OrthogonalRNN(I, H, rng=np.random.default_rng(0)).astype(np.float64)
    train(layer, 3)
    assert not_orthogonal(layer.cell.U.value) > 1e-3
    train(layer, 100, layer.orthogonalize)
    assert not_orthogonal(layer.cell.U.value) < 1e-12


def test_nearest_orthogonal_is_nearest() -> None:
    rng = np.random.default_rng(1)
    U = rng.normal(size=(4, 4))
    Q = nearest_orthogonal(U)
    distance = np.linalg.norm(U - Q)
    for _ in range(200):
        small = 0.1 * rng.normal(size=(4, 4))
        other = Q @ np.linalg.qr(np.eye(4) + small - small.T)[0]
        other *= np.sign(np.sum(other * Q))
        assert np.linalg.norm(U - other) >= distance


def test_cayley_by_hand_and_its_gradient() -> None:
    """Of two numbers: a turn by 2 arctan a.  And dL/dA = Vᵀ − V against differences in A."""
    for a in (-0.7, 0.0, 2.0):
        U, _ = cayley(np.array([a]), np.ones(2))
        angle = 2 * np.arctan(a)
        turned = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        np.testing.assert_allclose(U, turned, rtol=0, atol=1e-15)
    rng = np.random.default_rng(2)
    n, signs = 5, np.array([-1.0, -1, 1, 1, 1])
    a, dU = rng.normal(size=10), rng.normal(size=(n, n))
    lower = np.tril_indices(n, -1)

    def direct(A: Array) -> Array:
        return np.linalg.inv(np.eye(n) + A) @ (np.eye(n) - A) @ np.diag(signs)

    A = np.zeros((n, n))
    A[lower] = a
    A -= A.T
    U, backward = cayley(a, signs)
    np.testing.assert_allclose(U, direct(A), rtol=0, atol=1e-13)
    V = np.linalg.inv(np.eye(n) + A).T @ dU @ (np.diag(signs) + U.T)
    np.testing.assert_allclose(backward(dU), (V.T - V)[lower], rtol=0, atol=1e-13)
    for row, column in zip(*lower, strict=True):
        step = np.zeros((n, n))
        step[row, column], step[column, row] = 1e-6, -1e-6
        slope = (dU * (direct(A + step) - direct(A - step))).sum() / 2e-6
        assert (V.T - V)[row, column] == pytest.approx(slope, abs=1e-8)


def test_cayley_is_an_rnn_with_its_matrix() -> None:
    rng = np.random.default_rng(3)
    layer = CayleyRNN(I, H, rng=rng, n_negative=3).astype(np.float64)
    rnn = RNN(I, H, rng=rng, activation=layer.activation).astype(np.float64)
    rnn.cell.W, rnn.cell.b = layer.W, layer.b
    rnn.cell.U.value = layer.recurrent()[0]
    x, lengths = rng.normal(size=(6, 3, I)), np.array([6, 2, 4])
    expected = Scan(rnn.cell)(x, lengths=lengths, truncate=2)
    found = layer(x, lengths=lengths, truncate=2)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-12)
    for a, b in zip(found[1](x @ np.ones((I, H))), expected[1](x @ np.ones((I, H))), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    assert np.linalg.eigvalsh(np.diag(layer.signs)).tolist() == [-1.0] * 3 + [1.0] * 13
    with pytest.raises(ValueError, match="n_negative=17: it must be in 0…16"):
        CayleyRNN(I, H, rng=rng, n_negative=17)


@pytest.mark.parametrize("layer", [OrthogonalRNN, CayleyRNN])
def test_state_and_gradient_keep_their_norms(layer: Any) -> None:
    """No input, ModReLU at its start: 500 steps change no norm, either way."""
    rng = np.random.default_rng(4)
    rnn = layer(I, H, rng=rng).astype(np.float64)
    if layer is OrthogonalRNN:
        rnn.orthogonalize()
    h0, dh = rng.normal(size=(3, H)), np.zeros((500, 3, H))
    dh[-1] = rng.normal(size=(3, H))
    h, backward = rnn(np.zeros((500, 3, I)), h0)
    norm = lambda x: np.linalg.norm(x, axis=-1)
    np.testing.assert_allclose(norm(h), np.tile(norm(h0), (500, 1)), rtol=1e-11)
    np.testing.assert_allclose(norm(backward(dh)[1]), norm(dh[-1]), rtol=1e-11)


def test_unitary_cell_keeps_norms_for_1000_steps() -> None:
    rng = np.random.default_rng(5)
    cell: Any = UnitaryCell(I, H, rng=rng).astype(np.float64)
    optimizer = SGD(cell.parameters(), 0.1)
    cell(rng.normal(size=(3, I)), rng.normal(size=(3, 2 * H)))[1](rng.normal(size=(3, 2 * H)))
    optimizer.step()
    cell.b.value[:] = 0
    h0, dh = rng.normal(size=(3, 2 * H)), np.zeros((1000, 3, 2 * H))
    dh[-1] = rng.normal(size=(3, 2 * H))
    h, backward = Scan(cell)(np.zeros((1000, 3, I)), h0)
    norm = lambda x: np.linalg.norm(x, axis=-1)
    np.testing.assert_allclose(norm(h[-1]), norm(h0), rtol=1e-12)
    np.testing.assert_allclose(norm(backward(dh)[1]), norm(dh[-1]), rtol=1e-12)
    assert UnitaryCell(I, H, rng=rng)(np.ones((3, I), np.float32))[0].dtype == np.float32


def test_complex_modrelu_keeps_directions() -> None:
    z = to_complex(np.array([[3, 0, 0.6, 0, 0, 4, 0.8, 0]]))  # 3, 4i, 0.6 + 0.8i, 0
    y, backward = complex_modrelu(z, np.array([-1.0, 1, -2, 1]))
    np.testing.assert_allclose(y, [[2, 5j, 0, 0]])
    dz, db = backward(np.ones_like(z))
    np.testing.assert_allclose(dz, [[1, 1.25, 0, 0]])  # 5/4: the direction turns with z
    np.testing.assert_allclose(db, [1, 0, 0, 0])
