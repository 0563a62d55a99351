"""What factorizations and their baselines reach on MovieLens 100K, two seeds each."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from nnlib.data import Histories, by_event, by_session, one_out, read_movielens, within_users
from nnlib.metrics import agreement_per_item, evaluate_top_n, held_out_item, rating_rmse, rmse
from nnlib.models import (
    EASE,
    AsymmetricMF,
    CoOccurrence,
    ImplicitALS,
    MatrixFactorization,
    Popularity,
    TruncatedSVD,
)
from nnlib.models.base import Recommender

pytestmark = pytest.mark.slow
seeds = pytest.mark.parametrize("seed", [0, 1])
ALS = ImplicitALS(n_factors=16, alpha=10.0, l2=20.0)


@pytest.fixture(scope="module")
def ratings(shared_data):
    return read_movielens(shared_data / "ml-100k" / "u.data")


@pytest.fixture(scope="module")
def likes(ratings):
    return ratings.select_events(ratings.value >= 4)


@seeds
def test_top_n(likes, seed):
    train, test = within_users(likes, 0.2, np.random.default_rng(seed))
    models = {
        "popularity": Popularity(),
        "counts": CoOccurrence(normalize="none"),
        "cosine": CoOccurrence(neighbours=50),
        "svd": TruncatedSVD(n_factors=40),
        "als": ALS,
        "als by cg": replace(ALS, solver="cg"),
        "asymmetric": AsymmetricMF(),
        "ease": EASE(l2=200.0),
        "ratings": MatrixFactorization(),
    }
    found = {name: evaluate_top_n(m.fit(train), train, test) for name, m in models.items()}
    ndcg = {name: result["ndcg@10"] for name, result in found.items()}
    assert 0.14 < ndcg["popularity"] < 0.16
    assert ndcg["counts"] > ndcg["popularity"] + 0.04
    assert 0.26 < ndcg["cosine"] < 0.30
    assert ndcg["svd"] > 0.25
    assert ndcg["als"] >= 0.28
    assert ndcg["als"] > 1.5 * ndcg["popularity"]
    assert abs(ndcg["als by cg"] - ndcg["als"]) < 0.005
    assert ndcg["asymmetric"] > 0.95 * ndcg["als"]
    assert ndcg["ease"] >= 0.31
    better, error = found["ease"].difference(found["als"], "ndcg@10")
    assert better > 3 * error
    # A model of ratings says how an item would be rated, not which one will be chosen.
    assert ndcg["ratings"] < ndcg["popularity"]


@seeds
def test_als_depends_on_its_penalty(likes, seed):
    train, test = within_users(likes, 0.2, np.random.default_rng(seed))
    weak, strong = (
        evaluate_top_n(replace(ALS, l2=l2).fit(train), train, test) for l2 in (5.0, 20.0)
    )
    better, error = strong.difference(weak, "ndcg@10")
    assert better > 2 * error


@seeds
def test_ratings(ratings, seed):
    train, test = by_event(ratings, 0.1, np.random.default_rng(seed))
    mean = rmse(train.value.mean(), test.value)
    biases = rating_rmse(MatrixFactorization(n_factors=0, l2=5.0).fit(train), test)
    als = rating_rmse(MatrixFactorization(n_factors=16).fit(train), test)
    sgd = rating_rmse(MatrixFactorization(n_factors=16, solver="sgd", epochs=20).fit(train), test)
    assert 1.11 < mean < 1.135
    assert 0.925 < biases < 0.95
    assert als < biases - 0.02
    assert sgd < biases - 0.02


@dataclass(kw_only=True)
class WithoutVector(Recommender):
    """A model that has no vector of the users it is asked about."""

    of: Recommender

    def __post_init__(self):
        self.item_ids_ = self.of.item_ids_

    def scores(self, histories):
        return self.of.scores(Histories(histories.items, histories.start, histories.start))


@seeds
def test_new_users(likes, seed):
    """A fifth of the users, half of their likes known: not trained on, and trained on."""
    rng = np.random.default_rng(seed)
    others, them = by_session(likes, 0.2, rng)
    known, hidden = within_users(them, 0.5, rng)
    of_them = np.isin(likes.user_ids, them.user_ids)[likes.user]
    pair = likes.user * likes.n_items + likes.item
    user = {raw: m for m, raw in enumerate(likes.user_ids.tolist())}
    item = {raw: i for i, raw in enumerate(likes.item_ids.tolist())}
    kept = [
        user[u] * likes.n_items + item[i]
        for u, i in zip(known.user_ids[known.user], known.item_ids[known.item], strict=True)
    ]
    everyone = likes.select_events(~of_them | np.isin(pair, kept))

    ndcg = lambda model: evaluate_top_n(model, known, hidden)["ndcg@10"]
    popularity = ndcg(Popularity().fit(others))
    for model in (AsymmetricMF(), ALS):
        cold, warm = replace(model).fit(others), replace(model).fit(everyone)
        assert ndcg(cold) > 0.9 * ndcg(warm)
        assert ndcg(cold) > 1.3 * popularity
        assert ndcg(WithoutVector(of=cold)) == pytest.approx(popularity)


@seeds
def test_genres_of_neighbours_and_a_held_out_like(likes, shared_data, seed):
    """The baselines of item2vec's two tasks: genre agreement of the 8 nearest, and hit rate."""
    lines = (shared_data / "ml-100k" / "u.item").read_text("latin-1").splitlines()
    genres = {int(f[0]): [int(x) for x in f[5:]] for f in (line.split("|") for line in lines)}
    rest, held = one_out(likes.drop_rare(5).drop_short(2), np.random.default_rng(seed))
    labels = np.array([genres[i] for i in rest.item_ids.tolist()])
    rare = rest.support() < 20
    agreement, hit_rate = {}, {}
    for name, model in {
        "popularity": Popularity(),
        "counts": CoOccurrence(normalize="none"),
        "cosine": CoOccurrence(),
        "svd": TruncatedSVD(n_factors=40),
        "als": replace(ALS, n_factors=40),
    }.items():
        model.fit(rest)
        agreement[name] = agreement_per_item(model, labels, k=8)
        hit_rate[name] = held_out_item(model, rest, held, k=10)["hit_rate@10"]
    mean = {name: a.mean() for name, a in agreement.items()}
    assert mean["counts"] > mean["popularity"] + 0.05
    assert mean["cosine"] > mean["counts"] + 0.05
    assert abs(mean["svd"] - mean["cosine"]) < 0.02
    assert mean["als"] > mean["svd"]
    assert agreement["svd"][rare].mean() < agreement["svd"][~rare].mean() - 0.03
    assert hit_rate["popularity"] < hit_rate["counts"] < hit_rate["cosine"] < hit_rate["svd"]
