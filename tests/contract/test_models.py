"""What every recommender promises, tested on every class below `nnlib.models`."""

import importlib
import inspect
import pkgutil
import warnings
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from functools import cache

import numpy as np
import pytest

import nnlib.models
from nnlib.array import gpu_problem
from nnlib.compiled import compiled_kernels
from nnlib.data import DataError, Histories, Interactions
from nnlib.data.synthetic import HMMClicks
from nnlib.metrics import evaluate
from nnlib.metrics.ranking import rank_bounds
from nnlib.models import load_model
from nnlib.models.base import NotFittedError, Recommender

WORLD = HMMClicks()


@cache
def world():
    """A training and a test log of the default generator; ratings by chance, for who needs them."""
    rng = np.random.default_rng(0)
    return tuple(rated(WORLD.sample(n, rng)) for n in (2500, 300))


def rated(log):
    return replace(log, value=np.random.default_rng(1).integers(1, 6, log.n_events).astype(float))


# How each model is made here, and by how much its recall@20 must beat Popularity's on that world.
CASES = {
    "Popularity": ({}, 0.0),
    "SessionPopularity": ({}, 0.05),
    "ItemKNN": ({}, 0.05),
    "Markov": ({}, 0.05),
    "SessionKNN": ({}, 0.1),
    "VSKNN": ({}, 0.1),
    "BayesCeiling": ({"world": WORLD}, 0.25),
    "Item2Vec": ({"epochs": 5, "n_factors": 24}, 0.15),
    "Prod2Vec": ({"variant": "cluster", "n_factors": 24, "epochs": 8}, 0.1),
    "BaggedProd2Vec": ({"basket": "sum", "n_factors": 24, "reach": 2}, 0.1),
    "MetaProd2Vec": ({"n_factors": 24, "epochs": 4, "weights": (1.0, 0.5, 0.5, 0.0, 1.0)}, 0.15),
    "Content2Vec": (
        {"n_factors": 24, "n_hidden": 8, "epochs": 3, "pretrain_epochs": 1, "merge_epochs": 1},
        0.15,
    ),
    "ParagraphVectors": (
        {"mode": "dm-concat", "output": "hierarchical-softmax", "n_factors": 24, "window": 2,
         "directed": True, "epochs": 8},
        0.1,
    ),
    "User2Vec": ({"epochs": 10}, 0.1),
    "CoOccurrence": ({}, 0.1),
    "TruncatedSVD": ({"n_factors": 24}, 0.2),
    "Word2Vec": ({"epochs": 10, "n_factors": 24, "lr": 0.1, "dynamic": False}, 0.1),
    "EASE": ({"l2": 100.0}, 0.1),
    "ImplicitALS": ({"n_factors": 24, "epochs": 5}, 0.2),
    "AsymmetricMF": ({"n_factors": 24, "epochs": 8}, 0.15),
    "MatrixFactorization": ({"n_factors": 4, "epochs": 3}, -1.0),  # ratings here are chance
    "GRU4Rec": (
        {"hidden": (48,), "n_sample": 64, "batch_size": 16, "epochs": 5, "lr": 0.1, "seed": 1,
         "sample_alpha": 0.0, "dropout_hidden": 0.2, "embedding": None},
        0.05,
    ),
    "PrefixGRU4Rec": (
        {"hidden": (32,), "n_sample": 64, "batch_size": 32, "epochs": 1, "lr": 0.1,
         "sample_alpha": 0.0, "embedding": None, "drop_items": 0.1},
        0.1,
    ),
    "DistilledGRU4Rec": (
        {"hidden": (24,), "n_sample": 64, "batch_size": 32, "epochs": 1, "lr": 0.1,
         "sample_alpha": 0.0, "embedding": None},
        0.1,
    ),
    "CosineGRU4Rec": (
        {"hidden": (24,), "n_sample": 64, "batch_size": 32, "epochs": 1, "lr": 0.1,
         "sample_alpha": 0.0, "table_epochs": 1},
        0.05,
    ),
    "ReLeVar": (
        {"hidden": (48,), "n_latent": 24, "n_sample": 64, "batch_size": 16, "epochs": 2, "lr": 0.1,
         "sample_alpha": 0.0, "embedding": None},
        0.1,
    ),
}  # fmt: skip
names = pytest.mark.parametrize("name", sorted(CASES))


def make(name):
    return getattr(nnlib.models, name)(**CASES[name][0])


@cache
def fitted(name):
    return make(name).fit(world()[0])


def test_every_model_has_a_case():
    found = set()
    for module in pkgutil.walk_packages(nnlib.models.__path__, "nnlib.models."):
        members = vars(importlib.import_module(module.name)).values()
        found |= {m.__name__ for m in members if inspect.isclass(m) and issubclass(m, Recommender)}
    assert found - {"Recommender", "ItemVectors", "PairModel", "WarmStart"} == CASES.keys()


@names
def test_constructor_stores_settings_verbatim(name):
    model, (settings, _) = make(name), CASES[name]
    assert is_dataclass(model)
    assert all(f.kw_only for f in fields(model))
    for key, value in settings.items():
        assert getattr(model, key) is value
    assert replace(model) == model
    assert [key for key in vars(model) if key.endswith("_")] == []


@names
def test_scores_are_whole_finite_and_repeatable(name):
    model, histories = fitted(name), world()[1].in_items_of(world()[0].item_ids)[0].histories()
    some = histories.take(np.arange(40))
    scores = model.scores(some)
    assert scores.shape == (40, world()[0].n_items)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, model.scores(some))
    backwards = model.scores(some.take(np.arange(40)[::-1]))
    np.testing.assert_allclose(backwards[::-1], scores, rtol=1e-5, atol=1e-6)


@names
def test_fit_returns_self_and_forgets(name):
    log = world()[0]
    model = make(name)
    other = rated(Interactions.from_arrays([1, 1, 2, 2], [5, 6, 6, 5], [0, 1, 2, 3]))
    if name != "BayesCeiling":  # its items are the generator's
        model.fit(other)
    assert model.fit(log) is model
    some = Histories.from_offsets(np.array([3, 1, 2]), np.array([0, 3]))
    np.testing.assert_array_equal(model.scores(some), fitted(name).scores(some))


@names
def test_an_empty_history_has_scores(name):
    scores = fitted(name).scores(Histories(np.array([], int), np.array([0]), np.array([0])))
    assert scores.shape == (1, world()[0].n_items)
    assert np.isfinite(scores).all()


@names
def test_walk_is_scores_of_all_prefixes(name):
    model = fitted(name)
    sessions = world()[1].in_items_of(world()[0].item_ids)[0].histories().take(np.arange(12))
    points = set()
    for row, at, scores in model.walk(sessions, block=7):
        assert len(row) <= 7
        expected = model.scores(sessions.prefixes(row, at))
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
        points |= set(zip(row.tolist(), at.tolist(), strict=True))
    assert len(points) == (sessions.lengths - 1).sum()


@names
@pytest.mark.parametrize("with_kernels", [False, True])
def test_walk_ranks_are_those_of_the_scores(name, with_kernels):
    model = fitted(name)
    sessions = world()[1].in_items_of(world()[0].item_ids)[0].histories()
    with compiled_kernels() if with_kernels else nullcontext():
        blocks = [zip(*part, strict=True) for part in model.walk_ranks(sessions)]
    found = {int(at): (best, worst) for block in blocks for at, best, worst in block}
    expected = {}
    for _, at, scores in model.walk(sessions):
        bounds = rank_bounds(scores, sessions.items[at + 1])
        expected |= {int(a): (b, w) for a, b, w in zip(at, *bounds, strict=True)}
    assert found == expected


@names
def test_recommend(name):
    model = fitted(name)
    seen = world()[0].item_ids[[3, 8, 1]].tolist()
    best = model.recommend(seen, 20)
    assert len(best) == 20
    assert [s for _, s in best] == sorted((s for _, s in best), reverse=True)
    ids = {i for i, _ in best}
    assert len(ids) == 20
    assert ids <= set(world()[0].item_ids.tolist())
    assert not {i for i, _ in model.recommend(seen, 20, exclude_seen=True)} & set(seen)
    everything = model.recommend(seen, 10**6)
    assert len(everything) == world()[0].n_items


@names
def test_unknown_items_are_skipped_with_a_warning(name):
    model = fitted(name)
    known = world()[0].item_ids[:2].tolist()
    with pytest.warns(UserWarning, match="not in the training data"):
        got = model.recommend([known[0], object(), known[1]], 5)
    assert got == model.recommend(known, 5)


@names
def test_live_session_is_recommend(name):
    model = fitted(name)
    items = world()[0].item_ids[[4, 9, 4]].tolist()
    live = model.session()
    for i in range(3):
        live.click(items[i])
        (a, b) = live.top(5), model.recommend(items[: i + 1], 5)
        assert [x for x, _ in a] == [x for x, _ in b]
        np.testing.assert_allclose([s for _, s in a], [s for _, s in b], rtol=1e-4, atol=1e-6)


@names
def test_similar_items(name):
    model, item = fitted(name), world()[0].item_ids.tolist()[7]
    got = model.similar_items(item, 6)
    assert len(got) == 6
    assert item not in [i for i, _ in got]
    with pytest.raises(ValueError, match="not in the training data"):
        model.similar_items("no such item")


@names
def test_save_and_load(name, tmp_path):
    model, path = fitted(name), tmp_path / "model.safetensors"
    model.save(path)
    for loaded in (type(model).load(path), load_model(path)):
        assert loaded.settings() == model.settings()
        some = Histories.from_offsets(np.array([3, 1, 2, 5]), np.array([0, 3, 4]))
        np.testing.assert_array_equal(loaded.scores(some), model.scores(some))
        assert loaded.item_ids_.tolist() == model.item_ids_.tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


@names
def test_before_fit_one_clear_sentence(name, tmp_path):
    with pytest.raises(NotFittedError, match="call fit"):
        make(name).recommend([1])
    with pytest.raises(NotFittedError, match="call fit"):
        make(name).save(tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"BayesCeiling"}))  # which does not learn
@pytest.mark.parametrize(
    "log",
    [
        Interactions.from_arrays([1, 2], [5, 6], [0, 1]),
        Interactions.from_arrays([1, 1], [5, 5], [0, 1]),
    ],
    ids=["one event each", "one item"],
)
def test_nothing_to_learn_from(name, log):
    with pytest.raises(DataError, match=r"single event|at least 2"):
        make(name).fit(log)


@names
def test_beats_popularity_by_the_stated_margin(name):
    _, test = world()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Popularity of a small log has few distinct scores
        result = evaluate(fitted(name), test, k=(20,))
        popularity = evaluate(fitted("Popularity"), test, k=(20,))
    assert result["recall@20"] >= popularity["recall@20"] + CASES[name][1]


@pytest.mark.gpu
@pytest.mark.skipif(gpu_problem() is not None, reason=f"no GPU: {gpu_problem()}")
def test_cpu_and_gpu_agree():
    train, _ = world()
    settings = {**CASES["GRU4Rec"][0], "dropout_hidden": 0.0, "n_sample": 0, "epochs": 1}
    some = train.histories().take(np.arange(20))
    on = {d: nnlib.models.GRU4Rec(**settings, device=d).fit(train) for d in ("cpu", "cuda")}
    np.testing.assert_allclose(on["cpu"].scores(some), on["cuda"].scores(some), atol=1e-2)
