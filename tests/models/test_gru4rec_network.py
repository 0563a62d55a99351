"""GRU4Rec's network: every coordinate of every parameter, by central differences."""

import numpy as np
import pytest

from nnlib.check import assert_gradients
from nnlib.models import GRU4Rec

N, B, S, CARRIED = 7, 4, 5, 2


@pytest.mark.parametrize("embedding", ["shared", "separate", 3, None])
@pytest.mark.parametrize("hidden", [(4,), (3, 4)])
@pytest.mark.parametrize("loss", ["cross-entropy", "bpr-max", "top1", "top1-max", "bpr"])
def test_gradients(embedding, hidden, loss):
    rng = np.random.default_rng(2)
    model = GRU4Rec(
        hidden=hidden, embedding=embedding, loss=loss, dropout_embed=0.3, dropout_hidden=0.2
    )
    objective = model._objective(rng.integers(1, 9, N))
    net = model._build(N).astype(np.float64)
    for p in net.parameters():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    item, target, negative = (rng.integers(0, N, n) for n in (B, B, S))
    states = [rng.normal(0, 0.5, (CARRIED, n)) for n in hidden]

    def step(item):
        block = net.block(item, target, negative)
        (value, _), backward = net(block, states, objective, rng=np.random.default_rng(9))
        return value, backward

    assert_gradients(step, item, params=net)


def test_states_are_not_written_to():
    model = GRU4Rec(hidden=(4,))
    net = model._build(N)
    state = np.full((2, 4), 0.5, np.float32)
    block = net.block(np.array([1, 2, 3]), np.array([4, 5, 6]), np.array([0]))
    (_, (new,)), backward = net(block, [state], model._objective(np.ones(N)))
    backward()
    assert (state == 0.5).all()
    assert new.shape == (3, 4)
