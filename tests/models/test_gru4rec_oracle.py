"""GRU4Rec's training step against torch's automatic differentiation, in float64.

The reference below writes the paper down as it stands: one column of the score block for every
target and every negative, duplicates included, gradients by autograd.  nnlib scores each item once
and derives every gradient by hand; both must agree to 1e-10.
"""

import itertools

import numpy as np
import pytest

from nnlib.models.session.gru4rec import GRU4Rec

torch = pytest.importorskip("torch", reason="the oracle is torch")
pytestmark = pytest.mark.oracle

N, B, S, CARRIED = 13, 6, 9, 4  # few items, so that duplicates are certain
LOSSES = ("cross-entropy", "bpr-max", "top1", "top1-max", "bpr")
EMBEDDINGS = ("shared", "separate", 5, None)


def reference_loss(kind, scores, model, target, negative, support):
    """Mean over rows of the paper's losses; scores (B, B + S), the target of row i in column i."""
    batch = torch.arange(len(target))
    if kind == "cross-entropy":
        q = torch.cat([support[target], support[negative] ** model.sample_alpha])
        scores = scores - model.logq * torch.log(q)
        return -torch.log_softmax(scores, dim=1)[batch, batch].mean()
    if kind in ("top1", "bpr"):
        scores = torch.tanh(scores)
    elif model.elu:
        scores = torch.nn.functional.elu(scores, model.elu)
    mine = scores[batch, batch][:, None]
    others = ~torch.eye(len(target), scores.shape[1], dtype=bool)
    negatives = scores[others].reshape(len(target), -1)
    weight = torch.softmax(negatives, dim=1)
    if kind == "bpr":
        return -torch.nn.functional.logsigmoid(mine - negatives).mean(dim=1).mean()
    score_penalty = torch.sigmoid(negatives**2)
    if kind == "top1":
        return (torch.sigmoid(negatives - mine) + score_penalty).mean(dim=1).mean()
    if kind == "top1-max":
        return (weight * (torch.sigmoid(negatives - mine) + score_penalty)).sum(dim=1).mean()
    wins = (weight * torch.sigmoid(mine - negatives)).sum(dim=1)
    return (-torch.log(wins) + model.bpreg * (weight * negatives**2).sum(dim=1)).mean()


def reference_gru(cell, v, h, weights, name):
    """One GRU step on all rows; fresh rows have h = 0."""
    U, b = weights[f"{name}.U"], weights[f"{name}.b"]
    n = cell.n_hidden
    a = v + b
    if cell.b_h is None:
        r, z = torch.sigmoid(a[:, : 2 * n] + h @ U[:, : 2 * n]).split(n, dim=1)
        c = torch.tanh(a[:, 2 * n :] + (r * h) @ U[:, 2 * n :])
    else:
        m = h @ U + weights[f"{name}.b_h"]
        r, z = torch.sigmoid(a[:, : 2 * n] + m[:, : 2 * n]).split(n, dim=1)
        c = torch.tanh(a[:, 2 * n :] + r * m[:, 2 * n :])
    return (1 - z) * h + z * c


@pytest.mark.parametrize(
    ("loss", "embedding", "hidden", "reset"),
    [
        *((loss, e, (4,), None) for loss, e in itertools.product(LOSSES, EMBEDDINGS)),
        ("cross-entropy", None, (4, 3), None),
        ("bpr-max", "shared", (3, 4), "before"),
        ("top1", 5, (3, 4), "after"),
    ],
)
def test_step_equals_autograd(loss, embedding, hidden, reset):
    rng = np.random.default_rng(7)
    logq = 0.7 if loss == "cross-entropy" else 0.0
    model = GRU4Rec(
        hidden=hidden, loss=loss, embedding=embedding, logq=logq, reset=reset, bpreg=0.8, elu=0.6
    )
    support = rng.integers(1, 50, N)
    net = model._build(N).astype(np.float64)
    for p in net.parameters():  # biases start at 0, where errors hide
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    item, target, negative = rng.integers(0, N, B), rng.integers(0, N, B), rng.integers(0, N, S)
    states = [rng.normal(0, 0.5, (CARRIED, n)) for n in hidden]

    block = net.block(item, target, negative)
    (value, new_states), backward = net(block, states, model._objective(support))
    backward()

    weights = {k: torch.tensor(p.value, requires_grad=True) for k, p in net.named_parameters()}
    x = {"shared": "W", None: "inputs.0.E"}.get(embedding, "embed.E")
    x = weights[x][item]
    for layer, (cell, h) in enumerate(zip(net.cells, states, strict=True)):
        full = torch.zeros((B, cell.n_hidden), dtype=torch.float64)
        full[:CARRIED] = torch.tensor(h)
        one_hot = embedding is None and layer == 0
        v = x if one_hot else x @ weights[f"inputs.{layer}.W"]
        x = reference_gru(cell, v, full, weights, f"cells.{layer}")
        np.testing.assert_allclose(new_states[layer], x.detach(), rtol=0, atol=1e-12)
    columns = np.concatenate([target, negative])
    all_scores = x @ weights["W"][columns].T + weights["b"][columns]
    expected = reference_loss(
        loss, all_scores, model, torch.tensor(target), torch.tensor(negative),
        torch.tensor(support, dtype=torch.float64),
    )  # fmt: skip
    expected.backward()

    assert abs(value - expected.item()) < 1e-10
    for name, p in net.named_parameters():
        np.testing.assert_allclose(
            p.dense_grad(), weights[name].grad, rtol=0, atol=1e-10, err_msg=name
        )
