"""ReLeVar: gradients of its step, evaluation without noise, the weight of KL."""

import re

import numpy as np
import pytest

from nnlib.check import assert_gradients
from nnlib.data import Interactions
from nnlib.layers import GaussianLatent
from nnlib.models import ReLeVar

N, B, S, CARRIED = 7, 4, 5, 2
LOG = Interactions.from_arrays([1, 1, 1, 1, 2, 2, 3, 3, 3], [0, 1, 2, 3, 4, 5, 6, 0, 4], range(9))


def small(**settings):
    return ReLeVar(
        **{**dict(hidden=(6,), n_latent=3, batch_size=2, n_sample=5, epochs=2, lr=0.1), **settings}
    )


@pytest.mark.parametrize("embedding", ["shared", 2, None])
@pytest.mark.parametrize("loss", ["cross-entropy", "bpr-max"])
def test_gradients(embedding, loss):
    rng = np.random.default_rng(2)
    model = small(hidden=(4, 5), embedding=embedding, loss=loss, dropout_hidden=0.2)
    net, objective = model._build(N).astype(np.float64), model._objective(rng.integers(1, 9, N))
    for p in net.parameters():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    item, target, negative = (rng.integers(0, N, n) for n in (B, B, S))
    states = [rng.normal(0, 0.5, (CARRIED, n)) for n in (4, 5)]

    def step(item):
        block = net.block(item, target, negative)
        draws = np.random.default_rng(9)
        (value, _), backward = net(block, states, objective, rng=draws, beta=0.3)
        return value, backward

    assert_gradients(step, item, params=net)


def test_divergence_against_sampling():
    """KL = E_q [log q(z) − log p(z)], by 200,000 draws."""
    rng = np.random.default_rng(0)
    layer = GaussianLatent(3, 2, rng=rng).astype(np.float64)
    for p in layer.parameters():
        p.value[...] = rng.normal(0, 0.5, p.value.shape)
    h = np.repeat(rng.normal(size=(1, 3)), 200_000, axis=0)
    (z, kl), _ = layer(h, rng)
    (mean, _), _ = layer(h[:1])
    l = layer.log_variance(h[:1])[0]
    log_q = -((z - mean) ** 2 / np.exp(l) + l).sum(axis=1) / 2
    log_p = -(z**2).sum(axis=1) / 2
    assert kl[0] == pytest.approx((log_q - log_p).mean(), abs=0.02)
    assert layer(h[:1] * 0)[0][1][0] >= 0


def test_no_noise_when_recommending():
    model = small().fit(LOG)
    h = LOG.histories()
    np.testing.assert_array_equal(model.scores(h), model.scores(h))
    z = model.net_.latent.mean(model.states_after(h)[-1])[0]
    np.testing.assert_allclose(model.scores(h), z @ model.net_.W.value.T + model.net_.b.value)


def test_beta_rises_over_the_first_epochs(monkeypatch):
    seen, net_type = [], type(small()._build(3))
    original = net_type.__call__

    def call(self, *args, beta, **options):
        seen.append(beta)
        return original(self, *args, beta=beta, **options)

    monkeypatch.setattr(net_type, "__call__", call)
    small(beta=0.4, anneal=2.0, epochs=4).fit(LOG)
    steps = len(seen) // 4
    assert seen[0] == 0
    np.testing.assert_allclose(np.diff(seen[: 2 * steps]), 0.4 / (2 * steps))
    assert seen[2 * steps :] == [0.4] * (2 * steps)
    seen.clear()
    small(beta=0.4, anneal=0.0, epochs=1).fit(LOG)
    assert set(seen) == {0.4}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_latent": 0}, "n_latent=0"),
        ({"beta": -0.1}, "beta=-0.1"),
        ({"anneal": float("nan")}, "anneal=nan"),
        ({"bptt": 2}, "one step at a time"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ReLeVar(**settings)
