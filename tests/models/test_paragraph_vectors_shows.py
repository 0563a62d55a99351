"""What paragraph vectors are for: topics of documents, and the order of words where it matters."""

import numpy as np
import pytest

from nnlib.data import Interactions, PopularitySampler, cbow_windows
from nnlib.models import ParagraphVectors
from nnlib.models.embeddings.paragraph_network import ParagraphNetwork
from nnlib.models.pair_training import SampledOutput
from nnlib.optim import Adagrad

linear_model = pytest.importorskip("sklearn.linear_model", reason="no scikit-learn here")
decomposition = pytest.importorskip("sklearn.decomposition", reason="no scikit-learn here")


def accuracy(x, label):
    """Of a logistic regression fitted to one half of the documents, on the other."""
    x, half = (x - x.mean(axis=0)) / x.std(axis=0), len(x) // 2
    model = linear_model.LogisticRegression(max_iter=2000).fit(x[:half], label[:half])
    return model.score(x[half:], label[half:])


def grammars(n_documents, n_sentences, rng, n_words=10):
    """Documents of "the A N ." and of "the N A .", in turn: the same words, in the same sentences.

    Words 0 and 1 are "the" and ".", then come n_words adjectives and as many nouns.
    """
    grammar = np.arange(n_documents) % 2
    adjective, noun = rng.integers(n_words, size=(2, n_documents, n_sentences))
    pair = np.stack([adjective + 2, noun + 2 + n_words], axis=-1)
    pair[grammar == 1] = pair[grammar == 1][:, :, ::-1]
    words = np.zeros((n_documents, n_sentences, 4), int)
    words[:, :, 1:3], words[:, :, 3] = pair, 1
    document = np.repeat(np.arange(n_documents), 4 * n_sentences)
    return Interactions.from_arrays(document, words.ravel()), grammar


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_concat_tells_two_grammars_apart_and_dbow_cannot(seed):
    """What is before a word leaves open which grammar it is; what is on both sides would tell."""
    log, grammar = grammars(400, 10, np.random.default_rng(seed))
    settings = {"n_factors": 8, "window": 2, "directed": True, "seed": seed}
    concat = ParagraphVectors(mode="dm-concat", **settings).fit(log)
    dbow = ParagraphVectors(mode="dbow", **settings).fit(log)
    assert accuracy(concat.D_, grammar) > 0.97
    assert 0.35 < accuracy(dbow.D_, grammar) < 0.65  # chance, four standard errors on each side
    new, kind = grammars(100, 10, np.random.default_rng(seed + 100))
    histories = new.in_items_of(log.item_ids)[0].histories()
    reader = linear_model.LogisticRegression().fit(concat.D_, grammar)
    assert reader.score(concat.infer_all(histories), kind) > 0.97


def topic_documents(rng, n_documents=1500, n_topics=20, n_words=800, length=80, function=0.5):
    """Documents of a few topics each; a word in two is one of the function words of all."""
    zipf = 1 / np.arange(1, n_words + 1)
    topics = np.vstack([rng.dirichlet(np.full(n_words, 0.05), n_topics), zipf / zipf.sum()])
    share = rng.dirichlet(np.full(n_topics, 0.1), n_documents)
    document = np.repeat(np.arange(n_documents), rng.poisson(length, n_documents) + 2)
    draw = lambda p: (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    topic = np.minimum(draw(share[document]), n_topics - 1)
    topic[rng.random(len(topic)) < function] = n_topics
    words = np.minimum(draw(topics[topic]), n_words - 1)
    return Interactions.from_arrays(document, words), share.argmax(axis=1)


def lsa(log, n_factors):
    """Latent semantic analysis: truncated SVD of counts times log(documents / documents with)."""
    counts = np.zeros((log.n_users, log.n_items))
    np.add.at(counts, (log.user, log.item), 1)
    tf_idf = counts * np.log(log.n_users / (counts > 0).sum(axis=0))
    return decomposition.TruncatedSVD(n_factors, random_state=0).fit_transform(tf_idf)


def mean_of_cbow(log, n_factors, seed):
    """The mean of a document's word vectors, from the same training with D held at 0."""
    rng = np.random.default_rng(seed)
    output = SampledOutput(log.n_items, n_factors)
    net = ParagraphNetwork(1, log.n_items, n_factors, "dm-mean", output, rng=rng)
    net.D.value[:] = 0
    optimizer = Adagrad([net.E, output.O], lr=0.2, initial=0.1)
    noise = PopularitySampler(log.support(), 0.75).stream(rng, 64)
    for _ in range(20):
        for c, t in cbow_windows(log.histories(), 5, rng, batch_size=512, dynamic=False):
            _, backward = net(np.zeros(len(t), int), c, t, next(noise))
            backward(len(t))
            optimizer.step()
            net.D.clear()
    rows = [net.E.value[log.histories().row(m)].mean(axis=0) for m in range(log.n_users)]
    return np.stack(rows)


@pytest.mark.slow
def test_topics_of_documents():
    """PV-DBOW at least as LSA less two points, and above means of CBOW's word vectors.

    The function words are what the means suffer from: they are half of every mean, while a
    document's vector need not predict them better than all others do.
    """
    found = []
    for seed in range(3):
        log, label = topic_documents(np.random.default_rng(seed))
        dbow = ParagraphVectors(mode="dbow", n_factors=10, seed=seed).fit(log)
        vectors = [dbow.D_, lsa(log, 10), mean_of_cbow(log, 10, seed)]
        found.append([accuracy(x, label) for x in vectors])
    print(np.round(found, 3))
    dbow, latent, cbow = np.mean(found, axis=0)
    assert dbow >= latent - 0.02
    assert dbow > cbow + 0.02
