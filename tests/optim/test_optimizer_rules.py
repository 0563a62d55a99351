"""Every rule against a restatement in a few lines, its first step, and a quadratic."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from nnlib.array import Array
from nnlib.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
    l2_penalty,
)
from nnlib.parameter import Parameter

Rule = Callable[[Array, list[Array]], Iterator[Array]]  # θ₀, gradients → θ after each step

LR = 0.1


def sgd(x: Array, gs: list[Array]) -> Iterator[Array]:
    for g in gs:
        x = x - LR * g
        yield x


def momentum(x: Array, gs: list[Array]) -> Iterator[Array]:
    v = np.zeros_like(x)
    for g in gs:
        v = 0.8 * v - LR * g
        x = x + v
        yield x


def nesterov(x: Array, gs: list[Array]) -> Iterator[Array]:
    v = np.zeros_like(x)
    for g in gs:
        v = 0.8 * v - LR * g
        x = x + 0.8 * v - LR * g
        yield x


def adagrad(x: Array, gs: list[Array]) -> Iterator[Array]:
    for t in range(len(gs)):
        x = x - LR * gs[t] / (np.sqrt(0.3 + sum(g**2 for g in gs[: t + 1])) + 0.01)
        yield x


def gru4rec_adagrad(x: Array, gs: list[Array]) -> Iterator[Array]:
    acc, v = np.zeros_like(x), np.zeros_like(x)
    for g in gs:
        acc = acc + g**2
        v = 0.3 * v - LR * g / np.sqrt(acc + 1e-6)
        x = x + v
        yield x


def rmsprop(x: Array, gs: list[Array]) -> Iterator[Array]:
    for t in range(len(gs)):
        mean = sum(0.1 * 0.9 ** (t - i) * gs[i] ** 2 for i in range(t + 1))
        x = x - LR * gs[t] / (np.sqrt(mean) + 0.01)
        yield x


def adadelta(x: Array, gs: list[Array]) -> Iterator[Array]:
    G, D = np.zeros_like(x), np.zeros_like(x)
    for g in gs:
        G = 0.95 * G + 0.05 * g**2
        u = np.sqrt(D + 1e-4) / np.sqrt(G + 1e-4) * g
        D = 0.95 * D + 0.05 * u**2
        x = x - u
        yield x


def adam(x: Array, gs: list[Array]) -> Iterator[Array]:
    for t in range(1, len(gs) + 1):
        m = sum(0.1 * 0.9 ** (t - i) * gs[i - 1] for i in range(1, t + 1)) / (1 - 0.9**t)
        v = sum(0.01 * 0.99 ** (t - i) * gs[i - 1] ** 2 for i in range(1, t + 1)) / (1 - 0.99**t)
        x = x - LR * m / (np.sqrt(v) + 0.01)
        yield x


def adamw(x: Array, gs: list[Array]) -> Iterator[Array]:
    before = np.zeros_like(x)
    for u in adam(before, gs):  # Adam's steps do not depend on where they begin
        x = x - LR * 0.2 * x + (u - before)
        before = u
        yield x


Make = Callable[[list[Parameter]], Optimizer]
RULES: dict[str, tuple[Make, Rule]] = {
    "SGD": (lambda p: SGD(p, LR), sgd),
    "Momentum": (lambda p: Momentum(p, LR, momentum=0.8), momentum),
    "Nesterov": (lambda p: Nesterov(p, LR, momentum=0.8), nesterov),
    "Adagrad": (lambda p: Adagrad(p, LR, initial=0.3, eps=0.01), adagrad),
    "Adagrad of GRU4Rec": (
        lambda p: Adagrad(p, LR, momentum=0.3, initial=1e-6, eps=0.0),
        gru4rec_adagrad,
    ),
    "RMSProp": (lambda p: RMSProp(p, LR, eps=0.01), rmsprop),
    "Adadelta": (lambda p: Adadelta(p, eps=1e-4), adadelta),
    "Adam": (lambda p: Adam(p, LR, betas=(0.9, 0.99), eps=0.01), adam),
    "AdamW": (
        lambda p: AdamW(p, LR, betas=(0.9, 0.99), eps=0.01, weight_decay=0.2),
        adamw,
    ),
}


def step(optimizer: Optimizer, g: Array) -> Array:
    """The parameter after a step with gradient g, as a copy."""
    (p,) = optimizer.params
    p.accumulate(np.array(g, p.value.dtype))
    optimizer.step()
    return p.value.copy()


def first_step(make: Make, g: Array) -> Array:
    return step(make([Parameter(np.zeros(len(g)))]), g)


@pytest.mark.parametrize("name", RULES)
def test_twenty_steps(name: str) -> None:
    make, restated = RULES[name]
    rng = np.random.default_rng(0)
    start, gs = rng.normal(size=(3, 2)), list(rng.normal(size=(20, 3, 2)))
    optimizer = make([Parameter(start.copy())])
    for g, expected in zip(gs, restated(start, gs), strict=True):
        np.testing.assert_allclose(step(optimizer, g), expected, rtol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_single_precision_stays_single(name: str) -> None:
    p = Parameter(np.ones(3, np.float32))
    optimizer = RULES[name][0]([p])
    assert step(optimizer, np.ones(3)).dtype == np.float32
    assert all(slot.dtype == np.float32 for slot in optimizer.slots[0].values())


@pytest.mark.parametrize("name", RULES)
def test_the_gradient_is_not_written_to(name: str) -> None:
    p, g = Parameter(np.ones(3)), np.array([1.0, -2.0, 3.0])
    g.flags.writeable = False
    p.accumulate(g)
    RULES[name][0]([p]).step()
    assert p.grad is None


@pytest.mark.parametrize("name", RULES)
def test_a_quadratic_is_minimised(name: str) -> None:
    scale, x0 = np.array([1.0, 4.0, 25.0]), np.array([1.0, -2.0, 0.5])
    make: dict[str, Make] = {
        "SGD": lambda p: SGD(p, 0.04),
        "Momentum": lambda p: Momentum(p, 0.02, momentum=0.8),
        "Nesterov": lambda p: Nesterov(p, 0.02, momentum=0.8),
        "Adagrad": lambda p: Adagrad(p, 0.5),
        "Adagrad of GRU4Rec": lambda p: Adagrad(p, 0.3, momentum=0.3, initial=1e-6, eps=0.0),
        "RMSProp": lambda p: RMSProp(p, 0.002),
        "Adadelta": Adadelta,
        "Adam": lambda p: Adam(p, 0.05),
        "AdamW": lambda p: AdamW(p, 0.05, weight_decay=0.1),
    }
    left = 1e-3 if name == "Adadelta" else 1e-4  # it swings: its step is as long as past steps
    p = Parameter(x0.copy())
    optimizer = make[name]([p])
    for _ in range(1500):
        step(optimizer, scale * p.value)
    assert 0.5 * (scale * p.value**2).sum() < left * 0.5 * (scale * x0**2).sum()


G = np.array([3.0, -1e-2, 1e-4])


@pytest.mark.parametrize(
    ("make", "length", "tolerance"),
    [
        (lambda p: Adagrad(p, LR), LR, 2e-4),
        (lambda p: Adagrad(p, LR, initial=1e-6, eps=0.0), LR, 1.0),  # 10⁻⁴ is below √10⁻⁶
        (lambda p: Adam(p, LR), LR, 2e-4),
        (lambda p: RMSProp(p, LR), LR / np.sqrt(0.1), 4e-4),  # 3.16 η: no bias correction
    ],
)
def test_the_first_step_is_the_sign(make: Make, length: float, tolerance: float) -> None:
    np.testing.assert_allclose(first_step(make, G)[:2], -length * np.sign(G)[:2], rtol=1e-2)
    np.testing.assert_allclose(first_step(make, G), -length * np.sign(G), rtol=tolerance)


def test_adams_epsilon_stands_outside_the_root() -> None:
    """Inside, the step of |g| = 10⁻⁵ would be a tenth."""
    x = first_step(lambda p: Adam(p, LR), np.array([1e-5]))
    np.testing.assert_allclose(x, -LR, rtol=2e-3)
    inside = LR * 1e-5 / np.sqrt(1e-5**2 + 1e-8)
    assert abs(x[0]) > 9 * inside


def test_decay_inside_adam_is_no_decay_and_decoupled_it_is() -> None:
    """Noise of size 1 and 100 on two weights that the loss does not need."""
    rng, lr, decay = np.random.default_rng(3), 0.01, 0.5
    coupled, decoupled = Parameter(np.ones(2)), Parameter(np.ones(2))
    first, second = Adam([coupled], lr), AdamW([decoupled], lr, weight_decay=decay)
    left = []
    for _ in range(400):
        g = rng.choice([-1.0, 1.0], size=2) * [1, 100]
        coupled.accumulate(g.copy())
        l2_penalty([coupled], decay)
        first.step()
        step(second, g)
        left.append((coupled.value.copy(), decoupled.value.copy()))
    (small, large), (a, b) = left[-1]
    assert a == pytest.approx((1 - lr * decay) ** 400, abs=0.25)
    assert b == pytest.approx(a, abs=0.25)
    assert large - small > 0.4


def test_adadeltas_epsilon_decides_its_first_step() -> None:
    x = first_step(Adadelta, np.array([3.0, -20.0]))
    np.testing.assert_allclose(x, np.sqrt(1e-6 / 0.05) * np.array([-1, 1]), rtol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: Adagrad(p, LR, eps=0.0),
        lambda p: RMSProp(p, LR, eps=0.0),
        lambda p: Adam(p, LR, eps=0.0),
    ],
)
def test_without_epsilon_the_unit_of_the_loss_does_not_matter(make: Make) -> None:
    gs = np.random.default_rng(1).normal(size=(10, 4))
    small, large = make([Parameter(np.zeros(4))]), make([Parameter(np.zeros(4))])
    for g in gs:
        np.testing.assert_allclose(step(small, g), step(large, 1000 * g), rtol=1e-10)


def test_nesterov_evaluates_the_gradient_where_the_step_leads() -> None:
    """The textbook form, with the gradient at θ + μ v, against the form in θ̂."""
    scale, theta, v = np.array([1.0, 10.0]), np.array([1.0, 1.0]), np.zeros(2)
    p = Parameter(theta.copy())
    optimizer = Nesterov([p], 0.05, momentum=0.9)
    for _ in range(30):
        v = 0.9 * v - 0.05 * scale * (theta + 0.9 * v)
        theta = theta + v
        step(optimizer, scale * p.value)
        np.testing.assert_allclose(p.value, theta + 0.9 * v, rtol=1e-12, atol=1e-15)


def test_momentum_needs_the_root_of_the_steps_that_sgd_needs() -> None:
    """On ½ Σ a x² with a from 1 to κ = 1,000, each at its best fixed learning rate."""
    low, high = 1.0, 1000.0

    def steps(make: Make) -> int:
        p = Parameter(np.ones(2))
        optimizer = make([p])
        for t in range(20_000):
            if abs(p.value).max() < 1e-6:
                return t
            step(optimizer, np.array([low, high]) * p.value)
        raise AssertionError("no convergence")

    root = np.sqrt(high / low)
    lr = 4 / (np.sqrt(high) + np.sqrt(low)) ** 2
    slow = steps(lambda p: SGD(p, 2 / (low + high)))
    fast = steps(lambda p: Momentum(p, lr, momentum=((root - 1) / (root + 1)) ** 2))
    assert slow > 5 * fast


@pytest.mark.oracle
def test_torch_agrees() -> None:
    torch: Any = pytest.importorskip("torch")
    O = torch.optim
    pairs: list[tuple[Make, Any]] = [
        (lambda p: SGD(p, LR), lambda p: O.SGD(p, LR)),
        (lambda p: Momentum(p, LR, 0.9), lambda p: O.SGD(p, LR, momentum=0.9)),
        (lambda p: Nesterov(p, LR, 0.9), lambda p: O.SGD(p, LR, momentum=0.9, nesterov=True)),
        (
            lambda p: Adagrad(p, LR, initial=0.1, eps=1e-3),
            lambda p: O.Adagrad(p, LR, initial_accumulator_value=0.1, eps=1e-3),
        ),
        (lambda p: RMSProp(p, LR), lambda p: O.RMSprop(p, LR, alpha=0.9)),
        (lambda p: Adadelta(p, 0.5, decay=0.9), lambda p: O.Adadelta(p, 0.5)),
        (Adam, O.Adam),
        (lambda p: AdamW(p, LR, weight_decay=0.3), lambda p: O.AdamW(p, LR, weight_decay=0.3)),
    ]
    gs = np.random.default_rng(2).normal(size=(20, 5))
    for make, make_theirs in pairs:
        ours, theirs = make([Parameter(np.zeros(5))]), torch.zeros(5, dtype=torch.float64)
        optimizer = make_theirs([theirs])
        for g in gs:
            theirs.grad = torch.tensor(g)
            optimizer.step()
            np.testing.assert_allclose(step(ours, g), theirs.numpy(), rtol=1e-9, atol=1e-12)
