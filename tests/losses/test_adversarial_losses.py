"""Losses of generative adversarial nets: closed forms, the game's value, vanishing gradients."""

import numpy as np
import pytest

from nnlib.losses import discriminator_loss, generator_loss, minimax_generator_loss


def sigmoid(s: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-s))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def test_each_batch_is_a_mean_of_its_own(rng: np.random.Generator) -> None:
    real, fake = rng.normal(size=(5, 1)), rng.normal(size=(7, 1))
    loss, backward = discriminator_loss(real, fake)
    expected = -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-14)
    dreal, dfake = backward(2.0)
    np.testing.assert_allclose(dreal, 2 * (sigmoid(real) - 1) / 5, rtol=1e-13)
    np.testing.assert_allclose(dfake, 2 * sigmoid(fake) / 7, rtol=1e-13)


def test_not_knowing_costs_log_4() -> None:
    assert discriminator_loss(np.zeros(3), np.zeros(4))[0] == pytest.approx(np.log(4))


def test_the_best_discriminator_pays_log_4_less_twice_the_divergence(
    rng: np.random.Generator,
) -> None:
    p, q = rng.integers(1, 20, 6), rng.integers(1, 20, 6)
    p, q = p * q.sum(), q * p.sum()  # equal sums: as many examples of each
    n, best = p.sum(), np.log(p / q)  # σ(best) = p / (p + q)
    loss, backward = discriminator_loss(np.repeat(best, p), np.repeat(best, q))
    m = (p + q) / 2
    jsd = (p * np.log(p / m) + q * np.log(q / m)).sum() / (2 * n)
    np.testing.assert_allclose(loss, np.log(4) - 2 * jsd, rtol=1e-12)
    dreal, dfake = backward()  # a score's derivative: over all examples at its place
    real_at, fake_at = np.repeat(np.arange(6), p), np.repeat(np.arange(6), q)
    slope = np.bincount(real_at, dreal) + np.bincount(fake_at, dfake)
    np.testing.assert_allclose(slope, 0, atol=1e-14)


def test_both_generator_losses(rng: np.random.Generator) -> None:
    fake = rng.normal(size=(6, 1))
    loss, backward = generator_loss(fake)
    np.testing.assert_allclose(loss, -np.log(sigmoid(fake)).mean(), rtol=1e-14)
    minimax, back_minimax = minimax_generator_loss(fake)
    np.testing.assert_allclose(minimax, np.log(1 - sigmoid(fake)).mean(), rtol=1e-14)
    np.testing.assert_allclose(back_minimax() / backward(), np.exp(fake), rtol=1e-12)


def test_the_game_is_of_zero_sum(rng: np.random.Generator) -> None:
    fake = rng.normal(size=(6, 1))
    _, back_discriminator = discriminator_loss(rng.normal(size=(5, 1)), fake)
    _, back_generator = minimax_generator_loss(fake)
    np.testing.assert_allclose(back_generator(), -back_discriminator()[1], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_the_discriminator_is_sure_only_one_of_them_has_a_gradient(dtype: type) -> None:
    fake = np.full((4, 1), -40, dtype)
    loss, backward = generator_loss(fake)
    assert loss == 40
    np.testing.assert_allclose(backward(), -0.25)
    assert np.abs(minimax_generator_loss(fake)[1]()).max() < 1e-17
    assert np.isfinite(discriminator_loss(fake * 100, -fake * 100)[0])
