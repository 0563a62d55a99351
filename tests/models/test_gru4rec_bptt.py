"""GRU4Rec(bptt=k): gradients through k session-parallel steps, against torch in float64."""

import numpy as np
import pytest

from nnlib.data import Interactions
from nnlib.data.batches import session_parallel
from nnlib.models import GRU4Rec
from nnlib.models.session.gru4rec_bptt import Step, back_through_time

N, S, LANES = 11, 5, 3
LENGTHS = (4, 2, 3, 2, 5, 2, 3)  # sessions begin and end in the middle of every window


def world():
    rng = np.random.default_rng(4)
    session = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    log = Interactions.from_arrays(session, rng.permutation(np.arange(len(session)) % N))
    return log, rng.integers(0, N, (len(session), S))


def network(k, hidden, embedding, **settings):
    model = GRU4Rec(hidden=hidden, embedding=embedding, bptt=k, batch_size=LANES, **settings)
    net = model._build(N).astype(np.float64)
    rng = np.random.default_rng(1)
    for p in net.parameters():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    return model, net


def gradients(model, net, log, negatives, k):
    """Gradients of an epoch whose weights stand still, windows of k steps."""
    items = log.item
    schedule = session_parallel(log.chronological(), LANES)
    objective, states, window = model._objective(log.support()), net.start(0), []
    for t, (at, carried) in enumerate(schedule, start=1):
        states = [h[carried] for h in states]
        block = net.block(items[at], items[at + 1], negatives[t])
        (_, states), backward = net(block, states, objective)
        window.append(Step(backward, carried, len(at)))
        if t % k == 0 or t == len(schedule):
            back_through_time(window, LANES)
    return {name: p.dense_grad() for name, p in net.named_parameters()}


def torch_gradients(model, net, log, negatives, k):
    """The same by automatic differentiation: state by session, detached at a window's border."""
    torch = pytest.importorskip("torch", reason="the oracle is torch")
    w = {name: torch.tensor(p.value, requires_grad=True) for name, p in net.named_parameters()}
    session_of = log.user
    state = {}  # of a session, per layer
    for t, (at, _) in enumerate(session_parallel(log.chronological(), LANES), start=1):
        loss = 0.0
        columns = torch.tensor(np.concatenate([log.item[at + 1], negatives[t]]))
        for b, a in enumerate(at):
            hs = state.get(
                session_of[a], [torch.zeros(n, dtype=torch.float64) for n in model.hidden]
            )
            x = w["W"][log.item[a]] if net.shared else None
            new = []
            for i, h in enumerate(hs):
                one_hot = i == 0 and not net.shared
                v = w["inputs.0.E"][log.item[a]] if one_hot else x @ w[f"inputs.{i}.W"]
                v, U, n = v + w[f"cells.{i}.b"], w[f"cells.{i}.U"], len(h)
                if f"cells.{i}.b_h" in w:
                    m = h @ U + w[f"cells.{i}.b_h"]
                    r, z = torch.sigmoid(v[: 2 * n] + m[: 2 * n]).split(n)
                    c = torch.tanh(v[2 * n :] + r * m[2 * n :])
                else:
                    r, z = torch.sigmoid(v[: 2 * n] + h @ U[:, : 2 * n]).split(n)
                    c = torch.tanh(v[2 * n :] + (r * h) @ U[:, 2 * n :])
                x = (1 - z) * h + z * c
                new.append(x)
            state[session_of[a]] = new
            scores = w["W"][columns] @ x + w["b"][columns]
            loss = loss + torch.logsumexp(scores, 0) - scores[b]
        (loss / LANES).backward(retain_graph=True)
        if t % k == 0:
            state = {s: [h.detach() for h in hs] for s, hs in state.items()}
    return {name: p.grad.numpy() for name, p in w.items()}


@pytest.mark.oracle
@pytest.mark.parametrize("k", [1, 2, 3, 50])
@pytest.mark.parametrize(("hidden", "embedding"), [((4,), "shared"), ((3, 4), None)])
def test_gradients_are_those_of_autograd(k, hidden, embedding):
    log, negatives = world()
    model, net = network(k, hidden, embedding)
    mine = gradients(model, net, log, negatives, k)
    theirs = torch_gradients(model, net, log, negatives, k)
    for name, g in mine.items():
        np.testing.assert_allclose(g, theirs[name], rtol=0, atol=1e-10, err_msg=name)


def test_longer_windows_change_the_gradient():
    log, negatives = world()
    of = {}
    for k in (1, 2, 50):
        of[k] = gradients(*network(k, (4,), "shared"), log, negatives, k)["cells.0.U"]
    assert abs(of[2] - of[1]).max() > 1e-3
    assert abs(of[50] - of[2]).max() > 1e-3


def test_the_past_gets_no_gradient_from_another_session():
    """Rows whose session ended have none, whoever sits there next."""
    rng = np.random.default_rng(0)
    seen = []
    first = Step(lambda dloss, dstates: seen.append(dstates), np.array([], int), 4)
    dh = rng.normal(size=(2, 3))
    back_through_time([first, Step(lambda dloss, dstates: [dh], np.array([3, 1]), 3)], 4)
    ((got,),) = seen
    np.testing.assert_array_equal(got, [[0, 0, 0], dh[1], [0, 0, 0], dh[0]])


def test_dropout_is_the_same_in_forward_and_backward():
    """The state that is carried on is the dropped one: by central differences over two steps."""
    model, net = network(2, (4,), "shared", dropout_hidden=0.4, dropout_embed=0.2)
    item = np.array([[1, 2, 3], [4, 5, 1], [6, 7, 7]])
    objective, carried = model._objective(np.ones(N)), np.array([2, 0])

    def loss():
        rng, states, window, total = np.random.default_rng(5), net.start(0), [], 0.0
        for t in range(2):
            if t:
                states = [h[carried] for h in states]
            block = net.block(item[t], item[t + 1], np.array([8, 9]))
            (value, states), backward = net(block, states, objective, rng=rng)
            window.append(Step(backward, carried if t else carried[:0], 3))
            total += value
        return total, window

    _, window = loss()
    back_through_time(window, 3)
    for name, p in net.named_parameters():
        analytic, at = (
            p.dense_grad(),
            np.unravel_index(np.argmax(abs(p.dense_grad())), p.value.shape),
        )
        kept = p.value[at]
        sides = []
        for step in (1e-6, -1e-6):
            p.value[at] = kept + step
            sides.append(loss()[0])
        p.value[at] = kept
        assert analytic[at] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5), name


def test_training_with_windows():
    log, _ = world()
    fits = [GRU4Rec(hidden=(6,), bptt=3, batch_size=3, n_sample=4, epochs=3, lr=0.1).fit(log)
            for _ in range(2)]  # fmt: skip
    assert fits[0].losses_ == fits[1].losses_
    assert fits[0].losses_[-1] < fits[0].losses_[0]
