"""PrefixGRU4Rec and its children: gradients, what an epoch consists of, teachers and vectors."""

import re

import numpy as np
import pytest

from nnlib.check import assert_gradients
from nnlib.data import Histories, Interactions
from nnlib.data.prefixes import prefix_batches
from nnlib.functional.softmax import RowLosses
from nnlib.losses import cross_entropy, soft_cross_entropy
from nnlib.models import CosineGRU4Rec, DistilledGRU4Rec, GRU4Rec, PrefixGRU4Rec
from nnlib.models.session.distillation import soft_label_loss
from nnlib.models.session.distilled_gru4rec import _future, backwards

N, B, S, T = 7, 3, 4, 3
LOG = Interactions.from_arrays([1, 1, 1, 1, 2, 2, 3, 3, 3], [0, 1, 2, 3, 4, 5, 6, 0, 4], range(9))


def small(cls=PrefixGRU4Rec, **settings):
    return cls(**{**dict(hidden=(6,), batch_size=4, n_sample=5, epochs=2, lr=0.1), **settings})


def scrambled(net):
    rng = np.random.default_rng(1)
    for p in net.astype(np.float64).parameters():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    return net


@pytest.mark.parametrize("embedding", ["shared", 3, None])
@pytest.mark.parametrize("hidden", [(4,), (3, 4)])
@pytest.mark.parametrize("every", [False, True])
def test_gradients_of_the_network(embedding, hidden, every):
    rng = np.random.default_rng(2)
    model = small(hidden=hidden, embedding=embedding, dropout_embed=0.3, dropout_hidden=0.2)
    net, objective = scrambled(model._build(N)), model._objective(rng.integers(1, 9, N))
    item, target = rng.integers(0, N, T * B), rng.integers(0, N, T * B if every else B)
    negative = rng.integers(0, N, S)
    states = [rng.normal(0, 0.5, (B, n)) for n in hidden]

    def step(*states):
        block = net.block(item, target, negative)
        draws = np.random.default_rng(9)
        (loss, new), backward = net(block, states, objective, rng=draws)
        return (loss, *new), lambda dloss, *dnew: tuple(backward(dloss, list(dnew)))

    assert_gradients(step, *states, params=net)


@pytest.mark.parametrize("embedding", [3, None])
def test_gradients_of_the_direction(embedding):
    rng = np.random.default_rng(2)
    net = scrambled(small(CosineGRU4Rec, hidden=(3, 4), embedding=embedding)._build(N))
    item, target = rng.integers(0, N, (T, B)), rng.integers(0, N, B)
    trained = [p for name, p in net.named_parameters() if name not in ("W", "b")]

    def step(item):
        return net.towards(item, target, rng=np.random.default_rng(0))

    assert_gradients(step, item, params=trained)
    assert net.W.rows == []
    assert net.W.grad is None


def test_prefixes_together_are_the_session_with_a_loss_at_every_step():
    """The gradients add up, if the scored items are the same: here all N of them."""
    model = small(embedding="shared", hidden=(4,))
    session, everything = np.array([3, 1, 4, 1, 5]), np.arange(N)
    net, objective = scrambled(model._build(N)), lambda s, block: hard(s, block.column)

    def hard(scores, column):
        loss, backward = cross_entropy(scores, column)
        return RowLosses(loss * np.ones(len(scores)), backward(len(scores)), np.ones(len(scores)))

    def gradient(examples):
        for item, target in examples:
            block = net.block(item, target, everything)
            _, backward = net(block, net.start(1), objective)
            backward(float(len(target)))
        got = {name: p.dense_grad() for name, p in net.named_parameters()}
        for p in net.parameters():
            p.clear()
        return got

    whole = gradient([(session[:-1], session[1:])])
    prefixes = gradient([(session[:t], session[t : t + 1]) for t in range(1, 5)])
    for name, g in whole.items():
        np.testing.assert_allclose(prefixes[name], g, atol=1e-12, err_msg=name)


def test_an_epoch_is_every_pair_of_past_and_target_once():
    sessions = LOG.histories()
    got = []
    for batch in prefix_batches(sessions, 2, np.random.default_rng(0), max_length=2):
        assert batch.item.shape[1] == len(batch.target) == len(batch.at) <= 2
        for b, at in enumerate(batch.at):
            assert batch.target[b] == sessions.items[at + 1]
            got.append((at, tuple(batch.item[:, b])))
    expected = []
    for s in range(len(sessions)):
        row = sessions.row(s).tolist()
        for t in range(1, len(row)):
            expected.append((sessions.start[s] + t - 1, tuple(row[max(0, t - 2) : t])))
    assert sorted(got) == sorted(expected)


@pytest.mark.parametrize("keep_last", [True, False])
def test_item_dropout_deletes_with_probability_p_and_keeps_the_order(keep_last):
    n, p = 40, 0.3
    sessions = Histories(np.arange(n), np.array([0]), np.array([n]))
    rng = np.random.default_rng(0)
    kept, read = np.zeros(n), np.zeros(n)
    for _ in range(200):
        for batch in prefix_batches(
            sessions, 16, rng, max_length=n, drop_items=p, keep_last=keep_last
        ):
            assert (np.diff(batch.item, axis=0) > 0).all()
            assert (batch.item[-1] <= batch.at).all()
            assert ((batch.item[-1] == batch.at).all()) or not keep_last
            np.add.at(kept, batch.item, 1)
            for at in batch.at:
                read[: at + 1] += 1
    last = 200 * keep_last  # of item j's appearances as the one before the target
    share = ((kept - last) / np.maximum(read - last, 1))[:-2]
    np.testing.assert_allclose(share[5:30], 1 - p, atol=0.05)


def test_a_prefix_that_lost_everything_keeps_one_item():
    sessions = LOG.histories()
    rng = np.random.default_rng(0)
    batches = prefix_batches(sessions, 4, rng, drop_items=0.99, keep_last=False)
    assert sum(len(batch.target) for batch in batches) == LOG.n_events - LOG.n_users


def test_one_prefix_is_one_session_parallel_step():
    """Sessions of two items have one prefix of one item: the same loss as GRU4Rec's."""
    log = Interactions.from_arrays([1, 1, 2, 2, 3, 3], [0, 1, 2, 3, 1, 0], range(6))
    settings = dict(batch_size=3, n_sample=0, epochs=1)
    prefix, plain = small(**settings).fit(log), small(GRU4Rec, **settings).fit(log)
    assert prefix.losses_ == pytest.approx(plain.losses_, rel=1e-6)
    np.testing.assert_allclose(prefix.net_.W.value, plain.net_.W.value, atol=1e-6)


def test_it_can_go_on_from_gru4rec():
    tuned = small(epochs=1, lr=1e-9).fit(LOG, start_from=(plain := small(GRU4Rec).fit(LOG)))
    h = LOG.histories()
    np.testing.assert_allclose(tuned.scores(h), plain.scores(h), atol=1e-6)


def test_soft_labels_are_a_mixture_of_two_cross_entropies():
    rng = np.random.default_rng(0)
    net = scrambled(small()._build(N))
    block = net.block(np.array([0, 1]), np.array([2, 3]), np.array([4, 5, 6, 0, 1]))
    assert len(np.unique(block.column_of)) == len(block.column_of) == N  # each item once
    scores, teacher = rng.normal(size=(2, N)), rng.normal(size=(2, N))
    share = np.array([0.3, 0.0])
    losses, G, scale = soft_label_loss(teacher, share)(scores, block)
    q = np.exp(teacher) / np.exp(teacher).sum(axis=1, keepdims=True)
    for b in range(2):
        one = slice(b, b + 1)
        hard, back_hard = cross_entropy(scores[one], block.column[one])
        soft, back_soft = soft_cross_entropy(scores[one], q[one])
        assert losses[b] == pytest.approx((1 - share[b]) * hard + share[b] * soft)
        expected = (1 - share[b]) * back_hard() + share[b] * back_soft()
        np.testing.assert_allclose(G[one] * scale[b], expected, atol=1e-12)


def test_the_teacher_reads_what_comes_after_the_target_backwards():
    future = _future(LOG.item, np.array([0, 1, 2, 6]), np.array([4, 4, 4, 9]), 19)
    assert [future.row(b).tolist() for b in range(4)] == [[3, 2], [3], [], [4]]
    longest = _future(LOG.item, np.array([0]), np.array([4]), 1)
    assert longest.row(0).tolist() == [2]  # the nearest of them
    assert backwards(LOG).item.tolist() == [3, 2, 1, 0, 5, 4, 4, 0, 6]


def test_without_a_share_the_student_is_prefix_gru4rec():
    """To rounding: the loss is written in another way."""
    student, plain = small(DistilledGRU4Rec, distill=0.0).fit(LOG), small().fit(LOG)
    np.testing.assert_allclose(student.losses_, plain.losses_, rtol=1e-5)
    taught = small(DistilledGRU4Rec, distill=0.9).fit(LOG)
    assert abs(taught.net_.W.value - plain.net_.W.value).max() > 1e-2


def test_a_teacher_of_other_items_is_refused():
    other = Interactions.from_arrays([1, 1], [50, 60], [0, 1])
    with pytest.raises(ValueError, match="other items"):
        small(DistilledGRU4Rec).fit(LOG, teacher=small().fit(other))


def test_a_given_table_stays_and_its_directions_are_learned():
    table = np.random.default_rng(0).normal(size=(N, 6))
    model = small(CosineGRU4Rec, epochs=60, lr=0.05).fit(LOG, table=table)
    table = table - table.mean(axis=0)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    np.testing.assert_allclose(model.net_.W.value, unit, atol=1e-6)
    assert (model.net_.b.value == 0).all()
    assert model.losses_[-1] < 0.3 * model.losses_[0]
    assert model.recommend([0, 1, 2], 1)[0][0] == 3
    with pytest.raises(ValueError, match=re.escape("table has shape (7, 5)")):
        small(CosineGRU4Rec).fit(LOG, table=table[:, :5])


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (PrefixGRU4Rec, {"drop_items": 1.0}, "drop_items=1.0"),
        (PrefixGRU4Rec, {"max_length": 0}, "max_length=0"),
        (PrefixGRU4Rec, {"bptt": 3}, "limit it by max_length"),
        (DistilledGRU4Rec, {"distill": 1.5}, "distill=1.5"),
        (DistilledGRU4Rec, {"loss": "bpr-max"}, "need cross-entropy"),
        (CosineGRU4Rec, {"embedding": "shared"}, "V is fixed"),
        (CosineGRU4Rec, {"table_epochs": 0}, "table_epochs=0"),
    ],
)
def test_settings_out_of_range(cls, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cls(**settings)


def test_users_are_for_gru4rec():
    with pytest.raises(ValueError, match="use GRU4Rec"):
        small().fit(LOG, users={1: 1})
