"""GRU: the fast form is the repetition of the cell, and the cell is the equations."""

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.layer import Layer
from nnlib.layers import GRU, GRUCell, Scan

RESETS = ("before", "after")


def random_gru(reset: str, rng: np.random.Generator) -> GRU:
    gru = GRU(3, 4, rng=rng, reset=reset).astype(np.float64)
    for p in gru.parameters():
        p.value[...] = rng.normal(0, 0.8, p.value.shape)
    return gru


def gradients(layer: Layer, x: Array, h0: Array, dh: Array) -> list[Array]:
    h, backward = layer(x, h0)
    results = [h, *backward(dh)]
    for p in layer.parameters():
        results.append(p.dense_grad())
        p.clear()
    return results


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("T", [1, 6])
def test_gru_is_the_scan_of_its_cell(reset: str, T: int) -> None:
    rng = np.random.default_rng(2)
    gru = random_gru(reset, rng)
    x, h0 = rng.standard_normal((T, 5, 3)), rng.standard_normal((5, 4))
    dh = rng.standard_normal((T, 5, 4))
    fast, textbook = gradients(gru, x, h0, dh), gradients(Scan(gru.cell), x, h0, dh)
    assert len(fast) == (6 if reset == "before" else 7)
    for a, b in zip(fast, textbook, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reset", RESETS)
def test_cell_is_the_equations_unit_by_unit(reset: str) -> None:
    rng = np.random.default_rng(3)
    cell = random_gru(reset, rng).cell
    x, h = rng.standard_normal(3), rng.standard_normal(4)
    W, U, b = cell.W.value, cell.U.value, cell.b.value
    H = 4

    def sigma(a: float) -> float:
        return 1 / (1 + np.exp(-a))

    r = [sigma(x @ W[:, j] + h @ U[:, j] + b[j]) for j in range(H)]
    for j in range(H):
        z = sigma(x @ W[:, H + j] + h @ U[:, H + j] + b[H + j])
        k = 2 * H + j
        if cell.b_h is None:
            inner = sum(r[i] * h[i] * U[i, k] for i in range(H))
        else:
            inner = r[j] * (h @ U[:, k] + cell.b_h.value[j])
        c = np.tanh(x @ W[:, k] + inner + b[k])
        assert cell(x[None], h[None])[0][0, j] == pytest.approx((1 - z) * h[j] + z * c, rel=1e-12)


def test_the_two_places_of_reset_are_different_functions() -> None:
    rng = np.random.default_rng(4)
    before, after = random_gru("before", rng), random_gru("after", rng)
    for name in ("W", "U", "b"):
        getattr(after.cell, name).value = getattr(before.cell, name).value
    after.cell.b_h.value[:] = 0
    x, h0 = rng.standard_normal((2, 5, 3)), rng.standard_normal((5, 4))
    assert np.abs(before(x, h0)[0] - after(x, h0)[0]).max() > 0.01


def test_saturated_gates() -> None:
    """z = 0 keeps the state, z = 1 replaces it by the candidate, r = 0 makes that forget h."""
    rng = np.random.default_rng(5)
    cell = random_gru("before", rng).cell
    x, h = rng.standard_normal((2, 3)), rng.standard_normal((2, 4))
    cell.b.value[4:8] = -1e3
    np.testing.assert_array_equal(cell(x, h)[0], h)
    cell.b.value[4:8] = 1e3
    cell.b.value[:4] = -1e3
    candidate = np.tanh(x @ cell.W.value[:, 8:] + cell.b.value[8:])
    np.testing.assert_allclose(cell(x, h)[0], candidate, rtol=1e-12)


@pytest.mark.parametrize("reset", RESETS)
def test_no_state_is_a_state_of_zeros(reset: str) -> None:
    rng = np.random.default_rng(6)
    gru = random_gru(reset, rng)
    x, zeros = rng.standard_normal((3, 5, 3)), np.zeros((5, 4))
    for layer in (gru, Scan(gru.cell)):
        (h, backward), (h_zeros, backward_zeros) = layer(x), layer(x, zeros)
        np.testing.assert_array_equal(h, h_zeros)
        for a, b in zip(backward(h), backward_zeros(h), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(gru.cell(x[0])[0], gru.cell(x[0], zeros)[0])
    single = GRU(3, 4, rng=rng, reset=reset)
    assert single(x.astype(np.float32))[0].dtype == np.float32


def test_state_carries_over_between_pieces_of_a_sequence() -> None:
    rng = np.random.default_rng(7)
    gru = random_gru("before", rng)
    x = rng.standard_normal((6, 2, 3))
    whole = gru(x)[0]
    first = gru(x[:4])[0]
    np.testing.assert_allclose(gru(x[4:], first[-1])[0], whole[4:], rtol=0, atol=1e-14)


def test_gates_start_within_their_own_bound() -> None:
    """√(6 / (I + H)), not √(6 / (I + 3H)); biases start at zero."""
    cell = GRUCell(20, 30, rng=np.random.default_rng(0), reset="after")
    for p, n_in in ((cell.W, 20), (cell.U, 30)):
        bound = np.sqrt(6 / (n_in + 30))
        for gate in np.split(p.value, 3, axis=1):
            assert 0.97 * bound < np.abs(gate).max() <= bound
    assert cell.b_h is not None
    assert not cell.b.value.any()
    assert not cell.b_h.value.any()


def test_scan_passes_noise_and_sums_the_gradient_of_a_state() -> None:
    class Leaky(Layer):
        def __call__(self, x: Array, h: Array, rng: np.random.Generator | None = None):  # type: ignore[no-untyped-def]
            noise = 0.0 if rng is None else rng.random()
            return x + 0.5 * h + noise, lambda dh: (1 * dh, 0.5 * dh)

    x, h0 = np.zeros((3, 1, 1)), np.full((1, 1), 8.0)
    h, backward = Scan(Leaky())(x, h0)
    np.testing.assert_array_equal(h.ravel(), [4, 2, 1])
    dx, dh0 = backward(np.ones((3, 1, 1)))
    np.testing.assert_array_equal(dx.ravel(), [1.75, 1.5, 1])  # 1 + ½ (1 + ½ · 1), …
    np.testing.assert_array_equal(dh0.ravel(), [0.875])
    noisy = Scan(Leaky())(x, 0 * h0, rng=np.random.default_rng(0))[0].ravel()
    a, b, c = np.random.default_rng(0).random(3)
    np.testing.assert_allclose(noisy, [a, b + a / 2, c + b / 2 + a / 4])


@pytest.mark.parametrize("reset", RESETS)
def test_the_two_meanings_of_update_are_one_function_with_z_negated(reset: str) -> None:
    rng = np.random.default_rng(8)
    takes = random_gru(reset, rng)
    keeps = GRU(3, 4, rng=rng, reset=reset, update="state").astype(np.float64)
    for mine, theirs in zip(keeps.parameters(), takes.parameters(), strict=True):
        mine.value[...] = theirs.value
    x, h0, dh = rng.normal(size=(6, 5, 3)), rng.normal(size=(5, 4)), rng.normal(size=(6, 5, 4))
    assert abs(keeps(x, h0)[0] - takes(x, h0)[0]).max() > 0.01
    for p in keeps.parameters()[:3]:  # W, U, b
        p.value[..., 4:8] *= -1
    found, expected = gradients(keeps, x, h0, dh), gradients(takes, x, h0, dh)
    for gradient in expected[3:6]:
        gradient[..., 4:8] *= -1
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_words_that_are_none() -> None:
    for layer in (GRU, GRUCell):
        with pytest.raises(ValueError, match="reset='inside': it must be 'before' or 'after'"):
            layer(3, 4, rng=np.random.default_rng(0), reset="inside")
        with pytest.raises(ValueError, match="update='z': it must be 'candidate' or 'state'"):
            layer(3, 4, rng=np.random.default_rng(0), update="z")
