"""GRU4Rec's step with fixed shapes: the losses, states and weights of the plain one."""

from typing import Any

import numpy as np
import pytest

from nnlib.functional.fixed_shapes import NOBODY
from nnlib.models import GRU4Rec
from nnlib.models.session.gru4rec_graph import sum_equal_rows

N, B, S, STEPS = 9, 5, 6, 4
LOSSES = ["cross-entropy", "bpr-max", "top1", "top1-max", "bpr"]


def trained(padded: bool, **settings: Any) -> tuple[list[float], dict[str, np.ndarray]]:
    """A few steps; the item N − 1 is nobody's: a table's last row is what NOBODY means to NumPy."""
    rng = np.random.default_rng(3)
    settings = {"lr": 0.1, "momentum": 0.4, "dropout_embed": 0.3, "dropout_hidden": 0.2, **settings}
    model = GRU4Rec(**settings)
    objective = model._objective(rng.integers(1, 9, N))
    net = model._build(N).astype(np.float64)
    for p in net.parameters():
        p.value[...] = rng.normal(0, 0.5, p.value.shape)
    optimizer, noise = model._optimizer(net), np.random.default_rng(7)
    states, losses = net.start(B), []
    for _ in range(STEPS):
        item, target = rng.integers(N - 1, size=(2, B))  # repeated ones among them
        negative = rng.integers(N - 1, size=S)
        n = rng.integers(1, B)  # rows that go on; those after them are fresh
        carried = rng.permutation(B)[:n]
        if padded:  # fresh rows by a row of zeros behind the states
            states = [np.concatenate([h, np.zeros((1, h.shape[1]))]) for h in states]
            carried = np.concatenate([carried, np.full(B - n, -1)])
        states = [h.take(carried, axis=0) for h in states]
        block = net.block(item, target, negative, padded)
        (loss, states), backward = net(block, states, objective, rng=noise)
        backward(0.8)
        if padded:
            assert len(block.ids) == (B if net.shared else 0) + B + S
            assert (block.ids[len(np.unique(block.ids)) :] == NOBODY).all()
            sum_equal_rows(net.parameters())
        optimizer.step()
        losses.append(float(loss))
    arrays = {name: p.value for name, p in net.named_parameters()}
    arrays |= {f"optimizer.{name}": a for name, a in optimizer.arrays().items()}
    return losses, {k: a[:-1] if len(a.shape) and len(a) == N else a for k, a in arrays.items()}


def equal(**settings: Any) -> None:
    (losses, arrays), (mine, padded) = (trained(p, **settings) for p in (False, True))
    np.testing.assert_allclose(mine, losses, 1e-12)
    assert arrays.keys() == padded.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(padded[name], array, 1e-12, 1e-12, err_msg=name)


@pytest.mark.parametrize("embedding", ["shared", "separate", 3, None])
@pytest.mark.parametrize("loss", LOSSES)
def test_padded_steps_are_the_plain_ones(loss: Any, embedding: Any) -> None:
    equal(loss=loss, embedding=embedding, hidden=(4,))


@pytest.mark.parametrize(
    "settings",
    [{"hidden": (4, 3)}, {"logq": 0.7}, {"reset": "before"}, {"momentum": 0.0}],
    ids=lambda settings: next(iter(settings)),
)
def test_other_settings(settings: Any) -> None:
    equal(**{"hidden": (4,), **settings})
