"""SessionKNN: what people with sessions like this one clicked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.models.base import Recommender, check_log
from nnlib.models.baselines.counting import count_pairs, runs, tie_break

PAIRS = 1 << 20  # (session so far, training session) pairs held at a time


class Candidates(NamedTuple):
    """C pairs of a session so far and a training session that share an item, by (row, recency)."""

    row: Array  # (C,) which session so far
    session: Array  # (C,) which training session, 0 is the most recent
    shared: Array  # (C,) number of items in both
    place_sum: Array  # (C,) sum of the shared items' places in the session so far, counted from 1
    place_max: Array  # (C,) place of the last shared item


@dataclass(kw_only=True)
class SessionKNN(Recommender):
    """Recommend the items of the training sessions most like this one (S-KNN).

        (1) candidates(s) = the `recent` most recent training sessions that share an item with s
        (2) sim(s, n)     = |s ∩ n| / √(|s| |n|)  sessions as sets: the cosine of their indicators
        (3) N(s)          = the `k` candidates most similar to s; of equals, the more recent
        (4) s_i           = Σ_{n ∈ N(s), i ∈ n} sim(s, n) + t_i
                                                  t_i: see `tie_break`

    A session is as recent as its first event.  Items of no neighbour are ranked by popularity, and
    so is everything after an empty session.  Session 0 is the most recent; sessions that are not
    among the `recent` latest of any of their items can never be candidates and are not kept.

    Arguments
        k: neighbours, ≥ 1
        recent: candidates, ≥ 1
    Raises
        ValueError: an argument is out of its range.
        DataError: by `fit`, on fewer than two items or no session of two events.
    Source
        Jannach & Ludewig 2017, "When recurrent neural networks meet the neighborhood"; Ludewig &
        Jannach 2018, "Evaluation of session-based recommendation algorithms".  Differs: ties are
        broken as (3) and (4) say, there they are left to chance.
    """

    k: int = 100
    recent: int = 1000

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k={self.k}: at least 1 neighbour is needed")
        if self.recent < 1:
            raise ValueError(f"recent={self.recent}: at least 1 candidate is needed")

    def fit(self, train: Interactions) -> Self:
        check_log(train)
        N, S = train.n_items, train.n_users
        session, item = train.chronological().flat()
        session, item, _ = count_pairs(S - 1 - session, item, N)  # sets, the latest is number 0
        by_item = np.argsort(item, kind="stable")  # sessions of item 0, the latest first, …
        first = np.searchsorted(item[by_item], np.arange(N + 1))
        age = np.arange(len(item)) - first[item[by_item]]
        listed = by_item[age < self.recent]

        kept = np.zeros(S, bool)
        kept[session[listed]] = True
        new_code = np.cumsum(kept) - 1
        self.item_ids_ = train.item_ids
        self.item_offsets_ = np.searchsorted(item[listed], np.arange(N + 1))
        self.item_sessions_ = new_code[session[listed]].astype(np.int32)
        self.session_items_ = item[kept[session]].astype(np.int32)
        self.session_offsets_ = np.searchsorted(
            new_code[session[kept[session]]], np.arange(kept.sum() + 1)
        )
        self.tie_break_ = tie_break(train.support())
        return self

    def scores(self, histories: Histories) -> Array:
        """(4) for each history, (B, N) float64."""
        self._check_fitted()
        s = np.tile(self.tie_break_, (len(histories), 1))
        for i, j in self._blocks(histories):
            part = histories.take(np.arange(i, j))
            row, session, weight = self._neighbours(part, self._candidates(part))
            start, stop = self.session_offsets_[session], self.session_offsets_[session + 1]
            neighbour, item = Histories(self.session_items_, start, stop).flat()
            value = self._item_weights(item, weight[neighbour])
            np.add.at(s[i:j].reshape(-1), row[neighbour] * s.shape[1] + item, value)  # (4)
        return s

    def _blocks(self, histories: Histories) -> Iterator[tuple[int, int]]:
        """Cut the histories so that a block has at most `PAIRS` candidates, or one history."""
        row, item = histories.flat()
        listed = np.bincount(row, np.diff(self.item_offsets_)[item], minlength=len(histories))
        width = min(self.recent, len(self.session_offsets_) - 1)
        cost = np.concatenate([[0], np.cumsum(np.maximum(listed, width))])
        i = 0
        while i < len(histories):
            j = max(i + 1, int(np.searchsorted(cost, cost[i] + PAIRS, side="right")) - 1)
            yield i, j
            i = j

    def _candidates(self, histories: Histories) -> Candidates:
        """(1): the training sessions of each item of each history, merged by sorting.

        Row, session and place go into one integer each, so one sort of plain integers brings the
        occurrences of a pair together, the pairs of a row from the most recent session on.
        """
        row, item, place = _last_places(histories)
        start, stop = self.item_offsets_[item], self.item_offsets_[item + 1]
        occurrence, session = Histories(self.item_sessions_, start, stop).flat()
        S = len(self.session_offsets_) - 1
        bits = int(place.max(initial=0)).bit_length()
        key = ((row[occurrence] * S + session) << bits) | place[occurrence]
        key.sort()
        pair, place = key >> bits, key & ((1 << bits) - 1)

        begins, shared = runs(pair)
        row, session = np.divmod(pair[begins], S)
        latest = np.arange(len(row)) - np.searchsorted(row, row) < self.recent
        place_sum = np.add.reduceat(place, begins) if len(begins) else begins
        place_max = place[begins + shared - 1]
        found = (row, session, shared, place_sum, place_max)
        return Candidates(*(array[latest] for array in found))

    def _neighbours(self, histories: Histories, found: Candidates) -> tuple[Array, Array, Array]:
        """(3): (row, session, weight in (4)) of the `k` best candidates of each history."""
        similarity = self._similarities(histories, found)  # (2)
        place = np.arange(len(found.row)) - np.searchsorted(found.row, found.row)
        table = np.zeros((len(histories), int(place.max(initial=0)) + 1))
        table[found.row, place] = similarity
        near = similarity > 0
        if self.k < table.shape[1]:
            worst = np.partition(table, -self.k, axis=1)[:, -self.k, None]  # of the k best
            above, equal = table > worst, table == worst
            room = self.k - above.sum(axis=1, keepdims=True)
            near &= (above | (equal & (equal.cumsum(axis=1) <= room)))[found.row, place]
        chosen = Candidates(*(array[near] for array in found))
        return chosen.row, chosen.session, self._weight(histories, chosen, similarity[near])

    def _similarities(self, histories: Histories, found: Candidates) -> Array:
        """(2) for each candidate, (C,)."""
        row, _, _ = _last_places(histories)
        size = np.bincount(row, minlength=len(histories))[found.row]
        start, stop = self.session_offsets_[found.session], self.session_offsets_[found.session + 1]
        return found.shared / np.sqrt(size * (stop - start))

    def _weight(self, histories: Histories, found: Candidates, similarity: Array) -> Array:
        """What a neighbour gives to each of its items in (4), (C,)."""
        return similarity

    def _item_weights(self, item: Array, weight: Array) -> Array:
        """What item i gets of the weight of a neighbour that contains it in (4)."""
        return weight


def _last_places(histories: Histories) -> tuple[Array, Array, Array]:
    """(row, item, place) of each history's distinct items; place: of the last event, from 1."""
    row, at = histories.positions()
    item, place = histories.items[at], at - histories.start[row] + 1
    order = np.lexsort((place, item, row))
    row, item, place = row[order], item[order], place[order]
    is_last = np.append((row[1:] != row[:-1]) | (item[1:] != item[:-1]), True)[: len(row)]
    return row[is_last], item[is_last], place[is_last]
