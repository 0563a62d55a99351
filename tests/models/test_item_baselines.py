"""CoOccurrence, EASE and TruncatedSVD against their definitions on small logs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.data import DataError, Histories, Interactions
from nnlib.models import EASE, CoOccurrence, Popularity, TruncatedSVD
from nnlib.models.baselines import counting
from nnlib.models.embeddings import co_occurrence, ease


def random_log(seed, n_users=15, n_items=9, n=70):
    """Repeated events included."""
    rng = np.random.default_rng(seed)
    user = np.concatenate([rng.integers(n_users, size=n), [0, 0]])
    return Interactions.from_arrays(user, np.concatenate([rng.integers(n_items, size=n), [0, 1]]))


def indicator(log):
    X = np.zeros((log.n_users, log.n_items))
    X[log.user, log.item] = 1
    return X


def rows(n_items, *histories):
    lengths = [len(h) for h in histories]
    items = np.concatenate([np.array(h, np.int64) for h in histories]) % n_items
    return Histories.from_offsets(items, np.concatenate([[0], np.cumsum(lengths)]))


ASKED = ([0, 3, 3, 5], [], [1], [2, 4, 6, 8, 1])


def asked_matrix(n_items):
    A = np.zeros((len(ASKED), n_items))
    for b, h in enumerate(ASKED):
        A[b, np.array(h, np.int64) % n_items] = 1
    return A


@given(
    st.integers(0, 10**6),
    st.sampled_from(["none", "cosine"]),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([1, 7, 1 << 22]),
)
def test_co_occurrence(seed, normalize, k, pairs):
    log = random_log(seed)
    X, N = indicator(log), log.n_items
    S = X.T @ X
    n = np.diag(S).copy()
    np.fill_diagonal(S, 0)
    if normalize == "cosine":
        S /= np.sqrt(np.outer(n, n))
    if k is not None:
        for j in range(N):
            S[np.argsort(-S[:, j], kind="stable")[k:], j] = 0  # of j, its k nearest stay
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "PAIRS", pairs)
        patch.setattr(co_occurrence, "PAIRS", pairs)
        model = CoOccurrence(normalize=normalize, neighbours=k).fit(log)
        found = model.scores(rows(N, *ASKED))
    expected = asked_matrix(N) @ S + counting.tie_break(log.support())
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_ease_is_the_constrained_minimum():
    """Column by column: ridge regression of an item's column on all the other columns."""
    log = random_log(0, n_users=40, n=250)
    X, N, l2 = indicator(log), log.n_items, 3.0
    B = np.zeros((N, N))
    for j in range(N):
        others = [i for i in range(N) if i != j]
        A = X[:, others]
        B[others, j] = np.linalg.solve(A.T @ A + l2 * np.eye(N - 1), A.T @ X[:, j])
    model = EASE(l2=l2).fit(log)
    np.testing.assert_allclose(model.B_, B, atol=1e-10)
    assert (np.diag(model.B_) == 0).all()
    found = model.scores(rows(N, *ASKED))
    expected = asked_matrix(N) @ B + counting.tie_break(log.support())
    np.testing.assert_allclose(found, expected, atol=1e-10)


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_truncated_svd(seed, n_factors):
    log = random_log(seed)
    X = indicator(log)
    S = X.T @ X
    n = np.diag(S)
    S = S / np.sqrt(np.outer(n, n))
    model = TruncatedSVD(n_factors=n_factors).fit(log)
    assert model.E_.shape == (log.n_items, n_factors)
    w, U = np.linalg.eigh(S)
    w, U = w[::-1][:n_factors], U[:, ::-1][:, :n_factors]
    np.testing.assert_allclose(model.E_ @ model.O_.T, (U * w) @ U.T, atol=1e-6)
    length = np.linalg.norm(model.E_, axis=0)
    np.testing.assert_allclose(length[: len(w)] ** 2, np.maximum(w, 0), atol=1e-8)


@pytest.mark.parametrize("model", [EASE(), CoOccurrence()], ids=lambda m: type(m).__name__)
def test_an_empty_history_gets_popularity(model):
    log = random_log(1)
    best = model.fit(log).recommend([], 20)
    assert [i for i, _ in best] == [i for i, _ in Popularity().fit(log).recommend([], 20)]


def test_settings_and_limits(monkeypatch):
    for make, message in (
        (lambda: EASE(l2=0), "l2=0: it must be a finite number above 0"),
        (lambda: EASE(l2=float("nan")), "l2=nan"),
        (lambda: CoOccurrence(normalize="jaccard"), "normalize='jaccard'"),
        (lambda: CoOccurrence(neighbours=0), "neighbours=0"),
        (lambda: TruncatedSVD(n_factors=0), "n_factors=0"),
        (lambda: TruncatedSVD(seed=-1), "seed=-1"),
        (lambda: TruncatedSVD(score="dot"), "score='dot'"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    monkeypatch.setattr(ease, "MOST_ITEMS", 5)
    with pytest.raises(DataError, match="9 items: EASE inverts"):
        EASE().fit(random_log(0))
