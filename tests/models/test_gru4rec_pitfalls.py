"""What other implementations of GRU4Rec got wrong, one test for each.

The list follows the published study of third-party versions by GRU4Rec's authors and a reading of
more of them; the errors cost up to 99 % of the accuracy without any message.
"""

from contextlib import contextmanager

import numpy as np
import pytest

from nnlib.data import Histories, Interactions
from nnlib.data.batches import session_parallel
from nnlib.functional.softmax import RowLosses
from nnlib.metrics import evaluate
from nnlib.models.session.gru4rec import GRU4Rec
from nnlib.models.session.gru4rec_network import GRU4RecNetwork
from nnlib.optim import Adagrad

N_ITEMS = 12


def random_log(seed=0, n_sessions=40, longest=7, n_items=N_ITEMS):
    """Sessions of 2 to `longest` events over items that all occur."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, longest + 1, n_sessions)
    item = rng.integers(0, n_items, lengths.sum())
    item[:n_items] = np.arange(n_items)
    session = np.repeat(np.arange(n_sessions), lengths)
    return Interactions.from_arrays(session, item, np.arange(len(item)))


def small_model(**settings):
    defaults = dict(hidden=(5,), batch_size=4, n_sample=6, epochs=1, lr=0.1, seed=3)
    return GRU4Rec(**{**defaults, **settings})


@contextmanager
def recorded_steps(monkeypatch):
    """Everything the network was called with and gave back while training."""
    calls = []
    original = GRU4RecNetwork.__call__

    def record(self, block, states, objective, rng=None):
        result = original(self, block, states, objective, rng)
        (_, new), _ = result
        calls.append((block, [h.copy() for h in states], [h.copy() for h in new]))
        return result

    with monkeypatch.context() as patch:
        patch.setattr(GRU4RecNetwork, "__call__", record)
        yield calls


def trained_steps(monkeypatch, log, **settings):
    with recorded_steps(monkeypatch) as calls:
        model = small_model(**settings).fit(log)
    return model, calls


@pytest.mark.parametrize("longest", [2, 7])  # 2: every step resets every row
def test_every_state_continues_its_own_session_or_starts_at_zero(monkeypatch, longest):
    """Not reset, reset a step late or early, wrong row reset, reset mask kept within a session."""
    log = random_log(longest=longest)
    _, calls = trained_steps(monkeypatch, log)
    schedule = session_parallel(log.chronological(), 4)
    session_of = np.repeat(np.arange(log.n_users), np.diff(log.offsets))
    last_state = {}
    for (at, _), (_, states, new) in zip(schedule, calls, strict=True):
        continues = [int(session_of[a]) in last_state for a in at]
        carried = len(states[0])
        assert continues == [True] * carried + [False] * (len(at) - carried)
        for row, a in enumerate(at):
            s = int(session_of[a])
            if row < carried:
                np.testing.assert_array_equal(states[0][row], last_state[s])
            last_state[s] = new[0][row]


def test_a_fresh_row_equals_a_state_of_zero():
    net = small_model()._build(N_ITEMS)
    item, h = np.array([1, 2, 3]), np.full((1, 5), 0.3, np.float32)
    padded = np.concatenate([h, np.zeros((2, 5), np.float32)])
    np.testing.assert_allclose(net.read(item, [h])[0], net.read(item, [padded])[0], rtol=1e-6)


def test_every_pair_is_seen_exactly_once_and_no_lane_is_dropped(monkeypatch):
    """Padding, windows, an epoch that ends when sessions run out, a last batch left out."""
    log = random_log(n_sessions=13)
    _, calls = trained_steps(monkeypatch, log)
    seen = []
    for block, *_ in calls:
        targets = block.ids[block.first :][block.column]
        seen += list(zip(block.item.tolist(), targets.tolist(), strict=True))
    h = log.histories()
    pairs = [p for s in range(len(h)) for p in zip(h.row(s)[:-1], h.row(s)[1:], strict=True)]
    assert sorted(seen) == sorted((int(a), int(b)) for a, b in pairs)
    assert len(seen) == log.n_events - log.n_users


def test_row_b_has_its_target_and_all_negatives_of_the_batch():
    """No sampling, no in-batch negatives, targets in other columns, a capped n_sample."""
    net = small_model()._build(N_ITEMS)
    item, target = np.array([1, 2, 3, 4]), np.array([2, 2, 5, 1])
    negative = np.array([5, 7, 7, 9, 0, 11])
    block = net.block(item, target, negative)
    scored = block.ids[block.first :]
    np.testing.assert_array_equal(scored[block.column_of], np.concatenate([target, negative]))
    np.testing.assert_array_equal(scored[block.column], target)
    assert len(np.unique(block.ids)) == len(block.ids)
    np.testing.assert_array_equal(block.ids[block.item_at], item)


def test_extra_negatives_are_as_many_as_asked_for(monkeypatch):
    _, calls = trained_steps(monkeypatch, random_log(), n_sample=100)
    assert all(len(block.column_of) - len(block.item) == 100 for block, *_ in calls)


def test_steps_of_the_models_adagrad_are_lr_sign_over_root_n():
    """An accumulator that starts at 0.1 makes the first far smaller; a decaying rate the others."""
    model = small_model()
    net = model._build(N_ITEMS).astype(np.float64)
    optimizer = model._optimizer(net)
    block = net.block(np.array([1, 2]), np.array([3, 4]), np.array([5]))
    tenths = lambda s, block: RowLosses(s.sum(axis=1), np.full_like(s, 0.1), np.ones(2))
    for n in (1, 2, 3):
        before = net.b.value.copy()
        _, backward = net(block, net.start(0), tenths)
        backward()
        optimizer.step()
        moved = np.abs(net.b.value - before)[net.b.value != before]
        assert len(moved) == 3
        np.testing.assert_allclose(moved, model.lr / np.sqrt(n), rtol=1e-3)


def test_the_rate_stays_what_it_is(monkeypatch):
    """A decay of .96, once a step or an epoch."""
    rates, step = [], Adagrad.step
    monkeypatch.setattr(Adagrad, "step", lambda self: rates.append(self.lr) or step(self))
    small_model(epochs=3).fit(random_log())
    assert set(rates) == {0.1}


@pytest.mark.parametrize("embedding", ["shared", "separate", None])
def test_initial_weights_are_bounded_per_gate(embedding):
    """Glorot's bound on (N, 3H) instead of per gate, or N(0, 1) tables."""
    n_items, hidden = 300, 40
    net = small_model(hidden=(hidden,), embedding=embedding)._build(n_items)
    rows = {"W": n_items, "embed.E": n_items, "inputs.0.E": n_items}
    for name, p in net.named_parameters():
        if p.value.ndim == 1:
            assert (p.value == 0).all(), name
            continue
        bound = np.sqrt(6 / (rows.get(name, hidden) + hidden))
        assert 0.98 * bound < np.abs(p.value).max() <= bound, name


def test_the_dropped_state_is_the_one_carried_on():
    """Dropout after the state was stored, or given the probability of keeping."""
    net = small_model(hidden=(400,), dropout_hidden=0.25)._build(N_ITEMS)
    block = net.block(np.array([1, 2]), np.array([3, 4]), np.array([5]))
    seen = []
    keep = lambda s, block: seen.append(s) or RowLosses(s[:, 0], s, s[:, 0])
    (_, (h,)), _ = net(block, net.start(0), keep, rng=np.random.default_rng(1))
    assert abs((h == 0).mean() - 0.25) < 0.06
    undropped = net.read(block.item, net.start(0))[0]
    np.testing.assert_allclose(h[h != 0], undropped[h != 0] / 0.75, rtol=1e-5)
    expected = h @ net.W.value[block.ids[block.first :]].T
    np.testing.assert_allclose(seen[0], expected, atol=1e-5)


def test_no_dropout_when_scoring():
    log = random_log()
    model = small_model(dropout_hidden=0.5, dropout_embed=0.5).fit(log)
    h = log.histories()
    np.testing.assert_array_equal(model.scores(h), model.scores(h))
    state = model.net_.start(1)
    for item in h.row(0):
        state = model.net_.read(np.array([item]), state)
    expected = (state[0] @ model.net_.W.value.T + model.net_.b.value)[0]
    np.testing.assert_allclose(model.scores(h.take(np.array([0])))[0], expected, rtol=1e-5)


def test_all_biases_are_trained(monkeypatch):
    """A GRU without biases; item biases that no optimizer updates."""
    model = small_model().fit(random_log())
    assert (model.net_.b.value != 0).all()
    assert (model.net_.cells[0].b.value != 0).all()
    assert (model.net_.cells[0].b_h.value != 0).all()


def test_bias_of_an_item_that_is_only_an_input_stays():
    """Shared embedding: one look-up of the table, but the bias belongs to outputs only."""
    net = small_model(embedding="shared")._build(N_ITEMS)
    optimizer = Adagrad(net.parameters(), 0.1, momentum=0.5, initial=1e-6, eps=0.0)
    for _ in range(2):  # item 1 is an output first, an input then: its velocity must rest
        for item, target in (([2, 3], [1, 4]), ([1, 3], [5, 4])):
            before = net.b.value[1]
            block = net.block(np.array(item), np.array(target), np.array([6]))
            ones = lambda s, block: RowLosses(s.sum(axis=1), np.ones_like(s), np.ones(2))
            _, backward = net(block, net.start(0), ones)
            backward()
            optimizer.step()
            assert (net.b.value[1] != before) == (1 in target)


def test_bpr_max_weights_leave_the_target_out():
    """Softmax over negatives that includes the target; the logarithm of a global mean."""
    model = small_model(loss="bpr-max", elu=0.0, bpreg=0.0, embedding=None)
    net = model._build(4)
    block = net.block(np.array([0, 1]), np.array([2, 3]), np.array([], int))
    scores = np.array([[50.0, 0.0], [0.0, 50.0]], np.float32)  # each target far above the other's
    losses = model._objective(np.ones(4))(scores, block).losses
    assert losses == pytest.approx(0.0, abs=1e-6)  # with the target in: σ(0) = ½, log 2


def test_cross_entropy_takes_scores_not_probabilities():
    model = small_model(embedding=None)
    net = model._build(5)
    block = net.block(np.array([0]), np.array([2]), np.array([3]))
    scores = np.array([[3.0, 1.0]], np.float32)
    losses = model._objective(np.ones(5))(scores, block).losses
    assert losses == pytest.approx(np.log1p(np.exp(-2.0)), rel=1e-5)


@pytest.mark.parametrize("name", ["bpr", "top1"])
def test_bpr_and_top1_see_tanh_and_a_mean_over_the_negatives(name):
    """Softmax or linear scores in the loss; a sum, or a mean that has the target in it."""
    objective = small_model(loss=name, embedding=None)._objective(np.ones(5))
    net = small_model(embedding=None)._build(5)
    block = net.block(np.array([0, 1]), np.array([2, 3]), np.array([4]))
    s = np.array([[2.0, -1.0, 0.5], [1.0, 0.3, -3.0]])  # columns: items 2, 3, 4
    sigma = lambda x: 1 / (1 + np.exp(-x))
    expected = []
    for r, i, js in ((np.tanh(s[0]), 0, [1, 2]), (np.tanh(s[1]), 1, [0, 2])):
        above = sigma(r[js] - r[i])
        terms = -np.log(1 - above) if name == "bpr" else above + sigma(r[js] ** 2)
        expected.append(terms.mean())
    assert objective(s, block).losses.mean() == pytest.approx(np.mean(expected))


def test_bpr_max_holds_scores_by_their_softmax_weights():
    """No score regulariser; one without the weights, Σ r² of all negatives."""
    s = np.array([[1.0, 2.0, -3.0]])
    weight = np.exp(s[0, 1:]) / np.exp(s[0, 1:]).sum()
    losses = {}
    for bpreg in (0.0, 1.0):
        model = small_model(loss="bpr-max", elu=0.0, bpreg=bpreg, embedding=None)
        block = model._build(4).block(np.array([0]), np.array([1]), np.array([2, 3]))
        losses[bpreg] = model._objective(np.ones(4))(s, block).losses[0]
    assert losses[1.0] - losses[0.0] == pytest.approx(weight @ s[0, 1:] ** 2)
    assert GRU4Rec().bpreg > 0


def test_evaluation_ranks_all_items_at_every_point():
    """Sampled candidates, a wrong rank test (<), averages per batch, batches left out."""
    log, test = random_log(0), random_log(1, n_sessions=9)
    model = small_model().fit(log)
    result = evaluate(model, test, k=(1, N_ITEMS))
    assert result["n_points"] == test.n_events - test.n_users
    assert result[f"recall@{N_ITEMS}"] == 1.0  # rank N counts at cut-off N
    h = test.in_items_of(log.item_ids)[0].histories()
    ranks = []
    for s in range(len(h)):
        for t in range(1, h.lengths[s]):
            prefix = Histories(h.row(s)[:t], np.array([0]), np.array([t]))
            scores = model.scores(prefix)[0]
            ranks.append((scores >= scores[h.row(s)[t]]).sum())
    assert result["recall@1"] == pytest.approx(np.mean(np.array(ranks) == 1))


def test_state_is_reset_in_evaluation():
    log = random_log()
    model = small_model().fit(log)
    sessions = log.histories()
    row = np.repeat(np.arange(len(sessions)), sessions.lengths - 1)
    by_prefix = dict(
        zip(
            sessions.points().tolist(),
            model.scores(sessions.prefixes(row, sessions.points())),
            strict=True,
        )
    )
    for session, at, scores in model.walk(sessions, block=3):
        for s, a, row_scores in zip(session, at, scores, strict=True):
            assert sessions.start[s] <= a < sessions.stop[s]
            np.testing.assert_allclose(row_scores, by_prefix.pop(int(a)), atol=1e-6)
    assert not by_prefix


def test_raw_ids_survive_and_order_is_that_of_time():
    """Items re-indexed on the test data; sessions sorted as strings ("10" before "9")."""
    session = np.array(["9", "9", "10", "10", "11", "11"], object)
    item = np.array(["b", "a", "c", "b", "a", "c"], object)
    log = Interactions.from_arrays(session, item, np.arange(6))
    ordered = log.chronological()
    first = [log.item_ids[ordered.row(s)[0]] for s in range(3)]
    assert first == ["b", "c", "a"]
    model = small_model(batch_size=2).fit(log)
    test = Interactions.from_arrays(session[::-1], item[::-1], np.arange(6))
    mapped, dropped = test.in_items_of(model.item_ids_)
    assert dropped == 0
    assert model.item_ids_[mapped.item].tolist() == test.item_ids[test.item].tolist()
    assert {i for i, _ in model.recommend(["a"], 3)} == {"a", "b", "c"}
