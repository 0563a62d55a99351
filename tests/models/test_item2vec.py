"""Item2Vec: which pairs a set makes, with which weight, and what is refused."""

import numpy as np
import pytest

from nnlib.data import DataError, Interactions
from nnlib.models import Item2Vec
from nnlib.models.embeddings.item2vec import item_sets, shuffled
from nnlib.models.pair_training import pair_counts

USER = [0, 0, 0, 0, 1, 1, 1, 2, 3, 3]
ITEM = [0, 1, 2, 1, 1, 3, 1, 2, 2, 0]  # 1 twice of users 0 and 1; user 2 has one item
LOG = Interactions.from_arrays(USER, ITEM)


def expected_counts(weighted):
    counts = np.zeros((4, 4))
    for items in ({0, 1, 2}, {1, 3}, {0, 2}):
        for i in items:
            for j in items - {i}:
                counts[i, j] += 1 / (len(items) - 1) if weighted else 1
    return counts


@pytest.mark.parametrize("weighted", [True, False])
def test_counts_are_those_of_the_formula(weighted):
    model = Item2Vec(weighted=weighted, batch_size=3)
    np.testing.assert_allclose(model.counts(LOG), expected_counts(weighted))
    assert model.n_pairs(LOG) == expected_counts(False).sum()


def test_with_the_factor_a_set_counts_like_its_items():
    np.testing.assert_allclose(Item2Vec().counts(LOG).sum(axis=1), [2, 2, 2, 1])


def test_a_window_sees_all_pairs_equally_often():
    """Of n items in random order, two are next to one another with probability 2/n."""
    log = Interactions.from_arrays(np.zeros(5, int), np.arange(5))
    stream, rng = Item2Vec(window=1).pairs(log), np.random.default_rng(0)
    epochs = 4000
    counts = sum(pair_counts(stream(rng), 5) for _ in range(epochs)) / epochs
    off = ~np.eye(5, dtype=bool)
    assert not counts[~off].any()
    np.testing.assert_allclose(counts[off], 2 / 5, atol=0.05)
    assert Item2Vec(window=1).n_pairs(log) == 10


def test_shuffling_keeps_each_row_and_moves_every_item():
    sets, rng = item_sets(LOG), np.random.default_rng(0)
    firsts = set()
    for _ in range(50):
        mixed = shuffled(sets, rng)
        for b in range(len(sets)):
            assert sorted(mixed.row(b).tolist()) == sets.row(b).tolist()
        firsts.add(int(mixed.row(0)[0]))
    assert firsts == {0, 1, 2}


def test_subsampling_thins_out_the_frequent():
    user = np.repeat(np.arange(400), 3)
    item = np.column_stack([np.zeros(400, int), 1 + np.arange(400) % 50, 51 + np.arange(400) % 70])
    log = Interactions.from_arrays(user, item.ravel())
    stream = Item2Vec(subsample=0.01, weighted=False).pairs(log)
    counts = pair_counts(stream(np.random.default_rng(0)), log.n_items)
    assert counts[0].sum() < 0.3 * 800
    assert counts[1:, 1:].sum() > 0.6 * 800


def groups_log(rng, n_users=300):
    """Two groups of items that nobody mixes."""
    group = rng.integers(0, 2, n_users)
    items = group[:, None] * 10 + np.argsort(rng.random((n_users, 10)), axis=1)[:, :4]
    return Interactions.from_arrays(np.repeat(np.arange(n_users), 4), items.ravel())


@pytest.mark.parametrize("settings", [{}, {"exact": True, "epochs": 60}, {"window": 2}])
def test_what_occurs_together_becomes_similar(settings):
    log = groups_log(np.random.default_rng(0))
    model = Item2Vec(n_factors=8, score="cosine", **settings).fit(log)
    group = log.item_ids >= 10
    for item in range(log.n_items):
        near = np.argsort(-model.similarity(item))[:10]
        assert (group[near] == group[item]).all()


def test_the_score_is_that_of_the_docstring():
    log = groups_log(np.random.default_rng(1))
    model = Item2Vec(n_factors=6, epochs=2).fit(log)
    sampler = log.support() ** 0.75
    np.testing.assert_allclose(model.log_q_, np.log(sampler / sampler.sum()), rtol=1e-5)
    np.testing.assert_allclose(
        model.scores(log.histories())[:1],
        (model.E_[log.histories().row(0)].mean(axis=0) @ model.O_.T + model.log_q_)[None],
        rtol=1e-4,
        atol=1e-5,
    )


def test_nothing_goes_together():
    log = Interactions.from_arrays([1, 1, 2, 2], [5, 5, 6, 6])
    with pytest.raises(DataError, match="two different items"):
        Item2Vec().fit(log)


def test_too_many_items_for_exact():
    log = Interactions.from_arrays(np.repeat(np.arange(2501), 2), np.arange(5002))
    with pytest.raises(DataError, match=r"exact=True .* at most 5,000"):
        Item2Vec(exact=True).fit(log)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_factors", 0), ("n_factors", 2.5), ("negatives", 0), ("epochs", 0), ("batch_size", 0),
        ("lr", 0.0), ("lr", float("nan")), ("noise_exponent", float("inf")), ("subsample", -1e-3),
        ("seed", -1), ("window", 0), ("score", "dot"), ("decay", 0.0), ("decay", 1.5),
    ],
)  # fmt: skip
def test_bad_settings(setting, value):
    with pytest.raises(ValueError, match=f"{setting}={value!r}: it must be"):
        Item2Vec(**{setting: value})


@pytest.mark.parametrize(
    "settings", [{"exact": True, "subsample": 0.01}, {"exact": True, "window": 3}]
)
def test_contradictions(settings):
    with pytest.raises(ValueError, match="exact=True"):
        Item2Vec(**settings)
