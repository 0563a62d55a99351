"""GRUStep: the same step as GRUCell, with the past cut off and fresh rows left out."""

import numpy as np
import pytest

from nnlib.check import check_gradients
from nnlib.layers import GRUStep

B, C, H = 5, 3, 4


def step_and_state(reset, seed=0):
    rng = np.random.default_rng(seed)
    step = GRUStep(H, rng=rng, reset=reset).astype(np.float64)
    for p in step.parameters():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    return step, rng.normal(0, 0.8, (B, 3 * H)), rng.normal(0, 0.8, (C, H))


@pytest.mark.parametrize("reset", ["before", "after"])
@pytest.mark.parametrize("carried", [0, C])
def test_equations(reset, carried):
    step, v, h = step_and_state(reset)
    h = h[:carried]
    full = np.zeros((B, H))
    full[:carried] = h
    a, U = v + step.b.value, step.U.value
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    m = full @ U + (step.b_h.value if reset == "after" else 0)
    r, z = sigmoid(a[:, :H] + m[:, :H]), sigmoid(a[:, H : 2 * H] + m[:, H : 2 * H])
    inner = r * m[:, 2 * H :] if reset == "after" else (r * full) @ U[:, 2 * H :]
    c = np.tanh(a[:, 2 * H :] + inner)
    np.testing.assert_allclose(step(v, h)[0], (1 - z) * full + z * c, atol=1e-14)


@pytest.mark.parametrize("reset", ["before", "after"])
@pytest.mark.parametrize("carried", [0, 1, C])
def test_gradients_with_the_state_as_a_constant(reset, carried):
    step, v, h = step_and_state(reset)
    result = check_gradients(lambda x: step(x, h[:carried]), v, params=step.parameters())
    assert result.passed, result
