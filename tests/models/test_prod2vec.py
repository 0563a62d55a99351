"""Prod2Vec: pairs of the window, direction, and the list that clusters share."""

import numpy as np
import pytest

from nnlib.data import Histories, Interactions
from nnlib.models import Prod2Vec
from nnlib.models.embeddings.prod2vec import place_in_cluster
from nnlib.models.pair_training import pair_counts

SEQUENCES = [[0, 1, 2, 3, 1], [4, 0], [3], [2, 2, 1]]
LOG = Interactions.from_arrays(np.repeat(np.arange(4), [5, 2, 1, 3]), np.concatenate(SEQUENCES))
CODE = {raw: code for code, raw in enumerate(LOG.item_ids.tolist())}


def expected_counts(window, directed, weight=lambda distance: 1):
    counts = np.zeros((5, 5))
    for row in SEQUENCES:
        for i, w in enumerate(row):
            for j, c in enumerate(row):
                if 0 < (j - i if directed else abs(j - i)) <= window:
                    counts[CODE[w], CODE[c]] += weight(abs(j - i))
    return counts


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("window", [1, 3])
def test_pairs_are_those_of_the_window(window, directed):
    model = Prod2Vec(window=window, directed=directed, batch_size=4)
    expected = expected_counts(window, directed)
    np.testing.assert_array_equal(model.counts(LOG), expected)
    stream = model.pairs(LOG)(np.random.default_rng(0))
    np.testing.assert_array_equal(pair_counts(stream, 5), expected)
    assert model.n_pairs(LOG) == expected.sum()


def test_expected_counts_of_a_dynamic_window():
    model = Prod2Vec(window=3, dynamic=True)
    expected = expected_counts(3, False, lambda distance: (4 - distance) / 3)
    np.testing.assert_allclose(model.counts(LOG), expected)
    rng, stream = np.random.default_rng(0), model.pairs(LOG)
    drawn = sum(pair_counts(stream(rng), 5) for _ in range(2000)) / 2000
    np.testing.assert_allclose(drawn, expected, atol=0.1)
    assert model.n_pairs(LOG) == pytest.approx(expected.sum(), abs=1)


def chain(rng, n_users=400):
    """Item 2a is always followed by 2a + 1, and what comes after that is anybody's guess."""
    first = rng.integers(0, 10, (n_users, 4)) * 2
    items = np.stack([first, first + 1], axis=2).reshape(n_users, 8)
    return Interactions.from_arrays(np.repeat(np.arange(n_users), 8), items.ravel())


@pytest.mark.parametrize("exact", [True, False])
def test_direction(exact):
    log = chain(np.random.default_rng(0))
    settings = {"window": 1, "n_factors": 12, "exact": exact, "epochs": 80 if exact else 20}
    directed = Prod2Vec(directed=True, **settings).fit(log)
    both = Prod2Vec(directed=False, **settings).fit(log)
    code = {raw: c for c, raw in enumerate(log.item_ids.tolist())}
    for a in range(0, 20, 2):
        here, there = code[a], code[a + 1]
        history = Histories(np.array([here, there]), np.array([0, 1]), np.array([1, 2]))
        after_a, after_b = directed.scores(history)
        assert after_a.argmax() == there
        assert after_b[here] < after_a[there] - 1  # one even item among ten
        assert both.scores(history)[1].argmax() == here


def test_places():
    scores = np.array([[3.0, 1, 2, 5, 5, 0], [0.0, 1, 2, 3, 4, 5]])
    cluster = np.array([0, 1, 0, 1, 1, 3])
    np.testing.assert_array_equal(
        place_in_cluster(scores, cluster), [[1, 3, 2, 1, 2, 1], [2, 3, 1, 2, 1, 1]]
    )


def test_every_cluster_has_its_share_of_the_list():
    log = chain(np.random.default_rng(1))
    model = Prod2Vec(variant="cluster", n_clusters=4, n_factors=8, window=2).fit(log)
    np.testing.assert_allclose(model.transition_.sum(axis=1), 1)
    model.cluster_ = np.arange(20) % 4
    model.transition_ = np.array([[0.5, 0.3, 0.2, 0.0]] * 4)
    scores = model.scores(Histories(np.array([3]), np.array([0]), np.array([1])))[0]
    best = np.argsort(-scores)[:10]
    np.testing.assert_array_equal(np.bincount(model.cluster_[best], minlength=4), [5, 3, 2, 0])
    plain = Prod2Vec(n_factors=8, window=2).fit(log)
    s = plain.scores(Histories(np.array([3]), np.array([0]), np.array([1])))[0]
    for c in range(4):  # within a cluster the order is that of the plain score
        inside = best[model.cluster_[best] == c]
        assert (np.diff(s[inside]) <= 0).all()


def test_transitions_are_counted_from_purchase_to_purchase():
    log = chain(np.random.default_rng(2))
    model = Prod2Vec(variant="cluster", n_clusters=3, n_factors=8, epochs=3).fit(log)
    c, counts = model.cluster_[log.item], np.zeros((3, 3))
    for m in range(log.n_users):
        row = c[log.offsets[m] : log.offsets[m + 1]]
        np.add.at(counts, (row[:-1], row[1:]), 1)
    share = np.bincount(c, minlength=3) / len(c)
    expected = (counts + share) / (counts.sum(axis=1, keepdims=True) + 1)
    np.testing.assert_allclose(model.transition_, expected)


def test_more_clusters_than_items():
    model = Prod2Vec(variant="cluster", n_clusters=50, epochs=1).fit(LOG)
    assert np.isfinite(model.scores(LOG.histories())).all()


@pytest.mark.parametrize(
    ("setting", "value"), [("window", 0), ("window", -2), ("n_clusters", 0), ("variant", "best")]
)
def test_bad_settings(setting, value):
    with pytest.raises(ValueError, match=f"{setting}={value!r}: it must be"):
        Prod2Vec(**{setting: value})
