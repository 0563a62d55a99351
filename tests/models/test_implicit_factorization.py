"""ImplicitALS and AsymmetricMF: losses over all cells, gradients, exact solves, new users."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from nnlib.check import check_contract, check_gradients
from nnlib.data import DataError, Histories, Interactions, by_session, within_users
from nnlib.metrics import evaluate_top_n
from nnlib.models import AsymmetricMF, ImplicitALS, Popularity
from nnlib.models.base import Recommender
from nnlib.models.embeddings.asymmetric_network import AsymmetricNetwork


def random_log(seed=0, n_users=30, n_items=12, n=200):
    """Repeated events included; every user has at least one event."""
    rng = np.random.default_rng(seed)
    user = np.concatenate([np.arange(n_users), rng.integers(n_users, size=n)])
    return Interactions.from_arrays(user, rng.integers(n_items, size=len(user)))


def taste_world(seed, n_users=400, n_items=150, n_groups=6):
    """Users with a mix of tastes, items of one taste each, popular and rare: a likes B often."""
    rng = np.random.default_rng(seed)
    group = rng.integers(n_groups, size=n_items)
    popularity = 1 / (1 + rng.permutation(n_items)) ** 0.6
    taste = rng.dirichlet(np.full(n_groups, 0.25), size=n_users)
    p = popularity * (taste[:, group] + 0.02)
    key = np.log(p) + rng.gumbel(size=p.shape)  # draws without replacement, in proportion to p
    size = rng.integers(8, 30, n_users)
    items = np.argsort(-key, axis=1)
    user = np.repeat(np.arange(n_users), size)
    return Interactions.from_arrays(
        user, np.concatenate([items[m, :s] for m, s in enumerate(size)])
    )


def counts(log):
    r = np.zeros((log.n_users, log.n_items))
    np.add.at(r, (log.user, log.item), 1)
    return r


def dense_loss(P, Q, r, alpha, l2):
    c, s = 1 + alpha * r, r > 0
    return 0.5 * (c * (s - P @ Q.T) ** 2).sum() + 0.5 * l2 * ((P**2).sum() + (Q**2).sum())


@pytest.mark.parametrize("solver", ["exact", "cg"])
def test_als_never_goes_up_and_its_loss_counts_every_cell(solver):
    log = random_log()
    model = ImplicitALS(n_factors=3, alpha=4.0, l2=1.5, epochs=12, solver=solver).fit(log)
    assert (np.diff(model.losses_) <= 1e-6 * model.losses_[0]).all()  # in float32
    r, Q = counts(log), model.Q_
    P = model.fold_in(log.histories())
    cells = (r > 0).sum()
    assert dense_loss(P, Q, r, 4.0, 1.5) / cells == pytest.approx(model.losses_[-1], rel=2e-3)
    # P is the minimum for this Q, user by user, from the dense definition.
    c, s = 1 + 4.0 * r, (r > 0).astype(float)
    for u in range(5):
        A = (Q.T * c[u]) @ Q + 1.5 * np.eye(3)
        np.testing.assert_allclose(P[u], np.linalg.solve(A, Q.T @ (c[u] * s[u])), rtol=1e-4)


def test_conjugate_gradients_end_where_exact_solves_do():
    log = random_log()
    exact, cg = (ImplicitALS(n_factors=3, epochs=60, solver=s).fit(log) for s in ("exact", "cg"))
    assert cg.losses_[-1] == pytest.approx(exact.losses_[-1], rel=1e-5)


def test_values_can_be_the_counts():
    log = random_log()
    once = ImplicitALS(n_factors=3, epochs=4).fit(log)
    key, place = np.unique(log.user * log.n_items + log.item, return_inverse=True)
    user, item = np.divmod(key, log.n_items)
    summed = Interactions(
        user, item, np.arange(len(key)), log.user_ids, log.item_ids, np.bincount(place) * 1.0
    )
    by_value = ImplicitALS(n_factors=3, epochs=4, counts="value").fit(summed)
    np.testing.assert_allclose(by_value.Q_, once.Q_, atol=1e-5)
    with pytest.raises(DataError, match="needs a value column"):
        ImplicitALS(counts="value").fit(log)
    for bad in (-1.0, np.nan, np.inf):
        value = np.append(np.ones(log.n_events - 1), bad)
        with pytest.raises(DataError, match=f"the value of event {log.n_events - 1} is {bad}"):
            ImplicitALS(counts="value").fit(replace(log, value=value))
    with pytest.raises(DataError, match="all values are 0"):
        ImplicitALS(counts="value").fit(replace(log, value=np.zeros(log.n_events)))


def asymmetric(seed=0, N=7, D=3, alpha=2.5, exponent=0.6):
    rng = np.random.default_rng(seed)
    net = AsymmetricNetwork(N, D, alpha=alpha, exponent=exponent, rng=rng)
    for p in net.parameters():
        p.value = rng.normal(size=p.value.shape)
    return net, np.array([0, 3, 6, 1, 3, 0, 1, 2, 5]), np.array([0, 3, 5, 9])


def test_gradients_of_the_asymmetric_network():
    net, items, offsets = asymmetric()
    report = check_gradients(net, items, offsets, params=net)
    assert report.passed, str(report)
    for dtype in (np.float64, np.float32):
        assert check_contract(net, items, offsets, params=net, dtype=dtype) == []


def test_the_asymmetric_loss_cell_by_cell():
    net, items, offsets = asymmetric()
    X, Q = net.X.value, net.Q.value
    total = 0.0
    for u in range(3):
        has = items[offsets[u] : offsets[u + 1]].tolist()
        for j in range(len(Q)):
            others = [i for i in has if i != j]
            P = len(others) ** -0.6 * X[others].sum(axis=0)  # the user without j
            error = (j in has) - P @ Q[j]
            total += 0.5 * (3.5 if j in has else 1) * error**2
    assert net(items, offsets)[0] == pytest.approx(total / 3)


def test_asymmetric_scores_leave_the_item_itself_out():
    log = random_log()
    model = AsymmetricMF(n_factors=3, epochs=2).fit(log)
    history = np.array([4, 4, 1, 7])
    scores = model.scores(Histories.from_offsets(history, np.array([0, 4])))[0]
    for j in range(log.n_items):
        others = [i for i in (1, 4, 7) if i != j]
        expected = len(others) ** -0.5 * model.X_[others].sum(axis=0) @ model.Q_[j]
        assert scores[j] == pytest.approx(expected)


MODELS = [ImplicitALS(n_factors=8, l2=20.0), AsymmetricMF(l2=20.0, epochs=20)]
by_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)


@by_model
def test_much_better_than_popularity(model):
    for seed in (0, 1):
        train, test = within_users(taste_world(seed), 0.2, np.random.default_rng(seed))
        found = evaluate_top_n(model.fit(train), train, test, k=10)["ndcg@10"]
        popularity = evaluate_top_n(Popularity().fit(train), train, test, k=10)["ndcg@10"]
        assert found > 1.5 * popularity


@dataclass(kw_only=True)
class WithoutVector(Recommender):
    """A model that has no vector of the users it is asked about."""

    of: Recommender

    def __post_init__(self):
        self.item_ids_ = self.of.item_ids_

    def scores(self, histories):
        return self.of.scores(Histories(histories.items, histories.start, histories.start))


def new_and_warm_users(log, model, seed):
    """NDCG@10 of the same users, half of their events known: not trained on, and trained on."""
    rng = np.random.default_rng(seed)
    others, them = by_session(log, 0.2, rng)
    known, hidden = within_users(them, 0.5, rng)
    everyone = log.select_events(~np.isin(log.time, hidden.time))  # times number the events
    cold, warm = replace(model).fit(others), replace(model).fit(everyone)
    return (
        evaluate_top_n(cold, known, hidden, k=10),
        evaluate_top_n(warm, known, hidden, k=10),
        evaluate_top_n(WithoutVector(of=cold), known, hidden, k=10),
        evaluate_top_n(Popularity().fit(others), known, hidden, k=10),
    )


@by_model
def test_new_users_need_no_training(model):
    cold, warm, without, popularity = new_and_warm_users(taste_world(2), model, 0)
    assert cold["ndcg@10"] > 0.9 * warm["ndcg@10"]
    assert without["ndcg@10"] == popularity["ndcg@10"]
    assert cold["ndcg@10"] > 1.3 * popularity["ndcg@10"]


@by_model
def test_resume_is_the_same(model, tmp_path):
    log, kept = random_log(), tmp_path / "checkpoint"
    model = replace(model, epochs=4, n_factors=3)
    replace(model, epochs=2).fit(log, checkpoint=kept)
    resumed = replace(model).fit(log, checkpoint=kept, resume=True)
    model.fit(log)
    np.testing.assert_array_equal(resumed.Q_, model.Q_)
    assert resumed.losses_ == model.losses_


@pytest.mark.parametrize(
    ("cls", "change"),
    [
        (ImplicitALS, {"n_factors": 0}),
        (ImplicitALS, {"alpha": -1.0}),
        (ImplicitALS, {"l2": 0.0}),
        (ImplicitALS, {"solver": "lu"}),
        (ImplicitALS, {"counts": "ratings"}),
        (AsymmetricMF, {"exponent": float("nan")}),
        (AsymmetricMF, {"batch_size": 0}),
        (AsymmetricMF, {"lr": 0.0}),
        (AsymmetricMF, {"epochs": 2.5}),
    ],
)
def test_bad_settings(cls, change):
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}: it must be"):
        cls(**change)
