"""What Content2Vec must show: together better than alone, and content where no one has bought yet.

Items have three independent factors.  Who buys what with what depends on all three alike; the text
tells one of them, the image another, the third shows in the baskets only.  The strength of the
factors and the settings of the model were chosen on world 0; no test pair chose anything.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

from nnlib.data import Interactions
from nnlib.functional.activations import relu
from nnlib.layers import BagOfWords, Dense, FixedFeatures, Sequential
from nnlib.models import Content2Vec

N, FACTORS, N_WORDS, LENGTH, N_FEATURES, D = 600, 3, 300, 12, 40, 16


@dataclass(frozen=True)
class World:
    """p(i, j) ∝ q_i q_j exp(2.5 Σ_f z_i^f · z_j^f), z of length 1, q ∝ 1/√rank; no i = j."""

    seed: int

    @cached_property
    def _parts(self):
        rng = np.random.default_rng((self.seed, 0))
        z = rng.normal(size=(3, N, FACTORS))
        z /= np.linalg.norm(z, axis=2, keepdims=True)
        q = rng.permutation(np.arange(1, N + 1) ** -0.5)
        joint = np.exp(2.5 * (z @ z.transpose(0, 2, 1)).sum(axis=0)) * q[:, None] * q
        np.fill_diagonal(joint, 0)
        cold = np.zeros(N, bool)
        cold[rng.permutation(N)[: N // 5]] = True
        p = np.exp(3 * z[1] @ rng.normal(size=(FACTORS, N_WORDS)))
        p /= p.sum(axis=1, keepdims=True)
        words = np.concatenate([rng.choice(N_WORDS, LENGTH, p=row) for row in p])
        image = np.tanh(1.5 * z[2] @ rng.normal(size=(FACTORS, N_FEATURES)))
        image += rng.normal(0, 0.5, image.shape)
        return np.cumsum(joint), cold, words, image.astype(np.float32)

    @property
    def cold(self):
        """Items that are in no training basket."""
        return self._parts[1]

    def pairs(self, n, rng):
        cumulative = self._parts[0]
        cell = np.searchsorted(cumulative, rng.random(n) * cumulative[-1])
        return np.stack(np.divmod(cell, N), axis=1)

    def train(self, n):
        """Baskets of two, those with a cold item left out; the cold ones are in the catalogue."""
        pairs = self.pairs(n, np.random.default_rng((self.seed, 1)))
        pairs = pairs[~self.cold[pairs].any(axis=1)]
        users = np.repeat(np.arange(len(pairs)), 2)
        log = Interactions.from_arrays(users, pairs.ravel(), np.arange(pairs.size))
        return log.in_items_of(np.arange(N))[0]

    def modules(self):
        rng = np.random.default_rng((self.seed, 2))
        _, _, words, image = self._parts
        bag = BagOfWords(words, np.arange(N + 1) * LENGTH, N_WORDS, D, rng=rng)
        text = Sequential(bag, Dense(D, D, rng=rng), relu, Dense(D, D, rng=rng))
        layers = Dense(N_FEATURES, D, rng=rng), relu, Dense(D, D, rng=rng)
        return {"text": text, "image": Sequential(FixedFeatures(image), *layers)}

    def auc(self, S, cold, n=20_000):
        """Of real pairs against pairs of the same items in other combinations.

        Cold pairs have at least one cold item, warm ones have none.
        """
        rng = np.random.default_rng((self.seed, 3))
        real = self.pairs(n, rng)
        of_kind = lambda pairs: pairs[self.cold[pairs].any(axis=1) == cold]
        real = of_kind(real)
        mixed = of_kind(np.stack([rng.permutation(side) for side in real.T], axis=1))
        mixed = mixed[mixed[:, 0] != mixed[:, 1]]
        return auc(S[real[:, 0], real[:, 1]], S[mixed[:, 0], mixed[:, 1]])


def auc(positive, negative):
    """How often a positive scores above a negative, ties counted half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return below.mean() / (2 * len(negative))


def aucs(world, n, names, **settings):
    """(warm, cold) of a model that has these modules."""
    chosen = {name: m for name, m in world.modules().items() if name in names}
    model = Content2Vec(
        n_factors=D, collaborative="cf" in names, seed=world.seed, **{"n_hidden": 0, **settings}
    ).fit(world.train(n), chosen)
    S = model.pair_scores(np.arange(N))
    return np.array([world.auc(S, cold=False), world.auc(S, cold=True)])


def test_content_is_what_a_cold_item_has():
    """Small enough for every day: the order, without the margins."""
    world, settings = World(0), {"epochs": 4, "pretrain_epochs": 3, "merge_epochs": 1, "lr": 0.1}
    cf = aucs(world, 5000, ["cf"], **settings)
    content = aucs(world, 5000, ["text", "image"], **settings)
    joint = aucs(world, 5000, ["cf", "text", "image"], **settings)
    assert cf[1] == 0.5  # a constant: all ties
    assert content[1] > 0.65
    assert joint[1] > content[1] - 0.02
    assert joint[0] > max(cf[0], content[0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_joint_beats_the_best_single_and_is_not_hurt_by_what_says_nothing(seed):
    world, n = World(seed), 12_000
    singles = {name: aucs(world, n, [name]) for name in ("cf", "text", "image")}
    content = aucs(world, n, ["text", "image"])
    linear = aucs(world, n, ["cf", "text", "image"])
    joint = aucs(world, n, ["cf", "text", "image"], n_hidden=32)
    print({**singles, "text + image": content, "linear": linear, "joint": joint})
    best = max(warm for warm, _ in singles.values())
    for warm, _ in (linear, joint):
        assert warm >= best + 0.02
    assert singles["cf"][1] == 0.5
    assert content[1] > 0.7
    assert abs(linear[1] - content[1]) < 0.01
    assert abs(joint[1] - content[1]) < 0.03
