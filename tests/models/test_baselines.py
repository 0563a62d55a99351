"""The baselines: each against a few lines of plain Python, and on real clicks."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlib.data import Histories, Interactions
from nnlib.metrics import evaluate
from nnlib.models.base import NotFittedError
from nnlib.models.baselines import (
    VSKNN,
    ItemKNN,
    Markov,
    Popularity,
    SessionKNN,
    SessionPopularity,
    counting,
    session_knn,
)

MODELS = [
    Popularity(),
    SessionPopularity(),
    Markov(),
    ItemKNN(k=3),
    SessionKNN(k=3, recent=5),
    VSKNN(k=3, recent=5),
]
by_name = pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)


@st.composite
def logs(draw):
    """Up to 12 sessions of up to 6 events on up to 8 items, starting at a few different times."""
    session = st.lists(st.integers(0, 7), min_size=1, max_size=6)
    sessions = [*draw(st.lists(session, max_size=11)), [0, 1]]
    starts = draw(st.lists(st.integers(0, 4), min_size=12, max_size=12))
    user = [u for u, s in enumerate(sessions) for _ in s]
    time = [100 * starts[u] + t for u, s in enumerate(sessions) for t in range(len(s))]
    return Interactions.from_arrays(user, [i for s in sessions for i in s], time)


histories = st.lists(st.lists(st.integers(0, 1), max_size=3) | st.lists(st.integers(0, 7)))


def as_histories(rows, n_items):
    """Ragged rows, items beyond the log's last wrapped around."""
    items = np.array([i % n_items for row in rows for i in row], np.int64)
    return Histories.from_offsets(items, np.cumsum([0, *map(len, rows)]))


def sessions_of(train):
    rows = train.histories()
    return [rows.row(b).tolist() for b in range(len(rows))]


def popularity_order(train):
    support = Counter(train.item.tolist())
    worst_first = sorted(range(train.n_items), key=lambda i: (support[i], -i))
    return {i: 1e-6 * (n + 1) / (train.n_items + 1) for n, i in enumerate(worst_first)}


def check(model, train, rows, reference):
    """`model` scores every row as `reference(row)`, a dictionary of what t is added to, says."""
    asked = as_histories(rows, train.n_items)
    t = popularity_order(train)
    found = model.fit(train).scores(asked)
    assert found.shape == (len(rows), train.n_items)
    for b, scores in enumerate(found):
        row = asked.row(b).tolist()
        expected = reference(row)
        expected = [expected.get(i, 0.0) + t[i] for i in range(train.n_items)]
        np.testing.assert_allclose(scores, expected, rtol=1e-12, atol=1e-13)
        assert len(set(scores.tolist())) == train.n_items  # no ties


@given(logs(), histories)
def test_popularity(train, rows):
    support = Counter(train.item.tolist())
    check(Popularity(), train, rows, lambda row: support)


@given(logs(), histories)
def test_session_popularity(train, rows):
    support = Counter(train.item.tolist())

    def reference(row):
        return {i: row.count(i) + support[i] / (1 + support[i]) for i in range(train.n_items)}

    check(SessionPopularity(), train, rows, reference)


@given(logs(), histories)
def test_markov(train, rows):
    pairs = [pair for s in sessions_of(train) for pair in pairwise(s)]

    def reference(row):
        return Counter(b for a, b in pairs if row and a == row[-1])

    check(Markov(), train, rows, reference)


@given(
    logs(),
    histories,
    st.integers(1, 9),
    st.sampled_from([0, 1, 20]),
    st.sampled_from([0, 0.5, 0.7, 1]),
)
def test_item_knn(train, rows, k, damping, alpha):
    sets, t = [set(s) for s in sessions_of(train)], popularity_order(train)
    support = Counter(train.item.tolist())

    def reference(row):
        if not row:
            return {}
        j, sim = row[-1], {}
        for i in range(train.n_items):
            together = sum(i in s and j in s for s in sets)
            if together and i != j:
                norm = (support[j] + damping) ** alpha * (support[i] + damping) ** (1 - alpha)
                sim[i] = together / norm
        nearest = sorted(sim, key=lambda i: (-sim[i], -t[i]))[:k]
        return {i: sim[i] for i in nearest}

    check(ItemKNN(k=k, damping=damping, alpha=alpha), train, rows, reference)


def latest_first(train):
    """Training sessions as sets, the most recent first; of equal times the later code."""
    start = train.start_times().tolist()
    order = sorted(range(train.n_users), key=lambda u: (start[u], u), reverse=True)
    sessions = sessions_of(train)
    return [set(sessions[u]) for u in order]


def neighbours(row, sets, similarity, k, recent):
    """(similarity, session) of the k best of the recent candidates; `sorted` is stable."""
    candidates = [n for n in sets if n & set(row)][:recent]
    return sorted(((similarity(n), n) for n in candidates), key=lambda c: -c[0])[:k]


@given(logs(), histories, st.integers(1, 6), st.integers(1, 12))
def test_session_knn(train, rows, k, recent):
    sets = latest_first(train)

    def reference(row):
        s, score = set(row), Counter()
        for sim, n in neighbours(
            row, sets, lambda n: len(s & n) / math.sqrt(len(s) * len(n)), k, recent
        ):
            score.update({i: sim for i in n})
        return score

    check(SessionKNN(k=k, recent=recent), train, rows, reference)


@given(
    logs(),
    histories,
    st.integers(1, 6),
    st.integers(1, 12),
    st.booleans(),
    st.sampled_from([0, 0.5, 2]),
)
def test_vsknn(train, rows, k, recent, match, idf):
    sets = latest_first(train)
    rarity = {i: math.log(len(sets) / sum(i in n for n in sets)) for i in range(train.n_items)}

    def reference(row):
        place = {i: p for p, i in enumerate(row, 1)}  # the last event on i wins
        score = Counter()
        for sim, n in neighbours(
            row, sets, lambda n: sum(place[i] for i in n if i in place) / len(row), k, recent
        ):
            last = next(back for back, i in enumerate(reversed(row), 1) if i in n)
            weight = sim / last if match else sim
            score.update({i: weight * (1 + idf * rarity[i]) for i in n})
        return score

    check(VSKNN(k=k, recent=recent, match=match, idf=idf), train, rows, reference)


@given(logs(), histories, st.integers(1, 4))
def test_blocks_do_not_change_the_result(train, rows, pairs):
    asked = as_histories(rows, train.n_items)
    models = [ItemKNN(k=3), SessionKNN(k=2), VSKNN(k=2)]
    whole = [m.fit(train).scores(asked) for m in models]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "PAIRS", pairs)
        patch.setattr(session_knn, "PAIRS", pairs)
        for m, expected in zip(models, whole, strict=True):
            np.testing.assert_array_equal(m.fit(train).scores(asked), expected)


@by_name
@given(train=logs())
def test_walk_scores_every_prefix(model, train):
    model = replace(model).fit(train)
    sessions = train.histories()
    for row, at, scores in model.walk(sessions, 5):
        for r, a, s in zip(row, at, scores, strict=True):
            prefix = Histories(sessions.items, sessions.start[r : r + 1], np.array([a + 1]))
            np.testing.assert_array_equal(s, model.scores(prefix)[0])


def clicks(n_sessions=300, n_items=40, seed=0):
    """Sessions that wander: mostly to the next item, sometimes anywhere; popular items first."""
    rng = np.random.default_rng(seed)
    user, item = [], []
    for u in range(n_sessions):
        at = rng.integers(n_items)
        for _ in range(rng.integers(2, 8)):
            user.append(u)
            item.append(int(at))
            jump = rng.random() < 0.3
            at = int(n_items * rng.random() ** 2) if jump else (at + 1) % n_items
    return Interactions.from_arrays(user, item)


@by_name
def test_a_saved_model_scores_the_same(model, tmp_path):
    train = clicks()
    model = replace(model).fit(train)
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model")
    assert again == model
    asked = train.histories()
    np.testing.assert_array_equal(again.scores(asked), model.scores(asked))
    assert again.recommend([3, 4]) == model.recommend([3, 4])


@by_name
def test_fitting_again_forgets_the_first_log(model):
    small, large = clicks(20, 10), clicks(50, 25, seed=1)
    once, twice = replace(model).fit(small), replace(model).fit(large).fit(small)
    assert once.arrays().keys() == twice.arrays().keys()
    for name, array in once.arrays().items():
        np.testing.assert_array_equal(twice.arrays()[name], array)


@by_name
def test_no_history_at_all_gives_no_scores(model):
    train = clicks(20, 10)
    empty = Histories(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert replace(model).fit(train).scores(empty).shape == (0, train.n_items)


@by_name
def test_an_empty_session_gets_the_popular_items(model):
    train = clicks()
    found = [item for item, _ in replace(model).fit(train).recommend([], n=5)]
    assert found == [item for item, _ in Popularity().fit(train).recommend([], n=5)]


@by_name
def test_asking_before_fitting_is_refused(model):
    with pytest.raises(NotFittedError, match="call fit"):
        replace(model).scores(Histories.from_offsets(np.array([0]), np.array([0, 1])))


@by_name
def test_logs_without_anything_to_learn_are_refused(model):
    with pytest.raises(ValueError, match=r"1 item\(s\): at least 2"):
        replace(model).fit(Interactions.from_arrays([0, 0], [5, 5]))
    with pytest.raises(ValueError, match="every training session has a single event"):
        replace(model).fit(Interactions.from_arrays([0, 1], [5, 6]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ItemKNN(k=0), "k=0"),
        (lambda: ItemKNN(damping=-1), "damping=-1"),
        (lambda: ItemKNN(damping=math.nan), "damping=nan"),
        (lambda: ItemKNN(alpha=1.5), "alpha=1.5"),
        (lambda: SessionKNN(k=0), "k=0"),
        (lambda: SessionKNN(recent=0), "recent=0"),
        (lambda: VSKNN(k=-2), "k=-2"),
        (lambda: VSKNN(idf=-0.5), "idf=-0.5"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_sequential_models_beat_popularity_where_order_matters():
    train, test = clicks(3000, seed=0), clicks(500, seed=1)
    recall = {
        type(m).__name__: evaluate(replace(m).fit(train), test, k=5)["recall@5"] for m in MODELS
    }
    assert all(recall[m] > recall["Popularity"] + 0.15 for m in ("Markov", "SessionKNN", "VSKNN"))
    assert recall["Markov"] == max(recall.values())


def test_similar_items_are_the_neighbours():
    train = Interactions.from_arrays([0, 0, 1, 1, 2, 2], ["a", "b", "a", "b", "a", "c"])
    found = ItemKNN(damping=0).fit(train).similar_items("a", n=2)
    assert [item for item, _ in found] == ["b", "c"]
    assert found[0][1] == pytest.approx(2 / math.sqrt(3 * 2), abs=2e-6)


def test_of_equally_similar_items_the_popular_one_is_kept():
    train = Interactions.from_arrays([0, 0, 1, 1, 2, 3], ["a", "b", "a", "c", "c", "c"])
    model = ItemKNN(k=1, damping=0, alpha=1).fit(train)  # alpha=1: supp_i does not count
    assert model.item_ids_[model.items_[0]] == "c"


def test_a_block_holds_what_fits_or_one_history(monkeypatch):
    model = SessionKNN(recent=10).fit(clicks(300, 12))  # ten sessions for each of 12 items
    asked = as_histories([[0, 1], [2], [], [3, 4, 5, 6], [7], [8]], 12)
    monkeypatch.setattr(session_knn, "PAIRS", 35)
    assert list(model._blocks(asked)) == [(0, 2), (2, 3), (3, 4), (4, 6)]
    monkeypatch.setattr(session_knn, "PAIRS", 1000)
    assert list(model._blocks(asked)) == [(0, 6)]


def test_forgotten_sessions_are_never_needed():
    """Only sessions among the latest of one of their items are kept, and the scores are exact."""
    train = clicks(2000, 12)
    small, large = SessionKNN(k=5, recent=20).fit(train), SessionKNN(k=5, recent=2000).fit(train)
    assert len(small.session_offsets_) - 1 <= 12 * 20 < len(large.session_offsets_) - 1 == 2000
    latest = latest_first(train)
    asked = as_histories([[0, 1, 2], [5]], 12)
    for b, scores in enumerate(small.scores(asked)):
        s, expected = set(asked.row(b).tolist()), np.zeros(12)
        sim = lambda n, s=s: len(s & n) / math.sqrt(len(s) * len(n))
        for value, n in neighbours(s, latest, sim, 5, 20):
            expected[list(n)] += value
        np.testing.assert_allclose(scores, expected, atol=1.1e-6)


def test_runs_of_nothing_and_of_one():
    assert [a.tolist() for a in counting.runs(np.zeros(0, np.int64))] == [[], []]
    assert [a.tolist() for a in counting.runs(np.array([0, 0, 4]))] == [[0, 2], [2, 1]]


REAL = [  # recall@20, MRR@20 on rsc15-100k, train_full → test, 10,152 points, conservative ties
    (Popularity(), 0.0894, 0.0264),
    (SessionPopularity(), 0.3813, 0.2653),
    (ItemKNN(), 0.4078, 0.1883),
    (Markov(), 0.5907, 0.3436),
    (SessionKNN(), 0.6461, 0.3212),
    (VSKNN(), 0.6753, 0.3469),
    (VSKNN(match=True, idf=1.0), 0.6820, 0.3649),
]


@pytest.fixture(scope="module")
def rsc15(shared_data):
    folder = shared_data / "rsc15-100k"
    return [Interactions.from_tsv(folder / f"{part}.tsv") for part in ("train_full", "test")]


@pytest.mark.parametrize(("model", "recall", "mrr"), REAL, ids=lambda case: str(case)[:24])
def test_real_clicks(model, recall, mrr, rsc15):
    train, test = rsc15
    found = evaluate(model.fit(train), test)
    assert found["n_points"] == 10_152
    assert found["recall@20"] == pytest.approx(recall, abs=5e-4)
    assert found["mrr@20"] == pytest.approx(mrr, abs=5e-4)


def test_markov_without_popularity_is_where_tie_modes_part(rsc15):
    """Followers alone: .563, .579 and .836 by the tie mode, for one and the same model."""
    train, test = rsc15
    model = Markov().fit(train)
    model.tie_break_ = np.zeros(train.n_items)
    with pytest.warns(UserWarning, match="saturate or are constant"):
        found = {
            ties: evaluate(model, test, k=20, ties=ties)["recall@20"]
            for ties in ("conservative", "median", "standard")
        }
    assert list(found.values()) == pytest.approx([0.5626, 0.5790, 0.8363], abs=5e-4)
