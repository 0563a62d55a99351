"""MetaProd2Vec: five losses against loops, λ = 0, items without events, and bad input."""

from dataclasses import replace

import numpy as np
import pytest

from nnlib.check import check_gradients
from nnlib.data import Histories, Interactions
from nnlib.models import MetaProd2Vec, Prod2Vec
from nnlib.models.embeddings.meta_pairs import MetaNoise, MetaPairVectors
from nnlib.models.embeddings.meta_prod2vec import encode_metadata

LAMBDAS = (1.0, 0.7, 0.4, 0.3, 0.2)
V, M, D, K, S = 6, 3, 4, 2.0, 5


def network(weights=LAMBDAS, l2=0.3, meta=(0, 1, 2, 0, -1, 1)):
    rng = np.random.default_rng(0)
    net = MetaPairVectors(np.array(meta), M, D, K, weights=weights, l2=l2, rng=rng)
    for p in net.parameters():
        p.value = rng.normal(0, 0.7, p.value.shape)
    return net


def batch(rng):
    centre, context = rng.integers(V, size=(2, 8))
    centre[:2], context[:2] = (4, 4), (4, 1)  # without metadata, with itself
    negatives = np.concatenate([rng.integers(V, size=S), V + rng.integers(M, size=S)])
    negatives[0] = context[2]  # is skipped there
    return centre, context, negatives


@pytest.mark.parametrize("weights", [LAMBDAS, (0.0, 0.0, 0.0, 1.0, 0.0), (1.0,) + (0.0,) * 4])
def test_gradients(weights):
    rng = np.random.default_rng(1)
    net, weight = network(weights), rng.random(8)
    centre, context, negatives = batch(rng)

    f = lambda centre: net(centre, context, negatives, weight)
    report = check_gradients(f, centre, params=net)
    assert report.passed, str(report)


def test_the_five_losses_one_pair_at_a_time():
    rng = np.random.default_rng(2)
    meta, net = np.array([0, 1, 2, 0, -1, 1]), network()
    E, O = net.E.value, net.output.O.value
    centre, context, negatives = batch(rng)

    def term(a, b, noise):
        softplus = lambda x: np.log1p(np.exp(x))
        others = [softplus(E[a] @ O[n]) for n in noise if n != b]
        return softplus(-E[a] @ O[b]) + K / S * sum(others)

    total = 0.0
    items, metas = negatives[:S], negatives[S:]
    for i, j in zip(centre, context, strict=True):
        total += LAMBDAS[0] * term(i, j, items)
        total += 0.3 / 2 * (E[i] @ E[i] + O[j] @ O[j])
        if meta[j] >= 0:
            total += LAMBDAS[1] * term(i, V + meta[j], metas)
        if meta[i] >= 0:
            total += LAMBDAS[2] * term(V + meta[i], j, items)
            total += LAMBDAS[4] * term(V + meta[i], i, items)  # the item itself, not j
        if meta[i] >= 0 and meta[j] >= 0:
            total += LAMBDAS[3] * term(V + meta[i], V + meta[j], metas)
    np.testing.assert_allclose(net(centre, context, negatives)[0], total / len(centre))


def test_noise_is_of_the_right_kind_and_leaves_the_items_alone():
    support, meta_support = np.array([5, 1, 0, 2]), np.array([6, 0, 2])
    noise = MetaNoise(support, meta_support, 0.75)
    plain = super(MetaNoise, noise)
    drawn = noise.stream(np.random.default_rng(3), 50, cache=100)
    items = plain.stream(np.random.default_rng(3), 50, cache=100)
    seen = np.zeros(7, int)
    for _ in range(20):
        both = next(drawn)
        np.testing.assert_array_equal(both[:50], next(items))
        assert (both[50:] >= 4).all()
        seen += np.bincount(both, minlength=7)
    np.testing.assert_array_equal(seen == 0, [False, False, True, False, False, True, False])


def log(seed=0, n_users=120):
    """Users buy items of one of two groups of six; items 5 and 11 are never bought."""
    rng = np.random.default_rng(seed)
    group = rng.integers(2, size=n_users)
    items = np.array([6 * g + rng.permutation(5)[:4] for g in group])
    users = np.repeat(np.arange(n_users), 4)
    some = Interactions.from_arrays(users, items.ravel(), np.arange(items.size))
    return some.in_items_of(np.arange(12))[0]


BRANDS = {item: "left" if item < 6 else "right" for item in range(12)}
SMALL = MetaProd2Vec(n_factors=6, window=2, epochs=3, batch_size=64)


def bought_only(train):
    return train.select_events(np.ones(train.n_events, bool))


@pytest.mark.parametrize("metadata", [None, BRANDS, {3: 1}])
def test_without_the_four_losses_it_is_prod2vec_bit_for_bit(metadata):
    train = bought_only(log())
    settings = {"n_factors": 6, "window": 2, "epochs": 3, "dynamic": True, "subsample": 0.05}
    prod2vec = Prod2Vec(**settings).fit(train)
    for weights in (0.0, (1.0, 0.0, 0.0, 0.0, 0.0)):
        meta = MetaProd2Vec(**settings, weights=weights).fit(train, metadata)
        assert meta.losses_ == prod2vec.losses_
        for name, array in prod2vec.arrays().items():
            np.testing.assert_array_equal(meta.arrays()[name], array, err_msg=name)
    none_known = MetaProd2Vec(**settings).fit(train)
    np.testing.assert_array_equal(none_known.E_, prod2vec.E_)


def test_an_item_without_events_is_its_metadata():
    model = replace(SMALL, epochs=8, lr=0.1).fit(log(), BRANDS)
    assert model.meta_ids_ == ["left", "right"]
    for item, value in ((5, 0), (11, 1)):
        np.testing.assert_array_equal(model.E_[item], model.E_meta_[value])
        np.testing.assert_array_equal(model.O_[item], model.O_meta_[value])
    assert not np.array_equal(model.E_[0], model.E_meta_[0])
    assert {item for item, _ in model.similar_items(5, 5)} == {0, 1, 2, 3, 4}
    assert {item for item, _ in model.recommend([11], 5, exclude_seen=True)} == {6, 7, 8, 9, 10}
    assert np.isfinite(model.scores(Histories.from_offsets(np.array([5, 0]), np.arange(3)))).all()


def test_items_and_metadata_share_a_space():
    model = replace(SMALL, epochs=8, lr=0.1).fit(log(), BRANDS)
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
    cosine = unit(model.E_) @ unit(model.E_meta_).T
    own = np.repeat([0, 1], 6)
    assert (cosine.argmax(axis=1) == own).all()


def test_l2_pulls_towards_zero():
    train = log()
    size = [np.abs(replace(SMALL, l2=l2).fit(train, BRANDS).E_).mean() for l2 in (0.0, 0.1, 1.0)]
    assert size[0] > size[1] > size[2]


def test_a_file_keeps_the_metadata(tmp_path):
    path = tmp_path / "model.safetensors"
    for metadata in (BRANDS, {0: 7, 6: np.int64(8)}, None):
        model = replace(SMALL, weights=LAMBDAS).fit(log(), metadata)
        model.save(path)
        loaded = MetaProd2Vec.load(path)
        assert loaded.meta_ids_ == model.meta_ids_
        assert loaded.settings() == model.settings()
        np.testing.assert_array_equal(loaded.E_meta_, model.E_meta_)


def test_resuming_is_going_on_and_needs_the_same_metadata(tmp_path):
    train, path = log(), tmp_path / "part.safetensors"
    whole = SMALL.fit(train, BRANDS).E_
    replace(SMALL, epochs=1).fit(train, BRANDS, checkpoint=path)
    other = {**BRANDS, 0: "right"}
    with pytest.raises(ValueError, match="other training data"):
        replace(SMALL).fit(train, other, checkpoint=path, resume=True)
    resumed = replace(SMALL).fit(train, BRANDS, checkpoint=path, resume=True)
    np.testing.assert_array_equal(resumed.E_, whole)


def test_metadata_by_raw_id():
    ids = np.array(["a", "b", "c"], object)
    meta, values = encode_metadata(ids, {"c": "x", "a": 5, "z": "y", "b": None})
    assert (meta.tolist(), values) == ([0, -1, 1], [5, "x"])
    with pytest.raises(ValueError, match=r"none of the 3 items.*'a', its keys like 1"):
        encode_metadata(ids, {1: "x"})
    with pytest.raises(ValueError, match=r"item 'b' is 1.5: give an integer or text"):
        encode_metadata(ids, {"b": 1.5})


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"weights": (1.0, 2.0)}, "weights=.*a tuple of 5"), ({"weights": -1.0}, "weights=-1.0"),
     ({"weights": (0.0,) * 5}, "at least one must be above 0"), ({"weights": float("nan")}, "nan"),
     ({"l2": -0.1}, "l2=-0.1: it must be"), ({"exact": True}, "exact=True"),
     ({"window": 0}, "window=0")],
)  # fmt: skip
def test_settings_out_of_range(setting, message):
    with pytest.raises(ValueError, match=message):
        MetaProd2Vec(**setting)


def test_nothing_to_learn():
    model = replace(SMALL, weights=(0.0, 1.0, 1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="no metadata: nothing is to be learned"):
        model.fit(log())
