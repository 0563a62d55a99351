"""HMMClicks: the sampler follows its equations, and the filter is exactly Bayes."""

import itertools

import numpy as np
import pytest

from nnlib.data import DataError, Histories, HMMClicks, Interactions, by_time
from nnlib.models.baselines.bayes import BayesCeiling

TINY = HMMClicks(
    n_items=5,
    n_categories=2,
    n_stages=3,  # with two, the chain would be symmetric
    n_pool=4,
    n_emit=2,
    decay=0.5,
    stay=0.5,
    advance=0.2,
    repeat=0.3,
    mean_length=4,
    seed=3,
)


def rows_of(*rows: list[int]) -> Histories:
    items = np.array([i for row in rows for i in row], np.int64)
    return Histories.from_offsets(items, np.cumsum([0, *map(len, rows)]))


def joint(world: HMMClicks, clicks: tuple[int, ...]) -> float:
    """p(x_1 … x_n), a sum over all paths of hidden states: equations (2)-(5), term by term."""
    total = 0.0
    for path in itertools.product(range(world.n_states), repeat=len(clicks)):
        p = 1 / world.n_states
        for t, (z, x) in enumerate(zip(path, clicks, strict=True)):
            if t:
                p *= world.transition[path[t - 1], z]
            own = world.noise * world.popularity[x] + (1 - world.noise) * world.emission[z, x]
            if t:
                again = clicks[:t].count(x) / t
                own = world.repeat * again + (1 - world.repeat) * own
            p *= own
        total += p
    return total


def test_the_filter_equals_a_sum_over_all_hidden_paths():
    histories = [[], [0], [4, 4], [1, 2, 1]]
    p = TINY.predictive(rows_of(*histories))
    for row, history in zip(p, histories, strict=True):
        exact = [joint(TINY, (*history, x)) for x in range(5)]
        before = joint(TINY, tuple(history)) if history else 1.0
        np.testing.assert_allclose(row, np.array(exact) / before, rtol=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-14)


def test_the_sampler_draws_from_the_same_distribution():
    n = 40_000
    x = TINY.sample(n, np.random.default_rng(0))
    start = x.offsets[:-1]
    raw = x.item_ids[x.item]
    long = np.diff(x.offsets) >= 3
    for length, begin in ((2, start), (3, start[long])):
        drawn = np.zeros((5,) * length)
        np.add.at(drawn, tuple(raw[begin + t] for t in range(length)), 1)
        exact = np.array([joint(TINY, c) for c in itertools.product(range(5), repeat=length)])
        expected = exact.reshape(drawn.shape) * len(begin)
        chi2 = ((drawn - expected) ** 2 / expected).sum()
        free = drawn.size - 1
        assert abs(chi2 - free) < 4 * np.sqrt(2 * free)


def test_lengths_are_geometric_from_two():
    log = HMMClicks().sample(20_000, np.random.default_rng(1))
    length = np.diff(log.offsets)
    assert length.min() == 2
    spread = np.sqrt(4 * 5 / 20_000)  # of the mean of G: mean 4, variance 4 · 5
    assert abs(length.mean() - 6) < 4 * spread
    assert abs((length == 2).mean() - 1 / 5) < 4 * np.sqrt(0.16 / 20_000)


def test_the_same_seed_gives_the_same_clicks():
    world = HMMClicks()
    log = world.sample(100, np.random.default_rng(7))
    assert log.fingerprint() == HMMClicks().sample(100, np.random.default_rng(7)).fingerprint()
    assert log.fingerprint() != world.sample(100, np.random.default_rng(8)).fingerprint()
    other = HMMClicks(seed=1).sample(100, np.random.default_rng(7))
    assert log.fingerprint() != other.fingerprint()


def test_sessions_come_in_time_order_and_a_day_has_about_per_day_of_them():
    log = HMMClicks(per_day=200).sample(2_000, np.random.default_rng(2))
    assert (np.diff(log.start_times()) > 0).all()
    assert log.user_ids.tolist() == list(range(2_000))
    test = by_time(log, seconds=86_400)[1]
    assert abs(test.n_users - 200) < 4 * np.sqrt(200)


def test_the_tables_are_distributions():
    world = HMMClicks()
    assert world.emission.shape == (64, 500)
    assert ((world.emission > 0).sum(axis=1) == 22).all()
    for table in (world.emission, world.transition, world.popularity[None], world.weights[None]):
        assert (table >= 0).all()
        np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-12)
    pools = (world.emission.reshape(16, 4, 500).sum(axis=1) > 0).sum(axis=1)
    assert (pools <= 60).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"n_stages": 1},
        {"n_categories": 1, "n_stages": 1},
        {"stay": 0.7, "advance": 0.3},
        {"noise": 0, "repeat": 0},
        {"n_items": 22, "n_pool": 22},
        {"n_emit": 1},
        {"mean_length": 2},
        {"zipf": 0, "decay": 1},
    ],
)
def test_extreme_worlds(changes):
    world = HMMClicks(**changes)
    log = world.sample(50, np.random.default_rng(0))
    raw = Histories(log.item_ids[log.item], log.offsets[:-1], log.offsets[1:])
    p = world.predictive(raw)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    for _, at, before in world.walk(raw):
        assert (before[np.arange(len(at)), raw.items[at + 1]] > 0).all()


def test_a_click_that_the_world_rules_out_is_survived():
    world = HMMClicks(noise=0)
    never = int(np.argmin(world.emission.sum(axis=0)))
    assert world.emission[:, never].sum() == 0
    p = world.predictive(rows_of([never], [never, never]))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ({"n_items": 0}, "at least 1"),
        ({"n_emit": 61}, "1 to 60"),
        ({"n_pool": 501}, "1 to 500"),
        ({"decay": 0}, "above 0 and at most 1"),
        ({"advance": 0.41}, "0 to 1 − stay"),
        ({"stay": -0.1}, "0 to 1"),
        ({"noise": 1}, "at least 0 and below 1"),
        ({"repeat": float("nan")}, "at least 0 and below 1"),
        ({"mean_length": 1.9}, "at least 2"),
        ({"per_day": 0}, "above 0"),
    ],
)
def test_wrong_settings(setting, allowed):
    name, value = next(iter(setting.items()))
    with pytest.raises(ValueError, match=f"{name}={value}: it must be {allowed}"):
        HMMClicks(**setting)
    with pytest.raises(ValueError, match="n_sessions=0"):
        HMMClicks().sample(0, np.random.default_rng(0))


# BayesCeiling


@pytest.fixture(scope="module")
def clicks():
    log = HMMClicks().sample(6_000, np.random.default_rng(4))
    train, test = by_time(log, fraction=0.2)
    return train, test.in_items_of(train.item_ids)[0]


def test_walk_gives_every_point_once_and_the_scores_of_its_prefix(clicks):
    train, test = clicks
    model = BayesCeiling().fit(train)
    sessions = test.histories().take(np.arange(40))
    points = []
    for row, at, scores in model.walk(sessions, block=16):
        assert len(at) <= 16
        points += at.tolist()
        assert (sessions.start[row] <= at).all()
        assert (at < sessions.stop[row] - 1).all()
        np.testing.assert_allclose(scores, model.scores(sessions.prefixes(row, at)), rtol=1e-12)
    assert sorted(points) == sessions.points().tolist()


def test_codes_of_the_log_are_translated(clicks):
    train, _ = clicks
    model = BayesCeiling().fit(train)
    raw = [int(train.item_ids[0]), int(train.item_ids[5])]
    p = model.world.predictive(rows_of(raw))[0]
    best = model.recommend(raw, n=3)
    assert [i for i, _ in best] == np.argsort(-p, kind="stable")[:3].tolist()
    np.testing.assert_allclose([score for _, score in best], np.sort(p)[:-4:-1])


def losses(p_of_target: np.ndarray) -> np.ndarray:
    return -np.log(p_of_target)


def test_no_other_prediction_is_as_good_as_bayes(clicks):
    """Log-loss is lowest, and the predicted probabilities come true as often as they say."""
    train, test = clicks
    blocks = list(BayesCeiling().fit(train).walk(test.histories()))
    at, p = (np.concatenate([block[k] for block in blocks]) for k in (1, 2))
    target = test.item[at + 1]
    bayes = losses(p[np.arange(len(at)), target])

    popular = train.support() / train.n_events
    follows = np.zeros((train.n_items, train.n_items))
    before = train.histories().points()
    np.add.at(follows, (train.item[before], train.item[before + 1]), 1)
    follows += 20 * popular
    markov = follows / follows.sum(axis=1, keepdims=True)
    for other in (popular[target], markov[test.item[at], target]):
        gain = losses(other) - bayes
        assert gain.mean() > 10 * gain.std() / np.sqrt(len(gain))

    entropy = -(p * np.log(p)).sum(axis=1)  # what the loss is on average, if p is right
    surprise = bayes - entropy
    assert abs(surprise.mean()) < 4 * surprise.std() / np.sqrt(len(surprise))
    for low, high in itertools.pairwise([0, 0.003, 0.01, 0.03, 0.1, 1]):
        chosen = (p >= low) & (p < high)
        hits = chosen[np.arange(len(at)), target].sum()
        expected = p[chosen].sum()
        assert abs(hits - expected) < 4 * np.sqrt(expected)


def test_save_and_load(clicks, tmp_path):
    train, test = clicks
    model = BayesCeiling(world=HMMClicks(noise=0.2)).fit(train)
    model.save(tmp_path / "bayes.safetensors")
    again = BayesCeiling.load(tmp_path / "bayes.safetensors")
    assert again == model
    few = test.histories().take(np.arange(5))
    assert np.array_equal(again.scores(few), model.scores(few))


def test_foreign_items_are_refused():
    for raw in ("7", 500, -1):
        with pytest.raises(DataError, match=f"item {raw!r} is none of the generator's, 0 to 499"):
            BayesCeiling().fit(Interactions.from_arrays([1], [raw]))


def test_a_stream_is_chunks_that_follow_one_another():
    chunks = list(HMMClicks().stream(2_000, np.random.default_rng(0), chunk=100))
    events = [log.n_events for log in chunks]
    assert sum(events[:-1]) < 2_000 <= sum(events)
    ids = np.concatenate([log.user_ids for log in chunks])
    np.testing.assert_array_equal(ids, np.arange(100 * len(chunks)))
    starts = np.concatenate([log.start_times() for log in chunks])
    assert (np.diff(starts) > 0).all()
    assert (chunks[0].item[:50] != chunks[1].item[:50]).any()
    first = HMMClicks().sample(100, np.random.default_rng(0))
    assert chunks[0].fingerprint() == first.fingerprint()
    with pytest.raises(ValueError, match="n_events=0"):
        next(HMMClicks().stream(0, np.random.default_rng(0)))
