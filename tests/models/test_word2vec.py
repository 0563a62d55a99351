"""Word2Vec: every architecture with every output, its settings, and what it must show."""

from dataclasses import replace

import numpy as np
import pytest

from nnlib.data import DataError, Histories, Interactions, TextCorpus
from nnlib.data.synthetic import HMMClicks
from nnlib.functional.trees import mean_code_length
from nnlib.models import Word2Vec, load_model
from nnlib.models.embeddings.block_shape import BlockShape

MODES = [
    {"architecture": a, "output": o}
    for a in ("skip-gram", "cbow")
    for o in ("negative-sampling", "hierarchical-softmax", "softmax")
]
names = pytest.mark.parametrize("mode", MODES, ids=lambda m: f"{m['architecture']}-{m['output']}")


@pytest.fixture(scope="module")
def log():
    return HMMClicks().sample(600, np.random.default_rng(0))


def model(mode, **settings):
    return Word2Vec(**{"n_factors": 16, "epochs": 2, "seed": 3, **mode, **settings})


@names
def test_learns_and_is_repeatable(mode, log):
    first = model(mode, epochs=6, lr=0.1).fit(log)
    assert first.losses_[-1] < 0.99 * first.losses_[0]
    again = model(mode, epochs=6, lr=0.1).fit(log)
    np.testing.assert_array_equal(first.E_, again.E_)
    np.testing.assert_array_equal(first.O_, again.O_)
    other = model(mode, epochs=6, lr=0.1, seed=4).fit(log)
    assert not np.array_equal(first.E_, other.E_)


@names
def test_interrupted_and_resumed(mode, log, tmp_path, monkeypatch):
    path = tmp_path / "half.safetensors"
    whole = model(mode, epochs=3).fit(log)

    from nnlib.models.epochs import Epochs

    original, epochs = Epochs._write, []

    def stop(self, path):
        original(self, path)
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "_write", stop)
        with pytest.raises(KeyboardInterrupt):
            model(mode, epochs=3).fit(log, checkpoint=path)
    resumed = model(mode, epochs=3).fit(log, checkpoint=path, resume=True)
    np.testing.assert_array_equal(resumed.E_, whole.E_)
    np.testing.assert_array_equal(resumed.O_, whole.O_)
    assert resumed.losses_ == whole.losses_


@names
@pytest.mark.parametrize("score", ["cosine", "pmi", "prob"])
def test_saved_and_loaded(mode, score, log, tmp_path):
    fitted = model(mode, score=score, epochs=1).fit(log)
    fitted.save(tmp_path / "model")
    some = log.histories().take(np.arange(20))
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.scores(some), fitted.scores(some))
    assert np.isfinite(fitted.scores(some)).all()


@pytest.mark.parametrize("output", ["hierarchical-softmax", "softmax"])
def test_softmaxes_give_probabilities(output, log):
    fitted = model({"output": output}).fit(log)
    some = Histories.from_offsets(np.array([3, 1, 2]), np.array([0, 1, 3, 3]))
    p = np.exp(fitted.scores(some).astype(float))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-4)
    pmi = replace(fitted, score="pmi")
    pmi.__dict__.update({k: v for k, v in vars(fitted).items() if k.endswith("_")})
    share = log.support() / log.n_events
    np.testing.assert_allclose(pmi.scores(some), np.log(p / share), atol=1e-3)


def test_a_tree_gets_near_the_full_softmax(log):
    """Perplexity of the training windows within a tenth of the exact output's."""
    settings = {"epochs": 30, "lr": 0.1, "dynamic": False, "window": 2, "batch_size": 32}
    full = model({"output": "softmax"}, **settings).fit(log)
    tree = model({"output": "hierarchical-softmax"}, **settings).fit(log)
    assert np.exp(tree.losses_[-1]) < 1.1 * np.exp(full.losses_[-1])


def test_the_frequent_are_near_the_root(log):
    fitted = model({"output": "hierarchical-softmax"}).fit(log)
    p = log.support() / log.n_events
    entropy = -(p * np.log2(p)).sum()
    assert entropy <= mean_code_length(fitted.tree_of_items, log.support()) < entropy + 1
    balanced = model({"output": "hierarchical-softmax"}, tree="balanced").fit(log)
    assert np.ptp(balanced.tree_of_items.depth) <= 1


def test_finds_what_is_near():
    """Two languages that never meet: a word is nearer to its own; at high rates too."""
    rng = np.random.default_rng(0)
    language = rng.integers(2, size=400)
    words = language[:, None] * 10 + rng.integers(10, size=(400, 8))
    log = Interactions.from_arrays(np.repeat(np.arange(400), 8), words.ravel())
    for mode, lr in [(mode, lr) for mode in MODES for lr in (0.05, 0.2)]:
        fitted = model(mode, epochs=20, lr=lr).fit(log)
        for word in (0, 7, 12):
            alike = [other // 10 for other, _ in fitted.similar_items(word, 9)]
            assert alike == [word // 10] * 9, mode


def test_a_corpus_of_text(tmp_path):
    path = tmp_path / "text"
    path.write_text("the cat sat\nthe dog sat down\n" * 50)
    fitted = model({}, epochs=1).fit(TextCorpus(path, min_count=1))
    assert set(fitted.item_ids_.tolist()) == {"the", "cat", "dog", "sat", "down"}
    with pytest.raises(ValueError, match="is for logs"):
        model({}, min_count=2).fit(TextCorpus(path, min_count=1))


def test_rare_items_are_left_out():
    log = Interactions.from_arrays([1, 1, 1, 2, 2, 2], list("abcabd"))
    assert set(model({}, min_count=2).fit(log).item_ids_.tolist()) == {"a", "b"}
    with pytest.raises(DataError, match="no item has 3"):
        model({}, min_count=3).fit(log)


def test_frequent_items_are_thinned_out(log):
    fitted = model({}, subsample=1e-3).fit(log)
    assert np.isfinite(fitted.E_).all()
    assert not np.array_equal(fitted.E_, model({}).fit(log).E_)


def test_large_windows_and_small_logs():
    log = Interactions.from_arrays([1, 1, 2, 2, 2], list("ababc"))
    for mode in MODES:
        fitted = model(mode, window=40, dynamic=False).fit(log)
        assert np.isfinite(fitted.E_).all()


def test_a_frequent_item_does_not_diverge():
    """Nine in ten tokens are one item: without the cap its rows explode."""
    rng = np.random.default_rng(0)
    items = np.where(rng.random(40_000) < 0.9, 0, rng.integers(1, 50, 40_000))
    log = Interactions.from_arrays(np.repeat(np.arange(2000), 20), items)
    for mode in MODES:
        fitted = model(mode, batch_size=2048).fit(log)
        assert abs(fitted.E_).max() < 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "glove"}, "architecture='glove'.*'skip-gram', 'cbow'"),
        ({"output": "hs"}, "output='hs'.*one of"),
        ({"tree": "oak"}, "tree='oak'.*huffman"),
        ({"window": 0}, "window=0.*at least 1"),
        ({"n_factors": 2.5}, "n_factors=2.5.*whole number"),
        ({"negatives": 0}, "negatives=0.*at least 1"),
        ({"batch_size": 0}, "batch_size=0.*at least 1"),
        ({"lr": 0.0}, "lr=0.0.*above 0"),
        ({"subsample": -1}, "subsample=-1.*at least 0"),
        ({"noise_exponent": float("nan")}, "noise_exponent=nan.*finite"),
        ({"seed": -1}, "seed=-1.*at least 0"),
        ({"score": "dot"}, "score='dot'.*one of"),
        ({"decay": 0}, "decay=0.*above 0"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Word2Vec(**settings)


def test_more_negatives_are_shared_where_tokens_draw_many():
    skip_gram = BlockShape(window=5, batch_size=100, cbow=False, mean=True)
    for draws, group in ((10, 16), (30, 32)):
        shape = skip_gram.for_draws(draws)
        assert (shape.group, shape.n_shared) == (group, group // 2)
        assert shape.n_groups * shape.group == shape.n_tokens == 128
    assert replace(skip_gram, cbow=True).for_draws(30).group == 16
