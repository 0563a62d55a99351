"""GRU, LSTM and RNN against torch's: the same weights, states, and gradients."""

from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.layers import GRU, LSTM, RNN, Bidirectional

torch = pytest.importorskip("torch", reason="torch, the oracle, is not installed")
pytestmark = pytest.mark.oracle

T, B, I, H = 6, 4, 3, 5
N_BLOCKS = {"RNN": 1, "GRU": 3, "LSTM": 4}


def blocks(name: str, rows: Any) -> Array:
    """torch's rows as our columns (in, out): our o | f | i | g from its i | f | g | o."""
    parts = np.split(np.asarray(rows), N_BLOCKS[name])
    order = [3, 1, 0, 2] if name == "LSTM" else range(N_BLOCKS[name])
    return np.concatenate([parts[k] for k in order]).T


def fill(ours: Any, name: str, theirs: Any, suffix: str = "") -> None:
    """torch's weights into one of our layers."""
    values = {n: p.detach().numpy() for n, p in theirs.named_parameters()}
    W, U, b, b_h = (
        blocks(name, values[f"{n}_l0{suffix}"])
        for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    cell = ours.cell
    cell.W.value, cell.U.value = W, U
    if name == "GRU":  # the bias of the candidate's recurrent part stays inside the brackets
        cell.b.value = b + np.append(b_h[: 2 * H], np.zeros(H))
        cell.b_h.value = b_h[2 * H :]
    else:
        cell.b.value = b + b_h


def make(name: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    options = {"reset": "after", "update": "state"} if name == "GRU" else {}
    ours = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}[name](I, H, rng=rng, **options)
    return ours, getattr(torch.nn, name)


@pytest.mark.parametrize("name", N_BLOCKS)
def test_states_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    ours, kind = make(name)
    theirs = kind(I, H).double()
    fill(ours, name, theirs)
    rng = np.random.default_rng(1)
    x, dh = rng.normal(size=(T, B, I)), rng.normal(size=(T, B, H))
    firsts = rng.normal(size=(2 if name == "LSTM" else 1, B, H))
    x_t = torch.tensor(x, requires_grad=True)
    firsts_t = [torch.tensor(f[None], requires_grad=True) for f in firsts]
    h_t, last_t = theirs(x_t, tuple(firsts_t) if name == "LSTM" else firsts_t[0])
    (h_t * torch.tensor(dh)).sum().backward()
    if name == "LSTM":
        (h, c), backward = ours(x, tuple(firsts))
        np.testing.assert_allclose(c[-1], last_t[1][0].detach(), rtol=0, atol=1e-12)
    else:
        h, backward = ours(x, firsts[0])
    np.testing.assert_allclose(h, h_t.detach(), rtol=0, atol=1e-12)
    dx, dfirst = backward(dh)
    np.testing.assert_allclose(dx, x_t.grad, rtol=0, atol=1e-12)
    for mine, f in zip(dfirst if name == "LSTM" else [dfirst], firsts_t, strict=True):
        np.testing.assert_allclose(mine, f.grad[0], rtol=0, atol=1e-12)
    cell, close = ours.cell, {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(cell.W.grad, blocks(name, theirs.weight_ih_l0.grad), **close)
    np.testing.assert_allclose(cell.U.grad, blocks(name, theirs.weight_hh_l0.grad), **close)
    np.testing.assert_allclose(cell.b.grad, blocks(name, theirs.bias_ih_l0.grad), **close)
    if name == "GRU":
        theirs_b_h = theirs.bias_hh_l0.grad[2 * H :]
        np.testing.assert_allclose(cell.b_h.grad, theirs_b_h, **close)


@pytest.mark.parametrize("name", N_BLOCKS)
def test_bidirectional_and_lengths(name: str) -> None:
    """As torch on packed sequences, but for the padding, where torch has zeros."""
    torch.manual_seed(0)
    (p, kind), (q, _) = make(name), make(name)
    theirs = kind(I, H, bidirectional=True).double()
    fill(p, name, theirs)
    fill(q, name, theirs, "_reverse")
    x, lengths = np.random.default_rng(2).normal(size=(T, B, I)), np.array([6, 4, 3, 1])
    y, _ = Bidirectional(p, q)(x, lengths=lengths)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), torch.tensor(lengths))
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0])
    for b, length in enumerate(lengths):
        found = (y[0] if name == "LSTM" else y)[:length, b]
        np.testing.assert_allclose(found, out[:length, b].detach(), rtol=0, atol=1e-12)
