"""BaggedProd2Vec: pairs across baskets, the basket's sum, and gradients of that."""

import numpy as np
import pytest

from nnlib.check import assert_gradients
from nnlib.data import DataError, Histories, Interactions
from nnlib.data.baskets import baskets
from nnlib.models import BaggedProd2Vec
from nnlib.models.embeddings.bagged_prod2vec import BasketSums

BASKETS = [[[0, 1], [2], [3, 4, 1]], [[2, 0], [4]], [[1, 3]]]
EVENTS = [
    (user, item, time)
    for user, mine in enumerate(BASKETS)
    for time, basket in enumerate(mine)
    for item in basket
]
LOG = Interactions.from_arrays(*zip(*EVENTS, strict=True))  # items appear in order: codes are ids


def neighbours(reach, directed):
    for mine in BASKETS:
        for m, basket in enumerate(mine):
            for n, other in enumerate(mine):
                if 0 < (n - m if directed else abs(n - m)) <= reach:
                    yield basket, other


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("reach", [1, 2])
def test_items_predict_the_neighbouring_baskets(reach, directed):
    counts = np.zeros((5, 5))
    for basket, other in neighbours(reach, directed):
        for k in basket:
            for item in other:
                counts[k, item] += 1
    model = BaggedProd2Vec(reach=reach, directed=directed, batch_size=2)
    np.testing.assert_array_equal(model.counts(LOG), counts)
    assert model.n_pairs(LOG) == counts.sum()


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("reach", [1, 2])
def test_the_sum_of_a_basket_predicts_once(reach, directed):
    model = BaggedProd2Vec(reach=reach, directed=directed, basket="sum", batch_size=2)
    rows = baskets(LOG)
    got = [
        (tuple(rows.row(int(m)).tolist()), int(item))
        for centre, context in model.pairs(LOG)(np.random.default_rng(0))
        for m, item in zip(centre, context, strict=True)
    ]
    expected = [(tuple(b), item) for b, other in neighbours(reach, directed) for item in other]
    assert sorted(got) == sorted(expected)
    assert model.n_pairs(LOG) == len(expected)


def sums(rng):
    net = BasketSums(baskets(LOG), 5, 3, 2.0, rng=rng).astype(np.float64)
    for p in net.parameters():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    return net


@pytest.mark.parametrize("weight", [None, np.array([1, 0.5, 2, 3])])
def test_gradients_of_the_sum(weight):
    net, centre = sums(np.random.default_rng(0)), np.array([0, 2, 0, 3])
    context, noise = np.array([2, 2, 4, 1]), np.array([0, 2, 3, 1, 0])
    assert_gradients(lambda m: net(m, context, noise, weight), centre, params=net)


def test_the_sum_is_another_loss_than_the_product():
    net = sums(np.random.default_rng(1))
    E, O, noise = net.E.value, net.output.O.value, np.array([0, 3])
    sigma = lambda x: 1 / (1 + np.exp(-x))
    one = lambda h: -np.log(sigma(h @ O[2])) - np.log(sigma(-h @ O[noise].T)).sum()
    loss, _ = net(np.array([0]), np.array([2]), noise)  # basket (0, 1), then 2
    np.testing.assert_allclose(loss, one(E[0] + E[1]), rtol=1e-12)
    assert abs(loss - one(E[0]) - one(E[1])) > 0.1


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_what_a_history_is_worth(decay):
    history = Histories(np.array([0, 3, 1]), np.array([0, 0]), np.array([3, 0]))
    for basket in ("product", "sum"):
        model = BaggedProd2Vec(basket=basket, decay=decay, epochs=1, n_factors=4).fit(LOG)
        w = decay ** np.array([2, 1, 0])
        w = w / w.sum() if basket == "product" else w
        expected = np.stack([w @ model.E_[[0, 3, 1]] @ model.O_.T, np.zeros(5)]) + model.log_q_
        np.testing.assert_allclose(model.scores(history), expected, rtol=1e-4, atol=1e-5)


def test_no_basket_has_a_neighbour():
    log = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 6, 5], [0, 0, 0, 0])
    for basket in ("product", "sum"):
        with pytest.raises(DataError, match="no user has two baskets"):
            BaggedProd2Vec(basket=basket).fit(log)
    with pytest.raises(DataError, match="no user has two baskets"):
        BaggedProd2Vec(exact=True).fit(log)


@pytest.mark.parametrize(
    ("setting", "value"), [("reach", 0), ("basket", "mean"), ("subsample", 0.01)]
)
def test_bad_settings(setting, value):
    with pytest.raises(ValueError, match=f"{setting}={value!r}: "):
        BaggedProd2Vec(**{setting: value})


def test_exact_counts_no_sums():
    with pytest.raises(ValueError, match="exact=True"):
        BaggedProd2Vec(exact=True, basket="sum")
