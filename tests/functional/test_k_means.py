import numpy as np

from nnlib.functional.k_means import k_means


def blobs(rng, n=40):
    centres = np.array([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    return np.repeat(centres, n, axis=0) + rng.normal(0, 0.5, (4 * n, 2))


def test_finds_separate_groups():
    rng = np.random.default_rng(0)
    x = blobs(rng)
    cluster, centres = k_means(x, 4, rng)
    groups = cluster.reshape(4, 40)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0].tolist())) == 4
    for c in range(4):
        np.testing.assert_allclose(centres[c], x[cluster == c].mean(axis=0))


def test_each_vector_belongs_to_its_nearest_centre():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 5))
    cluster, centres = k_means(x, 7, rng, iterations=500)
    distance = np.linalg.norm(x[:, None] - centres, axis=2)
    np.testing.assert_array_equal(cluster, distance.argmin(axis=1))


def test_as_many_clusters_as_vectors_and_all_vectors_equal():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(6, 3)).astype(np.float32)
    cluster, centres = k_means(x, 6, rng)
    assert sorted(cluster.tolist()) == list(range(6))
    assert centres.dtype == np.float32
    cluster, centres = k_means(np.ones((5, 2)), 3, rng)
    np.testing.assert_array_equal(centres, np.ones((3, 2)))
