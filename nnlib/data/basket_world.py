"""BasketWorld: a seeded generator of baskets whose substitutes and complements are known."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from nnlib.array import Array
from nnlib.data.interactions import Interactions
from nnlib.data.synthetic import check_setting


class Tastes(NamedTuple):
    """What the users of a `BasketWorld` like.

    Shapes
        theta (M, C), rows sum to 1 · lasting (M,) a cluster
    """

    theta: Array
    lasting: Array


@dataclass(kw_only=True, frozen=True)
class BasketWorld:
    """Baskets of users who buy substitutes together and complements next time.

    Each of N items is in one of C clusters of equal size: items of a cluster are substitutes.  The
    complement map π is one cycle through all clusters, so that π(π(c)) ≠ c if C > 2 and the order
    of baskets tells something.  With popularity q ∝ 1 / rank^`zipf` over all items, a user has

        (1) θ ~ Dirichlet(`concentration`)         taste, over the clusters
        (2) m uniform over the clusters            a lasting minority taste
        (3) B = 1 + Poisson(`n_baskets` − 1)       baskets
    and basket t has

        (4) z_1 ~ θ;  z_t = π(z_{t−1}) with probability `follow`, otherwise z_t ~ θ
        (5) S = 1 + Poisson(`basket_size` − 1)     items, drawn one by one:
        (6) c = m with probability `lasting`;  otherwise z_t with probability `stay`, otherwise ~ θ
        (7) x ~ q with probability `noise`, otherwise x ~ q among the items of cluster c
    An item drawn again for the same basket is not bought again.  The cluster z_t shows in all of a
    basket, π(z_t) in the next one, and m, with `lasting` small, in hardly any two purchases in a
    row: only the whole history tells it.

    Metadata follow the clusters loosely.  With probability `fidelity` an item's category is its
    cluster and its brand one of its cluster's `n_brands`, otherwise any; a category and a brand
    are drawn independently.  Of all items a share `rare` has its popularity multiplied by `rarity`.

    Raw item ids are 0 … N−1, so that the clusters of a log's items are `cluster[log.item_ids]`; its
    item codes differ from them, as items are coded in order of appearance and may never appear.

    Arguments
        n_items: N ≥ C
        n_clusters: C ≥ 2
        zipf: exponent ≥ 0
        concentration: > 0, small: a user likes few clusters
        n_baskets, basket_size: means, ≥ 1
        follow, lasting, stay, noise, fidelity, rare: probabilities or shares, 0 to 1
        rarity: factor, above 0 and at most 1
        n_brands: of a cluster, ≥ 1
        seed: of the world (clusters, π, popularity, metadata), not of the users
    """

    n_items: int = 3000
    n_clusters: int = 50
    zipf: float = 0.6
    concentration: float = 0.3
    n_baskets: float = 4.0
    basket_size: float = 3.0
    follow: float = 0.7
    lasting: float = 0.0
    stay: float = 0.9
    noise: float = 0.1
    fidelity: float = 0.9
    rare: float = 0.2
    rarity: float = 0.1
    n_brands: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        check_setting("n_clusters", self.n_clusters, self.n_clusters >= 2, "at least 2")
        fits = self.n_items >= self.n_clusters
        check_setting("n_items", self.n_items, fits, f"at least n_clusters, {self.n_clusters}")
        check_setting("zipf", self.zipf, 0 <= self.zipf < math.inf, "at least 0")
        fits = 0 < self.concentration < math.inf
        check_setting("concentration", self.concentration, fits, "above 0")
        for name in ("n_baskets", "basket_size", "n_brands"):
            value = getattr(self, name)
            check_setting(name, value, 1 <= value < math.inf, "at least 1")
        for name in ("follow", "lasting", "stay", "noise", "fidelity", "rare"):
            value = getattr(self, name)
            check_setting(name, value, 0 <= value <= 1, "0 to 1")
        check_setting("rarity", self.rarity, 0 < self.rarity <= 1, "above 0 and at most 1")

    @cached_property
    def _world(self) -> dict[str, Array]:
        rng = np.random.default_rng(self.seed)
        N, C = self.n_items, self.n_clusters
        cluster = rng.permutation(np.arange(N) % C)
        cycle = rng.permutation(C)
        complement = np.empty(C, np.int64)
        complement[cycle] = np.roll(cycle, -1)
        rank = 1 + rng.permutation(N)
        rare = np.zeros(N, bool)
        rare[rng.permutation(N)[: round(self.rare * N)]] = True
        weight = rank**-self.zipf * np.where(rare, self.rarity, 1.0)
        true = rng.random(N) < self.fidelity
        category = np.where(true, cluster, rng.integers(C, size=N))
        true = rng.random(N) < self.fidelity
        home = np.where(true, cluster, rng.integers(C, size=N))
        return {
            "cluster": cluster,
            "complement": complement,
            "popularity": weight / weight.sum(),
            "is_rare": rare,
            "category": category,
            "brand": home * self.n_brands + rng.integers(self.n_brands, size=N),
        }

    @property
    def cluster(self) -> Array:
        """Cluster of every item, (N,)."""
        return self._world["cluster"]

    @property
    def complement(self) -> Array:
        """π, (C,)."""
        return self._world["complement"]

    @property
    def popularity(self) -> Array:
        """q, (N,)."""
        return self._world["popularity"]

    @property
    def is_rare(self) -> Array:
        """Which items had their popularity lowered, (N,) bool."""
        return self._world["is_rare"]

    @property
    def category(self) -> Array:
        """0 … C−1, (N,)."""
        return self._world["category"]

    @property
    def brand(self) -> Array:
        """0 … C·n_brands−1, (N,)."""
        return self._world["brand"]

    def metadata(
        self,
        kind: Literal["category", "brand"] = "category",
        shuffle: np.random.Generator | None = None,
    ) -> dict[int, int]:
        """Raw item id → category or brand; shuffled among the items, they say nothing any more."""
        if kind not in ("category", "brand"):
            raise ValueError(f"kind={kind!r}: it must be 'category' or 'brand'")
        values = self._world[kind]
        if shuffle is not None:
            values = shuffle.permutation(values)
        return dict(enumerate(values.tolist()))

    def substitutes(self, item: int) -> Array:
        """Which items are of the same cluster, without itself, (N,) bool."""
        same = self.cluster == self.cluster[item]
        same[item] = False
        return same

    def complements(self, item: int) -> Array:
        """Which items are of the cluster that follows the item's, (N,) bool."""
        follows: Array = self.cluster == self.complement[self.cluster[item]]
        return follows

    def tastes(self, n_users: int, rng: np.random.Generator) -> Tastes:
        """Draw (1) and (2) for some users."""
        check_setting("n_users", n_users, n_users >= 1, "at least 1")
        theta = rng.dirichlet(np.full(self.n_clusters, self.concentration), n_users)
        return Tastes(theta, rng.integers(self.n_clusters, size=n_users))

    def sample(
        self, n_users: int, rng: np.random.Generator, tastes: Tastes | None = None
    ) -> Interactions:
        """Users 0, 1, 2 …; the time of an event is the number of its basket, 0, 1, 2 …

        Arguments
            n_users: M
            tastes: of these users, if they must be known afterwards; None draws them
        Raises
            ValueError: n_users < 1, or the tastes are those of another number of users.
        """
        drawn = self.tastes(n_users, rng) if tastes is None else tastes
        if len(drawn.theta) != n_users:
            raise ValueError(f"tastes of {len(drawn.theta)} users are given for {n_users}")
        theta, lasting = drawn
        n_baskets = 1 + rng.poisson(self.n_baskets - 1, n_users)  # (3)
        z = np.empty((n_users, n_baskets.max()), np.int64)
        everyone = np.arange(n_users)
        for t in range(z.shape[1]):
            z[:, t] = _draw(theta, everyone, rng)
            if t:
                follows = rng.random(n_users) < self.follow
                z[:, t] = np.where(follows, self.complement[z[:, t - 1]], z[:, t])  # (4)
        real = np.arange(z.shape[1]) < n_baskets[:, None]
        owner, number = np.nonzero(real)
        size = 1 + rng.poisson(self.basket_size - 1, len(owner))  # (5)
        user, time, c = (np.repeat(a, size) for a in (owner, number, z[real]))
        c = np.where(rng.random(len(c)) < self.stay, c, _draw(theta, user, rng))
        c = np.where(rng.random(len(c)) < self.lasting, lasting[user], c)  # (6)
        item = self._items(c, rng)
        basket = np.repeat(np.arange(len(size)), size)
        first = np.unique(basket * self.n_items + item, return_index=True)[1]
        first.sort()
        return Interactions.from_arrays(user[first], item[first], time[first])

    def _items(self, c: Array, rng: np.random.Generator) -> Array:
        """(7) for the clusters c (E,)."""
        member = self.cluster == np.arange(self.n_clusters)[:, None]
        item = _draw(member * self.popularity, c, rng)
        noisy = _draw(self.popularity[None], np.zeros(len(c), np.int64), rng)
        return np.where(rng.random(len(c)) < self.noise, noisy, item)


def _draw(p: Array, row: Array, rng: np.random.Generator) -> Array:
    """One column for each entry of `row`, in proportion to that row of p.

    The rows' cumulative shares, row r's raised by r, are one ascending sequence to search in.
    """
    cumulative = np.cumsum(p, axis=1)
    cumulative /= cumulative[:, -1:]
    n_rows, n_columns = p.shape
    ladder = (cumulative + np.arange(n_rows)[:, None]).ravel()
    found = np.searchsorted(ladder, row + rng.random(len(row)), side="right")
    return np.minimum(found - row * n_columns, n_columns - 1)
