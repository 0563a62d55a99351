"""Paragraph vectors: gradients, the formulas, windows with their places, new documents, files."""

from dataclasses import replace

import numpy as np
import pytest

from nnlib.check import assert_gradients
from nnlib.data import DataError, Histories, Interactions
from nnlib.functional.trees import huffman
from nnlib.layers import HierarchicalSoftmax
from nnlib.models import ParagraphVectors, load_model
from nnlib.models.embeddings.paragraph_network import ParagraphNetwork, SoftmaxOutput
from nnlib.models.item_vectors import normalized
from nnlib.models.pair_training import SampledOutput

M, N, F, B = 3, 6, 4, 5
DOCUMENT, TARGET = np.array([0, 2, 0, 1, 2]), np.array([3, 3, 1, 2, 4])
CONTEXT = np.array([[1, 1, 4], [0, -1, 5], [-1, -1, -1], [5, 2, 0], [-1, -1, 3]])
NOISE = np.array([3, 0, 0, 4, 5, 1, 3])
MODES, OUTPUTS = ("dm-mean", "dm-concat", "dbow"), ("negative-sampling", "hierarchical-softmax")


def network(mode, output, rng):
    width = F * 4 if mode == "dm-concat" else F
    made = {
        "negative-sampling": lambda: SampledOutput(N, width, 3.0),
        "hierarchical-softmax": lambda: HierarchicalSoftmax(
            huffman(np.array([9, 1, 4, 6, 2, 3])), width, rng=rng, n_top=2
        ),
        "softmax": lambda: SoftmaxOutput(N, width),
    }[output]()
    net = ParagraphNetwork(M, N, F, mode, made, rng=rng).astype(np.float64)
    for p in net.parameters():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    return net


@pytest.mark.parametrize("output", [*OUTPUTS, "softmax"])
@pytest.mark.parametrize("mode", MODES)
def test_gradients(mode, output):
    net = network(mode, output, np.random.default_rng(0))
    noise = (NOISE,) if output == "negative-sampling" else ()
    assert_gradients(lambda d: net(d, CONTEXT, TARGET, *noise), DOCUMENT, params=net)


def test_gradient_of_h():
    """What reaches D and E of an upstream gradient that is no loss's."""
    for mode in MODES:
        net = network(mode, "softmax", np.random.default_rng(1))
        tables = [net.D] if mode == "dbow" else [net.D, net.E]
        assert_gradients(lambda d, net=net: net.hidden(d, CONTEXT), DOCUMENT, params=tables)


def test_hidden_is_the_formula():
    for mode in MODES:
        net = network(mode, "softmax", np.random.default_rng(2))
        h, _ = net.hidden(DOCUMENT, CONTEXT)
        for b in range(B):
            d = net.D.value[DOCUMENT[b]]
            if mode == "dbow":
                expected = d
            elif mode == "dm-mean":
                expected = np.mean([d, *(net.E.value[c] for c in CONTEXT[b] if c >= 0)], axis=0)
            else:
                e = [net.E.value[c] if c >= 0 else np.zeros(F) for c in CONTEXT[b]]
                expected = np.concatenate([d, *e])
            np.testing.assert_allclose(h[b], expected, rtol=1e-12)


def test_new_documents_have_gradients_of_their_own():
    net = network("dm-mean", "softmax", np.random.default_rng(3))
    other = net.for_new_documents(np.ones((2, F)))
    _, backward = other(np.array([0, 1]), CONTEXT[:2], TARGET[:2])
    backward()
    assert other.E.rows
    assert other.output.O.grad is not None
    assert all(p.grad is None and not p.rows for p in net.parameters())
    assert other.E.value is net.E.value


# Three documents of six words of each of two topics of five.
LOG = Interactions.from_arrays(
    np.repeat(["a", "b", "c", "x", "y", "z"], 6),
    np.random.default_rng(0).integers(5, size=36) + np.repeat([0, 5], 18),
)


def small(**settings):
    return ParagraphVectors(**{"n_factors": 5, "window": 2, "epochs": 30, **settings})


def test_contexts_have_their_places():
    document = np.array([7, 8, 9])
    histories = Histories.from_offsets(document, np.array([0, 3]))
    expected = {7: [-1, -1, -1, 8, 9, -1], 8: [-1, -1, 7, 9, -1, -1], 9: [-1, 7, 8, -1, -1, -1]}
    for mode, directed, width in (("dm-concat", False, 6), ("dm-mean", True, 3), ("dbow", 0, 0)):
        model = small(mode=mode, window=3, directed=bool(directed))
        batches = list(model._contexts.windows(histories, np.random.default_rng(0), 2))
        got = {t: c.tolist() for _, cs, ts in batches for c, t in zip(cs, ts.tolist(), strict=True)}
        assert got == {target: places[:width] for target, places in expected.items()}
        last = model._contexts.last_items(histories)[0].tolist()
        assert last == [7, 8, 9, -1, -1, -1][:width]
    assert small(window=2)._contexts.last_items(histories)[0].tolist() == [8, 9, -1, -1]


@pytest.mark.parametrize("output", [*OUTPUTS, "softmax"])
@pytest.mark.parametrize("mode", MODES)
def test_topics_are_found_and_new_documents_join_them(mode, output):
    """80 documents: even ones of the words 0 … 4, odd ones of 5 … 9."""
    topic = np.repeat(np.arange(80) % 2, 8)
    words = np.random.default_rng(0).integers(5, size=640) + 5 * topic
    log = Interactions.from_arrays(np.repeat(np.arange(80), 8), words)
    model = small(mode=mode, output=output, directed=True, batch_size=64).fit(log)
    assert model.losses_[-1] < model.losses_[0]
    low = np.array([raw < 5 for raw in model.item_ids_.tolist()])
    scores = model.scores(log.histories().take(np.arange(10)))
    gap = scores[:, low].mean(axis=1) - scores[:, ~low].mean(axis=1)
    assert (gap[::2] > 0.5).all()
    assert (gap[1::2] < -0.5).all()
    if mode == "dbow":  # in the others the context tells the topic, and the document need not
        near = model.similar_documents(4, 20)
        assert all(document % 2 == 0 for document, _ in near)
        centred = lambda x: normalized(x - model.D_.mean(axis=0))
        cosine = centred(model.D_) @ centred(model.infer([0, 1, 2, 3, 4, 1, 3])[None])[0]
        assert cosine[::2].min() > cosine[1::2].max()


def test_inference_is_of_the_document_alone():
    for output in OUTPUTS:
        model = small(output=output, infer_epochs=20).fit(LOG)
        before = {name: a.copy() for name, a in model.arrays().items()}
        together = model.infer_all(LOG.histories())
        np.testing.assert_array_equal(together, model.infer_all(LOG.histories()))
        for m in range(6):
            alone = model.infer(LOG.item_ids[LOG.histories().row(m)].tolist())
            np.testing.assert_allclose(alone, together[m], rtol=1e-5, atol=1e-6)
        strangers = replace(LOG.histories(), user=np.full(6, -1))
        np.testing.assert_array_equal(model.infer_all(strangers), together)
        for name, array in model.arrays().items():
            np.testing.assert_array_equal(array, before[name])
        assert all(p.grad is None and not p.rows for p in model.net_.parameters())


def test_inference_in_blocks_is_the_same(monkeypatch):
    model = small(infer_epochs=20).fit(LOG)
    rows = [LOG.item[:6], LOG.item[:0], LOG.item[6:9], LOG.item[9:30]]
    histories = Histories.from_offsets(
        np.concatenate(rows), np.append(0, np.cumsum([len(r) for r in rows]))
    )
    whole = model.infer_all(histories)
    monkeypatch.setattr("nnlib.models.embeddings.paragraph_contexts.WINDOWS", 7)
    np.testing.assert_allclose(model.infer_all(histories), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole[1], model.D_.mean(axis=0), rtol=1e-5)


def test_more_passes_come_nearer_to_the_one_minimum():
    """L is convex in D_new: from anywhere else, training ends no lower."""
    model = small(output="softmax", mode="dbow").fit(LOG)
    O, target = model.O_.astype(np.float64), LOG.item[:6]

    def loss(d):
        s = O @ d
        return np.log(np.exp(s).sum()) - s[target].mean()

    losses = []
    for passes in (1, 5, 50, 400):
        model.infer_epochs = passes
        losses.append(loss(model.infer(LOG.item_ids[target].tolist()).astype(np.float64)))
    assert losses == sorted(losses, reverse=True)
    d = np.random.default_rng(0).normal(0, 1, 5)
    for _ in range(3000):
        p = np.exp(O @ d)
        d -= 0.3 * (p @ O / p.sum() - O[target].mean(axis=0))
    assert loss(d) == pytest.approx(losses[-1], abs=0.02)


@pytest.mark.parametrize("output", [*OUTPUTS, "softmax"])
def test_scores_are_the_formula(output):
    model = small(output=output).fit(LOG)
    histories = Histories.from_offsets(np.array([3, 1, 4, 2]), np.array([0, 3, 4, 4]))
    D = model.D_[:3]
    h = np.stack(
        [(D[0] + model.E_[1] + model.E_[4]) / 3, (D[1] + model.E_[2]) / 2, D[2]],
    )
    f = LOG.support() / LOG.n_events
    if output == "negative-sampling":
        q = LOG.support() ** 0.75 / (LOG.support() ** 0.75).sum()
        pmi = h @ model.O_.T
        prob = pmi + np.log(q)
    else:
        if output == "softmax":
            prob = h @ model.O_.T
        else:
            prob = model.net_.output.log_probabilities(h)
            np.testing.assert_allclose(np.exp(prob).sum(axis=1), 1, rtol=1e-5)
        pmi = prob - np.log(f)
    np.testing.assert_allclose(model.scores_after(D, histories), prob, rtol=1e-4, atol=1e-5)
    model.score = "pmi"
    np.testing.assert_allclose(model.scores_after(D, histories), pmi, rtol=1e-4, atol=1e-5)
    model.score = "cosine"
    s = model.scores_after(D, histories)
    E = model.E_[7]
    cosine = D[1] @ E / np.linalg.norm(D[1]) / np.linalg.norm(E)
    assert s[1, 7] == pytest.approx(cosine, rel=1e-5)


def test_leaf_vectors_are_the_direction_of_likelier():
    model = small(mode="dbow", output="hierarchical-softmax").fit(LOG)
    assert model.E_ is model.O_
    assert model.O_.shape == (LOG.n_items, 5)
    layer, eps = model.net_.output.astype(np.float64), 1e-6
    for f in range(5):
        h = np.zeros((2, 5))
        h[:, f] = [eps, -eps]
        up, down = layer.log_probabilities(h)
        np.testing.assert_allclose((up - down) / (2 * eps), model.O_[:, f] / 2, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_files(mode, tmp_path):
    model = small(mode=mode, output="hierarchical-softmax", epochs=2).fit(LOG)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.document_ids_.tolist() == list("abcxyz")
    for name in ("D_", "E_", "O_", "log_q_", "counts_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
    np.testing.assert_array_equal(loaded.document_vector("y"), model.document_vector("y"))
    np.testing.assert_array_equal(loaded.infer([3, 4]), model.infer([3, 4]))
    assert loaded.losses_ == model.losses_
    numbers = Interactions.from_arrays([7, 7, 9, 9], ["p", "q", "q", "p"])
    model = small(mode=mode, epochs=1).fit(numbers)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.document_ids_.tolist() == [7, 9]
    np.testing.assert_array_equal(loaded.document_vector(9), model.D_[1])


def test_resumed_training_is_the_same(tmp_path):
    path = tmp_path / "checkpoint"
    settings = {"dynamic": True, "subsample": 0.05}
    whole = small(epochs=4, **settings).fit(LOG)
    small(epochs=2, **settings).fit(LOG, checkpoint=path)
    resumed = small(epochs=4, **settings).fit(LOG, checkpoint=path, resume=True)
    np.testing.assert_array_equal(resumed.D_, whole.D_)
    np.testing.assert_array_equal(resumed.O_, whole.O_)
    assert resumed.losses_ == whole.losses_


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "dm"}, "mode='dm'"),
        ({"output": "nce"}, "output='nce'"),
        ({"score": "dot"}, "score='dot'"),
        ({"n_factors": 0}, "n_factors=0"),
        ({"window": 0}, "window=0"),
        ({"negatives": 0}, "negatives=0"),
        ({"infer_epochs": 0}, "infer_epochs=0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"subsample": -1.0}, "subsample=-1.0"),
        ({"noise_exponent": float("nan")}, "noise_exponent=nan"),
        ({"seed": -1}, "seed=-1"),
        ({"mode": "dm-concat", "dynamic": True}, "dynamic=True"),
        ({"mode": "dm-concat", "score": "cosine"}, "score='cosine'"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        ParagraphVectors(**settings)


def test_bad_questions():
    model = small(epochs=1).fit(LOG)
    with pytest.raises(ValueError, match="'q' is not in the training data"):
        model.document_vector("q")
    with pytest.raises(ValueError, match="'q' is not in the training data"):
        model.similar_documents("q")
    with pytest.raises(ValueError, match="n=0"):
        model.similar_documents("a", 0)
    with pytest.warns(UserWarning, match="'word' is not in the training data"):
        alone = model.infer(["word", 3])
    np.testing.assert_array_equal(alone, model.infer([3]))
    with pytest.raises(DataError, match="single event"):
        small().fit(Interactions.from_arrays([1, 2], [5, 6]))
    with pytest.raises(ValueError, match="mode='sum'"):
        ParagraphNetwork(1, 2, 3, "sum", SoftmaxOutput(2, 3), rng=np.random.default_rng(0))
