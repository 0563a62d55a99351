"""BasketWorld: each number of its equations is seen in what it samples."""

from dataclasses import replace

import numpy as np
import pytest

from nnlib.data import BasketWorld, Tastes, basket_pairs, baskets, set_pairs

WORLD = BasketWorld(
    n_items=400,
    n_clusters=20,
    zipf=0.5,
    stay=0.7,
    follow=0.5,
    lasting=0.15,
    noise=0.2,
    rare=0.0,
    seed=5,
)
N_USERS = 4000


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def sampled():
    """A log in which every user likes everything equally, and its items' clusters."""
    flat = Tastes(np.full((N_USERS, 20), 1 / 20), generator(1).integers(20, size=N_USERS))
    log = WORLD.sample(N_USERS, generator(2), flat)
    return log, WORLD.cluster[log.item_ids], flat


def close(found, expected, n):
    """Within five standard errors of a share of n independent events."""
    return abs(found - expected) < 5 * np.sqrt(expected * (1 - expected) / n)


def test_the_complement_map_is_one_cycle():
    at, visited = 0, []
    for _ in range(20):
        at = WORLD.complement[at]
        visited.append(int(at))
    assert sorted(visited) == list(range(20))
    item = 17
    assert (WORLD.cluster[WORLD.substitutes(item)] == WORLD.cluster[item]).all()
    assert WORLD.substitutes(item).sum() == 19
    assert not WORLD.substitutes(item)[item]
    assert WORLD.complements(item).sum() == 20
    back = WORLD.complements(int(np.flatnonzero(WORLD.complements(item))[0]))
    assert not back[item]  # directed


def test_popularity_is_zipfs_and_rare_items_are_rare():
    q = np.sort(WORLD.popularity)[::-1]
    np.testing.assert_allclose(q / q[0], np.arange(1, 401) ** -0.5)
    rare = replace(WORLD, rare=0.25, rarity=0.1)
    assert rare.is_rare.sum() == 100
    ratio = rare.popularity / WORLD.popularity
    np.testing.assert_allclose(ratio[rare.is_rare] / ratio[~rare.is_rare][0], 0.1)
    np.testing.assert_array_equal(rare.cluster, WORLD.cluster)  # nothing else moves
    np.testing.assert_array_equal(rare.brand, WORLD.brand)


def test_sizes_of_users_and_baskets(sampled):
    log, _, _ = sampled
    n_baskets = np.bincount(baskets(log).user)
    assert abs(n_baskets.mean() - 4) < 5 * np.sqrt(3 / N_USERS)
    size = baskets(log).lengths
    assert size.min() == 1
    assert 2.7 < size.mean() < 3  # 3, less what was drawn again
    within = [set(baskets(log).row(b).tolist()) for b in range(500)]
    assert [len(items) for items in within] == size[:500].tolist()
    first = log.time[log.offsets[:-1]]
    assert (first == 0).all()
    assert (np.diff(log.time)[np.diff(log.user) == 0] <= 1).all()


def test_items_of_a_basket_share_its_cluster_and_the_next_basket_its_complement(sampled):
    log, cluster, _ = sampled
    n, likely = 20, (1 - 0.2) * (1 - 0.15) * 0.7  # of an item to show its basket's cluster
    pairs = set_pairs(baskets(log), generator(), batch_size=10**6)
    i, j, _ = map(np.concatenate, zip(*pairs, strict=True))
    same = (cluster[i] == cluster[j]).mean()
    both = likely**2 + (0.8 * 0.15) ** 2  # or both are of the lasting taste
    # An item that is drawn again is dropped, which takes some of the pairs that agree.
    assert both < same < both + (1 - both) / n
    pairs = basket_pairs(log, 1, generator(), batch_size=10**6, directed=True)
    i, j = map(np.concatenate, zip(*pairs, strict=True))
    follows = (WORLD.complement[cluster[i]] == cluster[j]).mean()
    expected = likely**2 * 0.5
    assert expected < follows < expected + 1.2 / n
    against = (WORLD.complement[cluster[j]] == cluster[i]).mean()
    assert against < 1.2 / n
    assert follows > 3 * against


def test_the_lasting_taste_is_in_all_of_a_history_at_its_rate(sampled):
    log, cluster, tastes = sampled
    mine = cluster[log.item] == tastes.lasting[log.user_ids[log.user]]
    rate = 0.8 * 0.15 + (1 - 0.8 * 0.15) / 20
    assert close(mine.mean(), rate, log.n_events / 4)  # items of a basket are not independent
    # Also where the two purchases before show nothing of it.
    hidden = (log.user[2:] == log.user[:-2]) & ~mine[1:-1] & ~mine[:-2]
    assert mine[2:][hidden].mean() > 2 / 20


def test_noise_and_clusters_follow_popularity():
    everything = replace(WORLD, noise=1.0)
    log = everything.sample(N_USERS, generator())
    count = np.zeros(400)
    count[log.item_ids] = log.support()
    rank = np.argsort(-WORLD.popularity)
    share = count[rank[:40]].sum() / count.sum()
    assert abs(share - np.sort(WORLD.popularity)[::-1][:40].sum()) < 0.01
    pure = replace(WORLD, noise=0.0, stay=1.0, lasting=0.0)
    log = pure.sample(500, generator())
    cluster = pure.cluster[log.item_ids]
    assert all(len(set(cluster[baskets(log).row(b)].tolist())) == 1 for b in range(500))


def test_tastes_are_as_narrow_as_the_concentration_says():
    for concentration in (0.1, 10.0):
        theta = replace(WORLD, concentration=concentration).tastes(2000, generator()).theta
        np.testing.assert_allclose(theta.sum(axis=1), 1)
        expected = (concentration + 1) / (20 * concentration + 1)  # E Σ θ²
        np.testing.assert_allclose((theta**2).sum(axis=1).mean(), expected, rtol=0.05)


def test_metadata_follow_clusters_until_they_are_shuffled():
    true = WORLD.category == WORLD.cluster
    assert close(true.mean(), 0.9 + 0.1 / 20, 400)
    assert close((WORLD.brand // 4 == WORLD.cluster).mean(), 0.9 + 0.1 / 20, 400)
    assert len(np.unique(WORLD.brand)) > 70
    assert WORLD.metadata() == {i: int(c) for i, c in enumerate(WORLD.category)}
    assert WORLD.metadata("brand") == {i: int(b) for i, b in enumerate(WORLD.brand)}
    mixed = np.array(list(WORLD.metadata("category", shuffle=generator()).values()))
    np.testing.assert_array_equal(np.bincount(mixed), np.bincount(WORLD.category))
    assert (mixed == WORLD.cluster).mean() < 0.12
    exact = replace(WORLD, fidelity=1.0)
    np.testing.assert_array_equal(exact.category, exact.cluster)
    with pytest.raises(ValueError, match="kind='price': it must be 'category' or 'brand'"):
        WORLD.metadata("price")


def test_the_same_seeds_give_the_same_log_and_others_do_not():
    prints = [WORLD.sample(50, generator(seed)).fingerprint() for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]
    assert replace(WORLD, seed=6).sample(50, generator()).fingerprint() != prints[0]
    assert BasketWorld(n_items=2, n_clusters=2).sample(1, generator()).n_users == 1


def test_a_large_catalogue_is_sparse():
    log = BasketWorld().sample(3000, generator())
    assert log.n_items > 2500
    assert np.percentile(np.diff(log.offsets), 90) <= 20
    assert (log.support() <= 3).sum() + 3000 - log.n_items > 0.2 * 3000


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"n_clusters": 1}, "n_clusters=1: it must be at least 2"),
        ({"n_items": 3}, "n_items=3: it must be at least n_clusters, 50"),
        ({"zipf": -1}, "zipf=-1: it must be at least 0"),
        ({"concentration": 0}, "concentration=0: it must be above 0"),
        ({"n_baskets": 0.5}, "n_baskets=0.5: it must be at least 1"),
        ({"basket_size": np.nan}, "basket_size=nan: it must be at least 1"),
        ({"n_brands": 0}, "n_brands=0: it must be at least 1"),
        ({"stay": 1.1}, "stay=1.1: it must be 0 to 1"),
        ({"noise": -0.1}, "noise=-0.1: it must be 0 to 1"),
        ({"rarity": 0}, "rarity=0: it must be above 0 and at most 1"),
    ],
)
def test_settings_out_of_range(setting, sentence):
    with pytest.raises(ValueError, match=sentence):
        BasketWorld(**setting)


def test_users_out_of_range():
    with pytest.raises(ValueError, match="n_users=0: it must be at least 1"):
        WORLD.sample(0, generator())
    with pytest.raises(ValueError, match="tastes of 3 users are given for 4"):
        WORLD.sample(4, generator(), WORLD.tastes(3, generator()))
