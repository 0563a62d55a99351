"""User2Vec: lasting tastes that the last purchases do not show."""

from dataclasses import replace

import numpy as np
import pytest

from nnlib.data import Histories
from nnlib.data.basket_world import BasketWorld
from nnlib.models import Prod2Vec, User2Vec

WORLD = {
    "n_items": 600, "n_clusters": 20, "n_baskets": 12, "basket_size": 2, "lasting": 0.2,
    "concentration": 0.1,
}  # fmt: skip


def hidden_taste(seed, n_users=2500):
    """(training log, rows of users, their held-out last purchase, where it shows a hidden taste).

    Hidden: the purchase is of the user's lasting minority cluster, the two before it are not.
    """
    world, rng = BasketWorld(seed=seed, **WORLD), np.random.default_rng(seed + 100)
    tastes = world.tastes(n_users, rng)
    log = world.sample(n_users, rng, tastes)
    last = log.offsets[1:] - 1
    long = np.diff(log.offsets) >= 5
    kept = np.ones(log.n_events, bool)
    kept[last[long]] = False
    train = log.select_events(kept)
    lasting = world.cluster[log.item_ids[log.item]] == tastes.lasting[log.user_ids[log.user]]
    hidden = lasting[last] & ~lasting[last - 1] & ~lasting[last - 2]
    row = {raw: code for code, raw in enumerate(train.user_ids.tolist())}
    code = {raw: code for code, raw in enumerate(train.item_ids.tolist())}
    target = np.array([code.get(raw, -1) for raw in log.item_ids[log.item[last[long]]].tolist()])
    rows = np.array([row[raw] for raw in log.user_ids[long].tolist()])
    known = target >= 0
    return train, rows[known], target[known], hidden[long][known]


def hits(scores, target, k=20):
    """Whether the target is among the best k; of equal scores half are before it."""
    own = scores[np.arange(len(target)), target][:, None]
    before = (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
    return before < k


def hit_rates(seed):
    """HR@20 of each way to recommend, as (on hidden tastes, on all)."""
    train, rows, target, hidden = hidden_taste(seed)
    histories = train.histories().take(rows)
    last_two = replace(histories, start=np.maximum(histories.start, histories.stop - 2))
    prod2vec = Prod2Vec(window=2, directed=True, n_factors=20, seed=seed).fit(train)
    user2vec = User2Vec(seed=seed).fit(train)
    nobody = np.tile(user2vec.D_.mean(axis=0), (len(rows), 1))
    scores = {
        "prod2vec, last two": prod2vec.scores(last_two),
        "prod2vec, all": prod2vec.scores(histories),
        "user2vec": user2vec.scores_after(user2vec.D_[rows], histories),
        "user2vec, no user": user2vec.scores_after(nobody, histories),
    }
    found = {}
    for name, s in scores.items():
        hit = hits(s, target)
        found[name] = hit[hidden].mean(), hit.mean()
    inferred = user2vec.scores(histories.take(np.flatnonzero(hidden)))
    found["user2vec, inferred"] = hits(inferred, target[hidden]).mean(), np.nan
    return found


@pytest.mark.slow
def test_lasting_tastes():
    """Of purchases that the last two do not announce, user2vec finds more than prod2vec.

    prod2vec with the mean of the whole history for a query finds as many of them and more, but pays
    for it with the others; user2vec keeps what the last two purchases tell.  Without the user's
    vector the gain is gone.
    """
    found = [hit_rates(seed) for seed in range(3)]
    mean = {name: np.mean([f[name] for f in found], axis=0) for name in found[0]}
    for name, (hidden, overall) in mean.items():
        print(f"{name:20s} hidden {hidden:.3f}  all {overall:.3f}")
    for f in found:
        assert f["user2vec"][0] > f["prod2vec, last two"][0]
    assert mean["user2vec"][0] > mean["prod2vec, last two"][0] + 0.03
    assert mean["user2vec"][1] > mean["prod2vec, last two"][1] - 0.02
    assert mean["user2vec"][1] > mean["prod2vec, all"][1] + 0.03
    assert mean["user2vec"][0] > mean["user2vec, no user"][0] + 0.05
    assert mean["user2vec, inferred"][0] > mean["user2vec"][0] - 0.03


@pytest.fixture(scope="module")
def fitted():
    world = BasketWorld(**WORLD)
    log = world.sample(200, np.random.default_rng(0))
    return User2Vec(epochs=3).fit(log), log


def test_a_known_user_by_name(fitted):
    model, log = fitted
    user = log.user_ids[17]
    items = log.item_ids[log.histories().row(17)].tolist()
    history = Histories.from_offsets(log.histories().row(17), np.array([0, len(items)]))
    scores = model.scores_after(model.D_[[17]], history)[0]
    best = model.recommend_to(user, items, 5)
    assert [raw for raw, _ in best] == log.item_ids[np.argsort(-scores)[:5]].tolist()
    assert best == model.recommend_to(user, items[-2:], 5)  # the window
    seen = {raw for raw, _ in model.recommend_to(user, items, 10**6, exclude_seen=True)}
    assert seen == set(log.item_ids.tolist()) - set(items)
    assert best != model.recommend_to(log.user_ids[18], items, 5)
    with pytest.raises(ValueError, match="'nobody' is not in the training data"):
        model.recommend_to("nobody", items)


def test_scores_are_of_the_history_and_not_of_user_codes(fitted):
    model, log = fitted
    some = log.histories().take(np.arange(10))
    others = replace(some, user=some.user + 50)
    np.testing.assert_array_equal(model.scores(some), model.scores(others))


def test_cosine_of_the_taste(fitted):
    model, log = fitted
    cosine = replace(model, score="cosine").fit(log)
    best = cosine.recommend_to(log.user_ids[3], [], 1)[0]
    d, E = cosine.D_[3], cosine.E_
    s = E @ d / np.linalg.norm(E, axis=1) / np.linalg.norm(d)
    assert best[0] == log.item_ids[s.argmax()]
    assert best[1] == pytest.approx(s.max(), rel=1e-5)
