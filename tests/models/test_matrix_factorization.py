"""Explicit factorization: gradients, both solvers, what the vectors mean, new users."""

from dataclasses import replace

import numpy as np
import pytest

from nnlib.check import check_contract, check_gradients
from nnlib.data import DataError, Histories, Interactions, by_event
from nnlib.metrics import rating_rmse, rmse
from nnlib.models import MatrixFactorization
from nnlib.models.embeddings.rating_network import RatingNetwork


def ratings(seed=0, n_users=150, n_items=80, n=4000, rank=3, noise=0.4):
    """Ratings of a known model: mean, biases and products of vectors, with noise."""
    rng = np.random.default_rng(seed)
    P, Q = rng.normal(0, 0.7, (n_users, rank)), rng.normal(0, 0.7, (n_items, rank))
    b_u, b_i = rng.normal(0, 0.4, n_users), rng.normal(0, 0.5, n_items)
    cell = rng.choice(n_users * n_items, n, replace=False)
    u, i = np.divmod(cell, n_items)
    value = 3.5 + b_u[u] + b_i[i] + (P[u] * Q[i]).sum(axis=1) + noise * rng.normal(size=n)
    names = np.array([f"film {j}" for j in range(n_items)], object)
    return Interactions.from_arrays(u, names[i], value=value)


def objective(model, log):
    error = log.value - model.predict(log.user_ids[log.user], log.item_ids[log.item])
    tables = (model.P_, model.Q_, model.user_bias_, model.item_bias_)
    return 0.5 * (error**2).sum() + 0.5 * model.l2 * sum((t**2).sum() for t in tables)


def test_gradients_of_the_network():
    rng = np.random.default_rng(0)
    net = RatingNetwork(np.array([3, 1, 2, 0]), np.array([2, 2, 1, 1, 0]), 3, 3.5, rng=rng)
    for p in net.parameters():
        p.value = rng.normal(size=p.value.shape)
    users, items = np.array([0, 2, 0, 1, 2]), np.array([4, 1, 4, 0, 3])  # (0, 4) comes twice
    report = check_gradients(net, users, items, params=net)
    assert report.passed, str(report)
    for dtype in (np.float64, np.float32):
        assert check_contract(net, users, items, params=net, dtype=dtype) == []


def test_the_penalty_of_all_ratings_is_that_of_the_tables():
    log = ratings(n=500)
    net = RatingNetwork(np.diff(log.offsets), log.support(), 2, 0.0, rng=np.random.default_rng(0))
    (_, penalty), _ = net(log.user, log.item)
    whole = sum((p.value**2).sum() for p in net.parameters())
    assert penalty.sum() == pytest.approx(0.5 * whole)


def test_alternating_least_squares_never_goes_up_and_ends_at_a_minimum():
    log = ratings()
    model = MatrixFactorization(n_factors=3, l2=2.0, epochs=40).fit(log)
    assert (np.diff(model.losses_) <= 1e-12).all()
    assert model.losses_[-1] == pytest.approx(objective(model, log) / log.n_events)
    # No gradient is left: that of the loss summed over all ratings.
    net = RatingNetwork(
        np.diff(log.offsets), log.support(), 3, float(model.mean_), rng=np.random.default_rng(0)
    )
    net.P.value, net.Q.value = model.P_, model.Q_
    net.user_bias.value, net.item_bias.value = model.user_bias_, model.item_bias_
    (rating, _), backward = net(log.user, log.item)
    backward(rating - log.value, np.full(log.n_events, model.l2))
    for p in net.parameters():
        assert np.abs(p.dense_grad()).max() < 0.05 * np.abs(model.l2 * p.value).max()


def test_sgd_and_als_reach_the_same_objective():
    log = ratings()
    als = MatrixFactorization(n_factors=3, l2=2.0, epochs=60).fit(log)
    sgd = MatrixFactorization(
        n_factors=3, l2=2.0, epochs=60, solver="sgd", lr=0.02, batch_size=32
    ).fit(log)
    assert objective(sgd, log) == pytest.approx(objective(als, log), rel=0.02)


def test_factors_beat_biases_beat_the_mean():
    train, test = by_event(ratings(), 0.1, np.random.default_rng(0))
    biases = MatrixFactorization(n_factors=0, l2=2.0).fit(train)
    factors = MatrixFactorization(n_factors=3, l2=2.0).fit(train)
    assert rmse(train.value.mean(), test.value) > rating_rmse(biases, test) + 0.1
    assert rating_rmse(biases, test) > rating_rmse(factors, test) + 0.1
    assert 0.4 < rating_rmse(factors, test) < 0.55  # the noise has 0.4


def cosines(table):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    return unit @ unit.T


def test_vectors_are_determined_up_to_an_invertible_matrix():
    """P A and Q A⁻ᵀ predict the same; the neighbours of an item are others."""
    log = ratings()
    model = MatrixFactorization(n_factors=3, l2=2.0).fit(log)
    users, items = log.user_ids[log.user], log.item_ids[log.item]
    before, near = model.predict(users, items), cosines(model.Q_)
    P, Q = model.P_, model.Q_

    A = np.diag([20.0, 1.0, 0.05]) @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    model.P_, model.Q_ = P @ A, Q @ np.linalg.inv(A).T
    np.testing.assert_allclose(model.predict(users, items), before, atol=1e-10)
    assert np.abs(cosines(model.Q_) - near).max() > 0.5
    first = lambda c: (c - 2 * np.eye(len(c))).argmax(axis=1)
    assert (first(cosines(model.Q_)) != first(near)).mean() > 0.3
    penalty = lambda P, Q: (P**2).sum() + (Q**2).sum()
    assert penalty(model.P_, model.Q_) > 2 * penalty(P, Q)  # which λ therefore forbids

    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    model.P_, model.Q_ = P @ rotation, Q @ np.linalg.inv(rotation).T
    np.testing.assert_allclose(cosines(model.Q_), near, atol=1e-10)
    assert penalty(model.P_, model.Q_) == pytest.approx(penalty(P, Q))


def test_liking_is_a_product_and_not_a_likeness():
    """The item most similar to the user's vector is seldom the one that he is predicted to like."""
    model = MatrixFactorization(n_factors=3, l2=2.0).fit(ratings())
    products = model.P_ @ model.Q_.T
    likeness = products / np.linalg.norm(model.Q_, axis=1)
    assert (products.argmax(axis=1) != likeness.argmax(axis=1)).mean() > 0.5


def test_predict_uses_what_is_known():
    model = MatrixFactorization(n_factors=3, l2=2.0).fit(ratings())
    mean, b_u, b_i = model.mean_, model.user_bias_[0], model.item_bias_[2]
    user, item = model.user_ids_[0], model.item_ids_[2]
    found = model.predict([user, user, "nobody", "nobody"], [item, "no film", item, "no film"])
    product = model.P_[0] @ model.Q_[2]
    np.testing.assert_allclose(found, [mean + b_u + b_i + product, mean + b_u, mean + b_i, mean])
    with pytest.raises(ValueError, match="1 users and 2 items"):
        model.predict([1], [2, 3])


def test_a_history_is_folded_in():
    log = ratings()
    model = MatrixFactorization(n_factors=3, l2=2.0, liked=5.0).fit(log)
    items = np.array([4, 7, 9, 30])
    user = model.fold_in(Histories.from_offsets(items, np.array([0, 0, 4])))
    assert not user[0].any()
    P, b = user[1, :-1], user[1, -1]
    error = 5.0 - model.mean_ - model.item_bias_[items] - model.Q_[items] @ P - b
    np.testing.assert_allclose(error @ model.Q_[items], model.l2 * P)  # the gradient is 0
    assert error.sum() == pytest.approx(model.l2 * b)
    scores = model.scores(Histories.from_offsets(items, np.array([0, 0, 4])))
    np.testing.assert_allclose(scores[0], model.mean_ + model.item_bias_)
    highest = replace(model, liked=None).fit(log)
    assert float(highest.highest_) == log.value.max()


def test_save_load_and_resume(tmp_path):
    log = ratings(n=600)
    text = Interactions.from_arrays(
        [f"user {m}" for m in log.user.tolist()], log.item, value=log.value
    )
    for solver in ("als", "sgd"):
        for given in (log, text):
            model = MatrixFactorization(n_factors=2, epochs=3, solver=solver).fit(given)
            model.save(tmp_path / "mf")
            loaded = MatrixFactorization.load(tmp_path / "mf")
            pairs = given.user_ids[given.user], given.item_ids[given.item]
            np.testing.assert_array_equal(loaded.predict(*pairs), model.predict(*pairs))
            assert loaded.losses_ == model.losses_
        kept = tmp_path / f"{solver}.checkpoint"
        replace(model, epochs=1).fit(text, checkpoint=kept)
        resumed = replace(model, epochs=3).fit(text, checkpoint=kept, resume=True)
        np.testing.assert_array_equal(resumed.P_, model.P_)
        assert resumed.losses_ == model.losses_


def test_bad_ratings_and_settings():
    log = ratings(n=300)
    with pytest.raises(DataError, match="no ratings: name their column"):
        MatrixFactorization().fit(replace(log, value=None))
    value = log.value.copy()
    value[7] = np.nan
    with pytest.raises(DataError, match=r"the rating of item 'film \d+' by user \d+ is nan"):
        MatrixFactorization().fit(replace(log, value=value))
    for change, message in (
        ({"n_factors": -1}, "n_factors=-1"),
        ({"solver": "newton"}, "solver='newton'"),
        ({"l2": 0.0}, "l2=0.0"),
        ({"lr": float("inf")}, "lr=inf"),
        ({"epochs": 0}, "epochs=0"),
        ({"liked": float("nan")}, "liked=nan"),
    ):
        with pytest.raises(ValueError, match=message):
            MatrixFactorization(**change)
