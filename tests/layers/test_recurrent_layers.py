"""RNN and LSTM: the fast forms are the repetition of their cells, the cells are the equations."""

from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.functional.activations import linear
from nnlib.functional.sequences import reverse_prefix, step_mask
from nnlib.layer import Layer
from nnlib.layers import GRU, LSTM, RNN, Bidirectional, LSTMCell, RNNCell, Scan, last_state

T, B, I, H = 7, 5, 3, 4
LAYERS = {
    "RNN": lambda rng: RNN(I, H, rng=rng),
    "LSTM": lambda rng: LSTM(I, H, rng=rng),
    "GRU before": lambda rng: GRU(I, H, rng=rng, reset="before"),
    "GRU after": lambda rng: GRU(I, H, rng=rng, reset="after"),
    "GRU before, keeps": lambda rng: GRU(I, H, rng=rng, reset="before", update="state"),
    "GRU after, keeps": lambda rng: GRU(I, H, rng=rng, reset="after", update="state"),
}


def make(name: str, rng: np.random.Generator) -> Any:
    layer = LAYERS[name](rng).astype(np.float64)
    for p in layer.parameters():
        p.value[...] = rng.normal(0, 0.8, p.value.shape)
    return layer


def first_state(layer: Any, rng: np.random.Generator, batch: int = B) -> Any:
    states = rng.normal(size=(2, batch, H))
    return tuple(states) if isinstance(layer, LSTM) else states[0]


def flat(value: Any) -> list[Array]:
    return [part for v in value for part in flat(v)] if isinstance(value, tuple) else [value]


def results(layer: Layer, x: Array, h0: Any, dh: Any, **options: Any) -> list[Array]:
    """States, gradients of inputs and of parameters; the latter are cleared."""
    states, backward = layer(x, h0, **options)
    found = [*flat(states), *flat(backward(*dh))]
    for p in layer.parameters():
        found.append(p.dense_grad())
        p.clear()
    return found


def the_same(found: list[Array], expected: list[Array], atol: float = 1e-12) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("n_steps", [1, T])
@pytest.mark.parametrize("options", ["", "lengths", "mask", "truncate", "lengths truncate"])
def test_layer_is_the_scan_of_its_cell(name: str, n_steps: int, options: str) -> None:
    rng = np.random.default_rng(2)
    layer = make(name, rng)
    given: dict[str, Any] = {"truncate": 3} if "truncate" in options else {}
    if "lengths" in options:
        given["lengths"] = rng.integers(0, n_steps + 1, B)
    if "mask" in options:
        given["lengths"] = rng.random((n_steps, B)) < 0.6
    x, h0 = rng.normal(size=(n_steps, B, I)), first_state(layer, rng)
    dh = [rng.normal(size=(n_steps, B, H)) for _ in flat(h0)]
    textbook = results(Scan(layer.cell), x, h0, dh, **given)
    the_same(results(layer, x, h0, dh, **given), textbook)


@pytest.mark.parametrize("name", LAYERS)
def test_padding_on_the_right_changes_nothing(name: str) -> None:
    """Sequence by sequence without padding, or all at once with it: states and gradients agree."""
    rng = np.random.default_rng(3)
    layer = make(name, rng)
    lengths = np.array([3, T, 1, 5, T])
    x, h0 = rng.normal(size=(T, B, I)), first_state(layer, rng)
    x[~step_mask(lengths, T)] = 1e3  # rubbish where there is no step
    dh = [rng.normal(size=(T, B, H)) for _ in flat(h0)]
    for part in dh:
        part[~step_mask(lengths, T)] = 0
    n = len(dh)
    found = results(layer, x, h0, dh, lengths=lengths)
    for p in layer.parameters():
        p.clear()
    sums = [0.0] * len(layer.parameters())
    for b, length in enumerate(lengths):
        one = np.s_[:length, b : b + 1]
        h0_b = tuple(part[b : b + 1] for part in flat(h0))
        alone = results(layer, x[one], h0_b if n == 2 else h0_b[0], [part[one] for part in dh])
        the_same([part[one] for part in found[: n + 1]], alone[: n + 1])  # states, dx
        the_same([part[b : b + 1] for part in found[n + 1 : 2 * n + 1]], alone[n + 1 : 2 * n + 1])
        for part in found[:n]:  # the last state is handed through
            assert (part[length - 1 :, b] == part[length - 1, b]).all()
        assert not found[n][length:, b].any()  # dx
        sums = [a + g for a, g in zip(sums, alone[2 * n + 1 :], strict=True)]
    the_same(found[2 * n + 1 :], sums)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("k", [1, 2, 3, T])
def test_truncated_is_full_with_states_as_constants(name: str, k: int) -> None:
    """Piece by piece, each started from the state before it, whose gradient is thrown away."""
    rng = np.random.default_rng(4)
    layer = make(name, rng)
    x, h0 = rng.normal(size=(T, B, I)), first_state(layer, rng)
    dh = [rng.normal(size=(T, B, H)) for _ in flat(h0)]
    found = results(layer, x, h0, dh, truncate=k)
    state, pieces, dxs, dh0 = h0, [], [], None
    for start in range(0, T, k):
        piece = np.s_[start : start + k]
        states, backward = layer(x[piece], state)
        dx, dstate = backward(*(part[piece] for part in dh))
        dh0 = dstate if dh0 is None else dh0
        dxs.append(dx)
        pieces.append(flat(states))
        last = [part[-1] for part in flat(states)]
        state = tuple(last) if isinstance(h0, tuple) else last[0]
    expected = [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    expected += [np.concatenate(dxs), *flat(dh0)]
    the_same(found, expected + [p.dense_grad() for p in layer.parameters()])
    if k < T:
        full = results(layer, x, h0, dh)
        assert abs(full[len(dh)] - found[len(dh)]).max() > 1e-3


def test_truncated_gradient_reaches_back_to_the_cut_only() -> None:
    rng = np.random.default_rng(5)
    layer, dh = make("RNN", rng), np.zeros((T, B, H))
    dh[4] = 1
    dx, dh0 = layer(rng.normal(size=(T, B, I)))[1](dh)
    assert dx[:5].all()
    assert dh0.all()
    dx, dh0 = layer(rng.normal(size=(T, B, I)), truncate=3)[1](dh)  # pieces 0-2, 3-5, 6
    assert dx[3:5].all()
    assert not dx[:3].any()
    assert not dh0.any()


def test_rnn_cell_is_its_equation_unit_by_unit() -> None:
    rng = np.random.default_rng(6)
    cell = make("RNN", rng).cell
    x, h = rng.normal(size=I), rng.normal(size=H)
    for j in range(H):
        a = sum(x[i] * cell.W.value[i, j] for i in range(I))
        a += sum(h[i] * cell.U.value[i, j] for i in range(H)) + cell.b.value[j]
        assert cell(x[None], h[None])[0][0, j] == pytest.approx(np.tanh(a), rel=1e-12)


def test_lstm_cell_is_its_equations_unit_by_unit() -> None:
    rng = np.random.default_rng(7)
    cell = make("LSTM", rng).cell
    x, h, c = rng.normal(size=I), rng.normal(size=H), rng.normal(size=H)
    W, U, b = cell.W.value, cell.U.value, cell.b.value
    (h_next, c_next), _ = cell(x[None], (h[None], c[None]))
    for j in range(H):
        o, f, i = (
            1 / (1 + np.exp(-(x @ W[:, k] + h @ U[:, k] + b[k]))) for k in (j, H + j, 2 * H + j)
        )
        k = 3 * H + j
        g = np.tanh(x @ W[:, k] + h @ U[:, k] + b[k])
        assert c_next[0, j] == pytest.approx(f * c[j] + i * g, rel=1e-12)
        assert h_next[0, j] == pytest.approx(o * np.tanh(f * c[j] + i * g), rel=1e-12)


def test_open_and_shut_gates_of_the_lstm() -> None:
    """f = 1, i = 0 keep the cell for ever, whatever comes in; o = 0 hides it."""
    rng = np.random.default_rng(8)
    layer = make("LSTM", rng)
    b, c0 = layer.cell.b.value, rng.normal(size=(B, H))
    b[H : 2 * H], b[2 * H : 3 * H] = 1e3, -1e3
    (_, c), backward = layer(rng.normal(size=(T, B, I)), (rng.normal(size=(B, H)), c0))
    assert (c == c0).all()
    dc = np.zeros((T, B, H))
    dc[-1] = 1
    _, (_, dc0) = backward(0 * dc, dc)
    assert (dc0 == 1).all()
    b[:H] = -1e3
    assert not layer(rng.normal(size=(T, B, I)))[0][0].any()


def test_forget_bias() -> None:
    """At the start f is σ(b_f), all other biases are 0; after 20 steps f²⁰ of a cell is left."""
    for bias, left in ((0.0, 0.5**20), (1.0, 0.0019), (5.0, 0.874)):
        layer = LSTM(I, H, rng=np.random.default_rng(0), forget_bias=bias)
        b = layer.cell.b.value.reshape(4, H)
        np.testing.assert_array_equal(b[1], bias)
        assert not b[[0, 2, 3]].any()
        layer.cell.U.value[:] = 0
        _, backward = layer(np.zeros((20, 1, I), np.float32))
        dc = np.zeros((20, 1, H), np.float32)
        dc[-1] = 1
        _, (_, dc0) = backward(0 * dc, dc)
        np.testing.assert_allclose(dc0, left, rtol=2e-2)
    assert LSTMCell(I, H, rng=np.random.default_rng(0)).b.value[H] == 1


@pytest.mark.parametrize("name", LAYERS)
def test_no_state_is_zeros_and_a_whole_is_its_pieces(name: str) -> None:
    rng = np.random.default_rng(9)
    layer = make(name, rng)
    x, zeros = rng.normal(size=(T, B, I)), np.zeros((B, H))
    none = zeros if name != "LSTM" else (zeros, zeros)
    whole = flat(layer(x)[0])
    the_same(flat(layer(x, none)[0]), whole, atol=0)
    the_same(flat(layer.cell(x[0])[0]), [part[0] for part in whole])
    first = [part[-1] for part in flat(layer(x[:4])[0])]
    rest = layer(x[4:], tuple(first) if name == "LSTM" else first[0])[0]
    the_same(flat(rest), [part[4:] for part in whole], atol=1e-14)
    single = LAYERS[name](rng)
    assert flat(single(x.astype(np.float32))[0])[0].dtype == np.float32


def test_cells_may_be_left_out_of_the_gradient() -> None:
    rng = np.random.default_rng(10)
    layer = make("LSTM", rng)
    _, backward = layer(rng.normal(size=(T, B, I)))
    dh = rng.normal(size=(T, B, H))
    the_same(flat(backward(dh)), flat(backward(dh, 0 * dh)), atol=0)


def test_last_state_is_at_the_true_length() -> None:
    rng = np.random.default_rng(11)
    layer, lengths = make("GRU before", rng), np.array([2, T, 4, 1, 6])
    x = rng.normal(size=(T, B, I))
    h = layer(x)[0]
    y, backward = last_state(h, lengths)
    for b, length in enumerate(lengths):
        assert (y[b] == h[length - 1, b]).all()
    the_same([layer(x, lengths=lengths)[0][-1]], [y])
    dh, none = backward(y)
    assert none is None
    assert abs(dh).sum() == pytest.approx(abs(y).sum())


def test_reverse_prefix() -> None:
    x = np.arange(8.0).reshape(4, 2)
    y, backward = reverse_prefix(x, np.array([3, 0]))
    np.testing.assert_array_equal(y, [[4, 1], [2, 3], [0, 5], [6, 7]])
    np.testing.assert_array_equal(backward(y), x)
    np.testing.assert_array_equal(reverse_prefix(x)[0], x[::-1])


@pytest.mark.parametrize("name", LAYERS)
def test_bidirectional_reads_each_sequence_from_both_ends(name: str) -> None:
    rng = np.random.default_rng(14)
    both = Bidirectional(make(name, rng), make(name, rng))
    x, lengths = rng.normal(size=(T, B, I)), np.array([3, T, 1, 5, T])
    y, _ = both(x, lengths=lengths)
    for part in range(2 if name == "LSTM" else 1):
        for b, length in enumerate(lengths):
            one = x[:length, b : b + 1]
            p, q = flat(both.forward(one)[0])[part], flat(both.backward(one[::-1])[0])[part]
            alone = np.concatenate([p, q[::-1]], axis=2)
            np.testing.assert_allclose(flat(y)[part][:length, b : b + 1], alone, rtol=0, atol=1e-13)
            padding = flat(y)[part][length:, b, :H]  # what has read it all, forward
            np.testing.assert_allclose(padding - p[-1], 0, atol=1e-13)
    whole, turned = flat(both(x)[0])[0], flat(both.backward(x[::-1])[0])[0]
    np.testing.assert_allclose(whole[0, :, H:], turned[-1], rtol=0, atol=1e-13)  # and backward


def test_bidirectional_lstm_without_a_gradient_of_the_cells() -> None:
    rng = np.random.default_rng(15)
    both = Bidirectional(make("LSTM", rng), make("LSTM", rng))
    (h, c), backward = both(rng.normal(size=(T, B, I)))
    dx, states = backward(h)
    dx_zero, states_zero = backward(h, 0 * c)
    the_same([dx, *flat(states)], [dx_zero, *flat(states_zero)], atol=0)


def test_linear_rnn_is_a_sum_of_powers() -> None:
    """h_T = Σ_t x_t W Uᵀ⁻ᵗ: with no activation the slide's linear case holds exactly."""
    rng = np.random.default_rng(12)
    layer = RNN(I, H, rng=rng, activation=linear).astype(np.float64)
    W, U = layer.cell.W.value, layer.cell.U.value
    x = rng.normal(size=(T, B, I))
    expected = sum(x[t] @ W @ np.linalg.matrix_power(U, T - 1 - t) for t in range(T))
    np.testing.assert_allclose(layer(x)[0][-1], expected, rtol=0, atol=1e-13)


def test_bad_arguments() -> None:
    rng = np.random.default_rng(13)
    for layer in (RNN, RNNCell, LSTM, LSTMCell):
        with pytest.raises(ValueError, match="n_hidden=0"):
            layer(2, 0, rng=rng)
    x = np.zeros((T, B, I))
    for name in LAYERS:
        for layer in (make(name, rng), Scan(make(name, rng).cell)):
            with pytest.raises(ValueError, match="truncate=0: it must be at least 1"):
                layer(x, truncate=0)
            for lengths in (np.ones(T, int), np.ones((B, T), bool), np.ones(B), np.ones((T, B))):
                with pytest.raises(ValueError, match=r"give 5 integers.*\(7, 5\)"):
                    layer(x, lengths=lengths)
    both = Bidirectional(make("GRU before", rng), make("GRU after", rng))
    with pytest.raises(ValueError, match=r"shape \(7, 5\): a mask has no order.*give 5 integers"):
        both(x, lengths=np.ones((T, B), bool))
    with pytest.raises(TypeError, match="is no step"):
        Bidirectional(GRU, both.backward)
