"""Cross-entropies and their kin: gradients, closed forms, invariances, extreme scores."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlib.array import Array, Backward
from nnlib.check import assert_gradients
from nnlib.functional import softmax as sums
from nnlib.functional.softmax import exp_sum
from nnlib.losses import (
    cross_entropy,
    kl_divergence,
    logistic,
    reverse_kl_divergence,
    soft_cross_entropy,
)

B, N = 5, 7
Loss = Callable[[Array], tuple[Array, Backward]]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def distribution(rng: np.random.Generator, zeros: int = 0) -> Array:
    t = rng.random((B, N))
    t[:, :zeros] = 0
    return t / t.sum(axis=1, keepdims=True)


def log_softmax(s: Array) -> Array:
    s = s - s.max(axis=1, keepdims=True)
    return s - np.log(np.exp(s).sum(axis=1, keepdims=True))


def losses(rng: np.random.Generator) -> dict[str, Loss]:
    target, t = rng.integers(N, size=B), distribution(rng, zeros=2)
    log_count, y, w = rng.normal(size=N), rng.random((B, N)), rng.random((B, N))
    counts, positive = rng.poisson(1.0, (B, N)).astype(float), distribution(rng)
    return {
        "cross_entropy": lambda s: cross_entropy(s, target),
        "cross_entropy, weighted columns": lambda s: cross_entropy(s, target, log_count),
        "soft_cross_entropy": lambda s: soft_cross_entropy(s, t),
        "soft_cross_entropy, counts": lambda s: soft_cross_entropy(s, counts),
        "kl_divergence": lambda s: kl_divergence(s, t),
        "reverse_kl_divergence": lambda s: reverse_kl_divergence(s, positive),
        "logistic": lambda s: logistic(s, y),
        "logistic, weighted": lambda s: logistic(s, y, w),
    }


@pytest.mark.parametrize("name", losses(np.random.default_rng(0)))
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_gradient(name: str, scale: float, rng: np.random.Generator) -> None:
    assert_gradients(losses(rng)[name], scale * rng.normal(size=(B, N)))


def test_cross_entropy_is_minus_the_log_of_the_softmax(rng: np.random.Generator) -> None:
    s, target = rng.normal(size=(B, N)), rng.integers(N, size=B)
    loss, backward = cross_entropy(s, target)
    log_p = log_softmax(s)
    onehot = np.eye(N)[target]
    np.testing.assert_allclose(loss, -log_p[range(B), target].mean(), rtol=1e-14)
    np.testing.assert_allclose(backward(), (np.exp(log_p) - onehot) / B, atol=1e-16)
    loss, _ = cross_entropy(np.zeros((B, N)), target)
    np.testing.assert_allclose(loss, np.log(N), rtol=1e-15)


def test_a_count_is_that_many_equal_columns(rng: np.random.Generator) -> None:
    s, target, count = rng.normal(size=(B, N)), rng.integers(N, size=B), rng.integers(1, 4, N)
    column = np.repeat(np.arange(N), count)  # of the expanded form
    loss, backward = cross_entropy(s, target, np.log(count))
    expanded, back_expanded = cross_entropy(s[:, column], np.searchsorted(column, target))
    summed = np.zeros((N, B))
    np.add.at(summed, column, back_expanded().T)
    np.testing.assert_allclose(loss, expanded, rtol=1e-14)
    np.testing.assert_allclose(backward(), summed.T, atol=1e-16)


def test_a_column_of_log_weight_minus_infinity_does_not_exist(rng: np.random.Generator) -> None:
    s, target, log_weight = rng.normal(size=(B, N)), np.arange(B), rng.normal(size=N)
    log_weight[-1] = -np.inf
    loss, backward = cross_entropy(s, target, log_weight)
    without, back_without = cross_entropy(s[:, :-1], target, log_weight[:-1])
    np.testing.assert_allclose(loss, without, rtol=1e-14)
    np.testing.assert_allclose(backward()[:, :-1], back_without(), atol=1e-16)
    assert not backward()[:, -1].any()


def test_soft_targets(rng: np.random.Generator) -> None:
    s, target, t = rng.normal(size=(B, N)), rng.integers(N, size=B), distribution(rng, zeros=1)
    hard, soft = cross_entropy(s, target), soft_cross_entropy(s, np.eye(N)[target])
    np.testing.assert_allclose(hard[0], soft[0], rtol=1e-14)
    np.testing.assert_allclose(hard[1](), soft[1](), atol=1e-16)
    entropy = -(t[:, 1:] * np.log(t[:, 1:])).sum() / B
    kl, back_kl = kl_divergence(s, t)
    soft = soft_cross_entropy(s, t)
    np.testing.assert_allclose(kl + entropy, soft[0], rtol=1e-14)
    np.testing.assert_allclose(back_kl(), soft[1](), atol=1e-16)


def test_kl_is_zero_at_the_target_and_nowhere_negative(rng: np.random.Generator) -> None:
    t = distribution(rng)
    loss, backward = kl_divergence(np.log(t) + 3, t)
    assert abs(loss) < 1e-14
    assert abs(backward()).max() < 1e-15
    assert kl_divergence(rng.normal(size=(B, N)), t)[0] > 0


def test_reverse_kl_exchanges_the_sides(rng: np.random.Generator) -> None:
    p, t = distribution(rng), distribution(rng)
    reverse, _ = reverse_kl_divergence(np.log(p), t)
    np.testing.assert_allclose(reverse, (p * np.log(p / t)).sum() / B, rtol=1e-13)
    np.testing.assert_allclose(reverse, kl_divergence(np.log(t), p)[0], rtol=1e-12)
    assert abs(reverse - kl_divergence(np.log(p), t)[0]) > 0.01
    assert abs(reverse_kl_divergence(np.log(t), t)[1]()).max() < 1e-15


@pytest.mark.parametrize(
    "name", ["cross_entropy", "soft_cross_entropy", "kl_divergence", "reverse_kl_divergence"]
)
def test_softmax_losses_do_not_see_a_shift_of_a_row(name: str, rng: np.random.Generator) -> None:
    loss_of, s = losses(rng)[name], rng.normal(size=(B, N))
    shift = 100 * rng.normal(size=(B, 1))
    np.testing.assert_allclose(loss_of(s + shift)[0], loss_of(s)[0], rtol=1e-12)
    np.testing.assert_allclose(loss_of(s)[1]().sum(axis=1), 0, atol=1e-16)


def test_logistic_is_cross_entropy_of_two_columns(rng: np.random.Generator) -> None:
    s, y = rng.normal(size=B), np.array([0.0, 1, 1, 0, 1])
    loss, backward = logistic(s, y)
    two = cross_entropy(np.stack([np.zeros(B), s], axis=1), y.astype(int))
    np.testing.assert_allclose(loss, two[0], rtol=1e-14)
    np.testing.assert_allclose(backward(), two[1]()[:, 1], atol=1e-16)
    weighted, back_weighted = logistic(s, y, 3.0)
    np.testing.assert_allclose(weighted, 3 * loss, rtol=1e-14)
    np.testing.assert_allclose(back_weighted(), 3 * backward(), rtol=1e-14)


@pytest.mark.parametrize("size", [30.0, 100.0, 1e4])
@pytest.mark.parametrize("name", losses(np.random.default_rng(0)))
def test_single_precision_at_any_size_of_scores(
    name: str, size: float, rng: np.random.Generator
) -> None:
    loss_of = losses(rng)[name]
    for s in (np.full((B, N), size), -np.full((B, N), size), size * rng.normal(size=(B, N))):
        loss, backward = loss_of(s.astype(np.float32))
        exact, back_exact = loss_of(s.astype(np.float32).astype(np.float64))
        assert loss.dtype == backward().dtype == np.float32
        np.testing.assert_allclose(loss, exact, rtol=1e-5, atol=1e-7 * size)
        np.testing.assert_allclose(backward(), back_exact(), atol=2e-6)


def test_scores_that_are_not_finite_give_a_loss_that_is_not(rng: np.random.Generator) -> None:
    for bad in (np.nan, np.inf):
        s = rng.normal(size=(B, N)).astype(np.float32)
        s[1, 2] = bad
        assert not np.isfinite(cross_entropy(s, np.zeros(B, int))[0])


class TestExpSum:
    """With and without a shift, in blocks or not, it is the same softmax."""

    @pytest.mark.parametrize("rows", [1, 2, 100])
    def test_definition(
        self, rows: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sums, "BLOCK", rows * N)
        s, w, left_out = rng.normal(size=(B, N)), rng.integers(1, 4, N), rng.integers(N, size=B)
        weights = np.tile(w, (B, 1))
        weights[range(B), left_out] -= 1
        for shift in (0, 500, -500):
            e, z, top = exp_sum(s + shift, w.astype(float), left_out)
            np.testing.assert_allclose(e * np.exp(top - shift)[:, None], weights * np.exp(s))
            np.testing.assert_allclose(e.sum(axis=1), z)
            assert (top == 0).all() == (shift == 0)

    def test_rows_without_columns(self) -> None:
        for weight in (None, np.ones(1)):
            e, z, _ = exp_sum(np.ones((2, 1)), weight, np.zeros(2, int))
            assert not e.any()
            assert (z == 1).all()

    @pytest.mark.parametrize("log_weight", [-60.0, 60.0])
    def test_weights_far_from_one(self, log_weight: float) -> None:
        s = np.full((1, 3), -log_weight, np.float32)  # e^s alone is tiny, or huge
        weight = np.exp(np.full(3, log_weight)).astype(np.float32)
        for more in (0, 35):
            e, z, _ = exp_sum(s - np.float32(more), weight)
            np.testing.assert_allclose(e / z, np.full((1, 3), 1 / 3), rtol=1e-6)

    def test_a_weight_of_zero_leaves_a_column_out(self) -> None:
        for shift in (0.0, 500.0):
            e, z, _ = exp_sum(np.full((1, 3), shift), np.array([1.0, 0.0, 2.0]))
            np.testing.assert_allclose(e / z, [[1 / 3, 0, 2 / 3]])


@pytest.mark.oracle
def test_torch_agrees(rng: np.random.Generator) -> None:
    torch: Any = pytest.importorskip("torch")
    F = torch.nn.functional
    s, target, t, y = (
        rng.normal(size=(B, N)), rng.integers(N, size=B), distribution(rng), rng.random((B, N))
    )  # fmt: skip
    pairs: list[tuple[Loss, Any]] = [
        (lambda s: cross_entropy(s, target), lambda s: F.cross_entropy(s, torch.tensor(target))),
        (lambda s: soft_cross_entropy(s, t), lambda s: F.cross_entropy(s, torch.tensor(t))),
        (
            lambda s: kl_divergence(s, t),
            lambda s: F.kl_div(s.log_softmax(1), torch.tensor(t), reduction="batchmean"),
        ),
        (
            lambda s: logistic(s, y),
            lambda s: F.binary_cross_entropy_with_logits(s, torch.tensor(y), reduction="sum") / B,
        ),
    ]
    for ours, theirs in pairs:
        x = torch.tensor(s, requires_grad=True)
        theirs(x).backward()
        loss, backward = ours(s)
        np.testing.assert_allclose(loss, theirs(x).item(), rtol=1e-13)
        np.testing.assert_allclose(backward(), x.grad.numpy(), atol=1e-15)
