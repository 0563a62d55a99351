"""Cross-entropy over time: a mean over the steps that count, and nothing else."""

import numpy as np
import pytest

from nnlib.functional.sequences import step_mask
from nnlib.losses import cross_entropy, sequence_cross_entropy

T, B, N = 5, 3, 4
LENGTHS = np.array([2, T, 1])


def test_it_is_the_cross_entropy_of_the_steps_that_count() -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(T, B, N)), rng.integers(N, size=(T, B))
    pairs = [(t, b) for b in range(B) for t in range(LENGTHS[b])]
    losses = [cross_entropy(scores[t, b][None], target[t, b][None])[0] for t, b in pairs]
    loss, backward = sequence_cross_entropy(scores, target, LENGTHS)
    assert loss == pytest.approx(np.mean(losses), rel=1e-13)
    assert loss.shape == ()
    dscores = backward(0.5)
    for t in range(T):
        for b in range(B):
            if t < LENGTHS[b]:
                p = np.exp(scores[t, b]) / np.exp(scores[t, b]).sum()
                expected = 0.5 * (p - np.eye(N)[target[t, b]]) / len(pairs)
                np.testing.assert_allclose(dscores[t, b], expected, rtol=1e-12)
            else:
                assert not dscores[t, b].any()


def test_padding_is_neither_counted_nor_read() -> None:
    rng = np.random.default_rng(1)
    scores, target = rng.normal(size=(T, B, N)), rng.integers(N, size=(T, B))
    mask = step_mask(LENGTHS, T)
    short = sequence_cross_entropy(scores, target, LENGTHS)
    scores[~mask], target[~mask] = np.nan, -1
    padded = np.concatenate([scores, scores]), np.concatenate([target, target])
    loss, backward = sequence_cross_entropy(*padded, LENGTHS)
    assert loss == short[0]
    np.testing.assert_array_equal(backward()[:T], short[1]())
    assert not backward()[T:].any()
    assert sequence_cross_entropy(scores, target, mask)[0] == loss


def test_without_lengths_all_steps_count_and_without_steps_there_is_no_mean() -> None:
    rng = np.random.default_rng(2)
    scores, target = rng.normal(size=(T, B, N)), rng.integers(N, size=(T, B))
    loss, backward = sequence_cross_entropy(scores, target)
    rows, back_rows = cross_entropy(scores.reshape(-1, N), target.ravel())
    assert loss == rows
    np.testing.assert_array_equal(backward(), back_rows().reshape(T, B, N))
    single = sequence_cross_entropy(scores.astype(np.float32), target, LENGTHS)
    assert single[0].dtype == single[1]().dtype == np.float32
    with pytest.raises(ValueError, match="no step counts"):
        sequence_cross_entropy(scores, target, np.zeros(B, int))
