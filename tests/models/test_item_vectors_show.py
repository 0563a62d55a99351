"""What item2vec, prod2vec and bagged prod2vec must show, each over several worlds or splits.

Worlds are `BasketWorld()` at its defaults, seeds 1 to 3; the models' settings are their defaults
but for what is compared.  Differences are paired by query: mean and standard error.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from nnlib.data import Histories, Interactions, one_out, read_movielens
from nnlib.data.basket_world import BasketWorld
from nnlib.data.baskets import baskets
from nnlib.metrics import held_out_item
from nnlib.metrics.neighbours import agreement_per_item
from nnlib.models import (
    BaggedProd2Vec,
    CoOccurrence,
    Item2Vec,
    Popularity,
    Prod2Vec,
    TruncatedSVD,
)

K = 20
SEEDS = (1, 2, 3)
pytestmark = pytest.mark.slow


class Queries(NamedTuple):
    """What the models are asked: the item `target[b]` after the history b, which lacks it."""

    histories: Histories
    target: np.ndarray


class Setting(NamedTuple):
    world: BasketWorld
    train: Interactions
    next_basket: Queries  # a basket is given, an item of the same user's next one is wanted
    same_basket: Queries  # a basket without one of its items is given, that one is wanted


@cache
def setting(seed, follow=0.7):
    world, rng = BasketWorld(seed=seed, follow=follow), np.random.default_rng(seed)
    train = world.sample(4000, rng)
    test, _ = world.sample(1000, rng).in_items_of(train.item_ids)
    rows = baskets(test)
    user = test.user[rows.start]
    given, target = [], []
    for m in np.flatnonzero(user[1:] == user[:-1]):
        if len(new := np.setdiff1d(rows.row(m + 1), rows.row(m))):
            given.append(m)
            target.append(rng.choice(new))
    next_basket = Queries(rows.take(np.array(given)), np.array(target))
    rest, taken = [], []
    for m in np.flatnonzero(rows.lengths > 1):
        at = rng.integers(rows.lengths[m])
        rest.append(np.delete(rows.row(m), at))
        taken.append(rows.row(m)[at])
    offsets = np.cumsum([0, *map(len, rest)])
    same_basket = Queries(Histories.from_offsets(np.concatenate(rest), offsets), np.array(taken))
    return Setting(world, train, next_basket, same_basket)


@cache
def fitted(seed, name, follow=0.7):
    models = {
        "popularity": Popularity(),
        "prod2vec": Prod2Vec(),
        "directed": Prod2Vec(directed=True),
        "bagged": BaggedProd2Vec(),
        "sum": BaggedProd2Vec(basket="sum"),
    }
    return models[name].fit(setting(seed, follow).train)


def lists(model, queries):
    """Scores of the items that a history does not have, a block of queries at a time."""
    for i in range(0, len(queries.target), 512):
        part = queries.histories.take(np.arange(i, min(i + 512, len(queries.target))))
        scores = np.array(model.scores(part), np.float64)
        scores[part.flat()] = -np.inf
        yield scores, queries.target[i : i + 512]


def hits(model, queries):
    """Whether the target is among the first K of each query; ties count half."""
    found = []
    for scores, target in lists(model, queries):
        s = scores[np.arange(len(target)), target][:, None]
        rank = (scores > s).sum(axis=1) + ((scores == s).sum(axis=1) - 1) / 2 + 1
        found.append(rank <= K)
    return np.concatenate(found).astype(float)


def entropy_of_categories(model, queries, category):
    """Mean entropy of the categories in the lists of K, in nats."""
    total = 0.0
    for scores, _ in lists(model, queries):
        for row in category[np.argsort(-scores, axis=1)[:, :K]]:
            p = np.unique(row, return_counts=True)[1] / K
            total -= (p * np.log(p)).sum()
    return total / len(queries.target)


def gap(a, b):
    """Mean difference of hits and its standard error."""
    d = a - b
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


@pytest.mark.parametrize("seed", SEEDS)
def test_prod2vec_above_popularity_and_directed_above_both(seed):
    queries = setting(seed).next_basket
    popular = hits(fitted(seed, "popularity"), queries)
    both, later = (hits(fitted(seed, name), queries) for name in ("prod2vec", "directed"))
    print(f"popularity {popular.mean():.3f}, prod2vec {both.mean():.3f}, {later.mean():.3f}")
    for a, b in ((both, popular), (later, both)):
        mean, error = gap(a, b)
        assert mean > 3 * error


def test_direction_is_worth_nothing_where_there_is_none():
    """The control: baskets that do not follow from one another."""
    queries = setting(1, follow=0.0).next_basket
    both, later = (hits(fitted(1, name, 0.0), queries) for name in ("prod2vec", "directed"))
    mean, error = gap(later, both)
    assert mean < 3 * error


@pytest.mark.parametrize("seed", SEEDS)
def test_adding_the_noise_back_ranks_by_probability(seed):
    """E_i · O_j is how much more often than by chance, + log q_j how often."""
    queries, model = setting(seed).next_basket, fitted(seed, "prod2vec")
    prob = hits(model, queries)
    model.score = "pmi"
    pmi = hits(model, queries)
    model.score = "prob"
    print(f"pmi {pmi.mean():.3f}, prob {prob.mean():.3f}")
    mean, error = gap(prob, pmi)
    assert mean > 3 * error


@pytest.mark.parametrize("seed", SEEDS)
def test_bagged_finds_what_comes_next_and_plain_what_goes_along(seed):
    following, along = setting(seed).next_basket, setting(seed).same_basket
    plain, bagged, summed = (fitted(seed, name) for name in ("prod2vec", "bagged", "sum"))
    mean, error = gap(hits(bagged, following), hits(plain, following))
    assert mean > 3 * error
    mean, error = gap(hits(plain, along), hits(bagged, along))
    assert mean > 3 * error
    mean, error = gap(hits(bagged, following), hits(summed, following))
    print(f"product above the basket's sum by {mean:.3f} ± {error:.3f}")
    assert mean > 3 * error


@pytest.mark.parametrize("seed", SEEDS)
def test_clusters_cover_more_categories(seed):
    """Lists by cosine, as in the paper, shared out among as many clusters as the world has."""
    world, train, queries, _ = setting(seed)
    category = world.category[train.item_ids]
    model = Prod2Vec(score="cosine", variant="cluster", n_clusters=50).fit(train)
    shared = hits(model, queries).mean(), entropy_of_categories(model, queries, category)
    model.variant = "top-k"
    plain = hits(model, queries).mean(), entropy_of_categories(model, queries, category)
    print("hit rate, entropy: shared {:.3f} {:.2f}, plain {:.3f} {:.2f}".format(*shared, *plain))
    assert shared[1] > plain[1] + 0.1
    assert shared[0] > 0.95 * plain[0]


def test_rare_films_have_neighbours_of_their_genres(shared_data):
    """ML-100K, likes (4 and 5 stars) on films that five people like or more, over three splits.

    Agreement is the Jaccard coefficient of genres with the 8 nearest; rare: fewer than 20 likes.
    """
    folder = shared_data / "ml-100k"
    log = read_movielens(folder / "u.data")
    likes = log.select_events(log.value >= 4).drop_rare(5).drop_short(2)
    genres = {
        int(line.split("|")[0]): [int(g) for g in line.split("|")[5:]]
        for line in (folder / "u.item").read_text(encoding="latin-1").splitlines()
    }
    agreement, hit_rate = [], []
    for seed in SEEDS:
        rest, out = one_out(likes, np.random.default_rng(seed))
        labels = np.array([genres[raw] for raw in rest.item_ids.tolist()])
        rare = np.flatnonzero(rest.support() < 20)
        item2vec = Item2Vec(exact=True, epochs=200, seed=seed, score="pmi").fit(rest)
        unweighted = Item2Vec(exact=True, epochs=200, seed=seed, weighted=False).fit(rest)
        cosine, svd = CoOccurrence().fit(rest), TruncatedSVD(n_factors=40).fit(rest)
        agreement.append(
            [
                agreement_per_item(model, labels, 8, rare).mean()
                for model in (item2vec, unweighted, cosine, svd)
            ]
        )
        hit_rate.append(
            [held_out_item(m, rest, out, 10)["hit_rate@10"] for m in (item2vec, cosine)]
        )
    with np.printoptions(precision=3):
        print("rare:", np.array(agreement), "hit rate:", np.array(hit_rate), sep="\n")
    for item2vec, *others in agreement:
        assert item2vec > max(others) + 0.02
    for item2vec, cosine in hit_rate:
        assert item2vec > cosine
