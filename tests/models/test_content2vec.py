"""Content2Vec: its stages, what it keeps, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from nnlib.check import check_gradients
from nnlib.data import Histories, Interactions
from nnlib.functional.activations import relu
from nnlib.layers import BagOfWords, Dense, FixedFeatures, Sequential
from nnlib.models import Content2Vec
from nnlib.models.embeddings.content2vec_network import Content2VecNetwork

N = 30


def log(seed=0, n_baskets=150):
    """Baskets of two from one of three groups of ten items; items 27 … 29 are never bought."""
    rng = np.random.default_rng(seed)
    group = rng.integers(3, size=n_baskets)
    items = np.array([10 * g + rng.permutation(7 if g == 2 else 10)[:2] for g in group])
    users = np.repeat(np.arange(n_baskets), 2)
    some = Interactions.from_arrays(users, items.ravel(), np.arange(items.size))
    return some.in_items_of(np.arange(N))[0]


def modules(seed=0):
    rng = np.random.default_rng(seed)
    words = np.repeat(np.arange(N) // 10, 2)  # every item is called after its group, twice
    text = Sequential(BagOfWords(words, np.arange(N + 1) * 2, 3, 4, rng=rng), Dense(4, 4, rng=rng))
    image = FixedFeatures(rng.normal(size=(N, 6)).astype(np.float32))
    return {"text": text, "image": Sequential(image, Dense(6, 3, rng=rng), relu)}


SMALL = Content2Vec(n_factors=4, n_hidden=5, epochs=3, pretrain_epochs=1, merge_epochs=1)


@pytest.mark.parametrize("n_hidden", [0, 5])
def test_gradients_of_the_whole_network(n_hidden):
    rng = np.random.default_rng(1)
    known = rng.random((N, 2)) < 0.7
    net = Content2VecNetwork(modules(), known, n_hidden=n_hidden, module_dropout=0.3, rng=rng)
    for p in net.parameters():
        p.value = rng.normal(0, 0.7, p.value.shape)
    left, right = rng.integers(N, size=4), rng.integers(N, size=(4, 3))  # items occur repeatedly
    right[0, 0] = left[0]

    def merged(right):
        return net.merged(net.modules, left, right, rng=np.random.default_rng(3))

    image = net.modules["image"].steps[0]
    image.features = image.features.astype(np.float64)
    used = [p for name, p in net.named_parameters() if not name.startswith("heads")]
    report = check_gradients(merged, right, params=used)
    assert report.passed, str(report)

    def alone(right):
        return net.alone("text", left, right)

    used = [p for name, p in net.named_parameters() if "text" in name]
    report = check_gradients(alone, right, params=used)
    assert report.passed, str(report)


def test_the_merge_starts_as_the_sum_of_the_modules():
    rng = np.random.default_rng(1)
    net = Content2VecNetwork(
        modules(), np.ones((N, 2), bool), n_hidden=5, module_dropout=0.5, rng=rng
    )
    for head, b in zip(net.heads.values(), (0.2, 0.6), strict=True):
        head.w.value[:], head.b.value[:] = rng.normal(), b
    net.start_merge()
    left, right = np.array([3, 4]), np.array([[7], [8]])
    alone = sum(net.alone(name, left, right)[0] for name in net.modules)
    for used in (net.modules, net.frozen()):
        together = net.merged(used, left, right)[0]
        np.testing.assert_allclose(together, alone - 0.8 + 0.4, rtol=1e-5)


def test_stages_touch_what_they_should():
    given = modules()
    train = log()
    before = [p.value.copy() for m in given.values() for p in m.parameters()]
    after = {
        stages: replace(
            SMALL, epochs=sum(stages), pretrain_epochs=stages[0], merge_epochs=stages[1]
        ).fit(train, given)
        for stages in [(1, 0, 0), (1, 2, 0), (1, 2, 1)]
    }
    for old, p in zip(before, (p for m in given.values() for p in m.parameters()), strict=True):
        np.testing.assert_array_equal(old, p.value)  # copies were trained
    pretrained, merged, tuned = (m.vectors_ for m in after.values())
    for name in ("cf", "text", "image"):
        np.testing.assert_array_equal(pretrained[name], merged[name])  # frozen
        assert not np.array_equal(merged[name], tuned[name])
    # a module's pretraining does not depend on the others
    alone = replace(SMALL, epochs=1, pretrain_epochs=1, merge_epochs=0, collaborative=False)
    alone.fit(train, {"text": given["text"]})
    np.testing.assert_array_equal(alone.vectors_["text"], pretrained["text"])


def test_the_merge_begins_where_pretraining_ended():
    pretrained = replace(SMALL, epochs=20, pretrain_epochs=20, merge_epochs=0)
    w = pretrained.fit(log(), modules()).merge_.ensemble.w.value
    assert abs(w - 1).min() > 0.1
    merged = replace(SMALL, epochs=21, pretrain_epochs=20, lr=pretrained.lr)
    moved = merged.fit(log(), modules()).merge_.ensemble.w.value - w
    assert 0 < abs(moved).max() < 1.01 * merged.lr  # one step of Adagrad


def test_items_never_bought_have_content_only():
    model = replace(SMALL, epochs=12, pretrain_epochs=10).fit(log(), modules())
    assert not model.vectors_["cf"][27:].any()
    assert model.vectors_["cf"][:27].any(axis=1).all()
    assert model.vectors_["text"].any(axis=1).all()
    best = [item for item, _ in model.similar_items(28, 9)]
    assert set(best) <= set(range(20, 30))  # its group, by its name alone
    assert {27, 29} & {i for i, _ in model.recommend([20, 21, 22], 10, exclude_seen=True)}
    assert np.isfinite(model.log_q_).all()


def test_pair_scores_are_symmetric_and_what_recommending_adds_up():
    model = replace(SMALL, score="pmi", decay=0.5).fit(log(), modules())
    S = model.pair_scores(np.arange(N))
    np.testing.assert_allclose(S, S.T, rtol=1e-4, atol=1e-5)
    history = Histories.from_offsets(np.array([4, 7, 4]), np.array([0, 3]))
    expected = (1 * S[4] + 2 * S[7] + 4 * S[4]) / 7
    np.testing.assert_allclose(model.scores(history)[0], expected, rtol=1e-5)
    prob = replace(model, score="prob")
    vars(prob).update({k: v for k, v in vars(model).items() if k.endswith("_")})
    np.testing.assert_allclose(prob.scores(history)[0], expected + model.log_q_, rtol=1e-5)


def test_a_file_holds_what_recommends(tmp_path):
    model = SMALL.fit(log(), modules())
    model.save(tmp_path / "model.safetensors")
    loaded = Content2Vec.load(tmp_path / "model.safetensors")
    assert list(loaded.vectors_) == ["cf", "text", "image"]
    np.testing.assert_array_equal(loaded.pair_scores(np.arange(N)), model.pair_scores(np.arange(N)))
    assert loaded.recommend([3, 12], 5) == model.recommend([3, 12], 5)
    assert not hasattr(loaded, "modules_")


def test_resuming_is_going_on(tmp_path):
    train, path = log(), tmp_path / "part.safetensors"
    whole = replace(SMALL, epochs=4).fit(train, modules())
    for epochs in (1, 2, 3):  # interrupted in every stage
        settings = replace(SMALL, epochs=max(epochs, 2))
        settings.epochs = epochs
        settings.fit(train, modules(), checkpoint=path, resume=True)
    again = replace(SMALL, epochs=4).fit(train, modules(), checkpoint=path, resume=True)
    assert again.losses_ == whole.losses_
    np.testing.assert_array_equal(again.pair_scores(np.arange(N)), whole.pair_scores(np.arange(N)))


def test_modules_that_are_none():
    train = log()
    with pytest.raises(ValueError, match="'bad' made"):
        SMALL.fit(train, {"bad": Sequential(lambda ids: (ids, lambda dy: None))})
    with pytest.raises(ValueError, match="there is no module"):
        replace(SMALL, collaborative=False).fit(train)
    with pytest.raises(ValueError, match="called 'cf' is made here"):
        SMALL.fit(train, {"cf": modules()["text"]})


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"epochs": 2, "pretrain_epochs": 2, "merge_epochs": 1}, "epochs=2 is less than"),
     ({"module_dropout": 1.0}, "module_dropout=1.0: it must be"),
     ({"n_hidden": -1}, "n_hidden=-1: it must be"), ({"score": "cosine"}, "score='cosine'"),
     ({"negatives": 0}, "negatives=0"), ({"decay": 0}, "decay=0"), ({"lr": 0.0}, "lr=0.0")],
)  # fmt: skip
def test_settings_out_of_range(setting, message):
    with pytest.raises(ValueError, match=message):
        Content2Vec(**setting)
