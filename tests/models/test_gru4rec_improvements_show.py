"""What the improvements of GRU4Rec show on 3,000 sessions of HMMClicks, and what they do not.

Settings, world and the rule for the epoch (best recall@20 of 500 validation sessions) were fixed
beforehand; test are 1,500 other sessions, standard error of a recall .006.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from nnlib.data.synthetic import HMMClicks
from nnlib.metrics import evaluate
from nnlib.models import (
    CosineGRU4Rec,
    DistilledGRU4Rec,
    GRU4Rec,
    Popularity,
    PrefixGRU4Rec,
    ReLeVar,
)
from nnlib.models.session.distilled_gru4rec import backwards

pytestmark = pytest.mark.slow
KEY = "recall@20"
SETTINGS = dict(
    hidden=(64,), embedding=None, batch_size=32, n_sample=128, sample_alpha=0.0, lr=0.1,
    dropout_hidden=0.2,
)  # fmt: skip


@cache
def world():
    """(train, validation, test)."""
    rng = np.random.default_rng(0)
    return tuple(HMMClicks(seed=1).sample(n, rng) for n in (3000, 500, 1500))


def best_epoch(model, tmp_path, epochs):
    """The model after its best epoch of 1…`epochs` by validation, and that epoch."""
    train, validation, _ = world()
    path, found = tmp_path / f"{type(model).__name__}-{model.seed}.safetensors", []
    for epoch in range(1, epochs + 1):
        fitted = replace(model, epochs=epoch).fit(train, checkpoint=path, resume=True)
        found.append((evaluate(fitted, validation, k=(20,))[KEY], epoch, fitted))
    _, epoch, fitted = max(found, key=lambda f: f[0])
    return fitted, epoch


def recall(model):
    return evaluate(model, world()[2], k=(20,))[KEY]


def over_seeds(cls, tmp_path, epochs, seeds=(0, 1, 2), **settings):
    results = []
    for seed in seeds:
        model, epoch = best_epoch(cls(**{**SETTINGS, **settings}, seed=seed), tmp_path, epochs)
        results.append(recall(model))
        print(f"{cls.__name__} {settings} seed {seed}: {results[-1]:.4f}, epoch {epoch}")
    return np.array(results)


def test_prefixes_with_full_gradients_beat_session_parallel_steps(tmp_path):
    """Seeds 0, 1, 2: GRU4Rec .362 .370 .364, prefixes .389 .390 .388.

    At risk, hence reported and not asserted: item dropout (p = .25: .381 .392, without keep_last
    .387 .394: no difference that two seeds could tell).  Against the claim that longer gradients do
    not help a session-parallel GRU4Rec: bptt=5 .377, bptt=20 .373 (seed 0).
    """
    gru = over_seeds(GRU4Rec, tmp_path, 3)
    prefix = over_seeds(PrefixGRU4Rec, tmp_path, 3)
    assert prefix.mean() > gru.mean() + 0.02


def test_relevar_learns_and_collapses_at_beta_1():
    """β .03: KL 11.5 nats, recall .363; .1: 2.5, .333; .01: 27, .337; Popularity .135 (6 epochs).

    β = 1, the paper's: KL .00 nats and recall .138, that of Popularity: posterior collapse.  The
    gain over GRU4Rec (.364) that the paper reports does not show here.
    """
    train, _, test = world()
    popularity = recall(Popularity().fit(train))
    sessions = test.in_items_of(train.item_ids)[0].histories()
    settings = {**SETTINGS, "dropout_hidden": 0.0}

    model = ReLeVar(**settings, n_latent=32, beta=0.03, epochs=4).fit(train)
    assert (np.diff(model.losses_) < 0).all()
    assert model.divergence(sessions).mean() > 1
    assert recall(model) > popularity + 0.1

    collapsed = ReLeVar(**settings, n_latent=32, beta=1.0, epochs=4).fit(train)
    nats = collapsed.divergence(sessions).mean()
    print(f"beta 1: KL {nats:.3f} nats, recall {recall(collapsed):.4f}, POP {popularity:.4f}")
    assert nats < 0.1


def test_a_teacher_who_knows_the_future_helps_a_little():
    """Seeds 0, 1, 2 with λ = 0: .389 .390 .388; λ = .2: .394 .396 .395; λ = .5: .399 .399 .402.

    Two epochs, the best of both by validation above; one teacher.
    """
    train, _, _ = world()
    teacher = PrefixGRU4Rec(**SETTINGS, epochs=2).fit(backwards(train))
    gain = []
    for seed in (0, 1):
        student = DistilledGRU4Rec(**SETTINGS, epochs=2, distill=0.5, seed=seed)
        plain = PrefixGRU4Rec(**SETTINGS, epochs=2, seed=seed)
        gain.append(recall(student.fit(train, teacher=teacher)) - recall(plain.fit(train)))
    print(f"gain of distillation: {gain}")
    assert np.mean(gain) > 0.003


def test_directions_instead_of_scores():
    """Cosine .386 where the softmax that its table came from has .389; Popularity .135."""
    train, _, _ = world()
    softmax = PrefixGRU4Rec(**SETTINGS, epochs=2).fit(train)
    table = softmax.net_.W.value
    cosine = CosineGRU4Rec(**SETTINGS, epochs=2).fit(train, table=table)
    print(f"cosine {recall(cosine):.4f}, softmax {recall(softmax):.4f}")
    assert recall(cosine) > recall(Popularity().fit(train)) + 0.1
