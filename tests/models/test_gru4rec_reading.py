"""How a fitted GRU4Rec reads a log: in whole blocks, and by a class's own scores if it has them."""

import numpy as np
import pytest

from nnlib.data.synthetic import HMMClicks
from nnlib.metrics import evaluate
from nnlib.models import GRU4Rec

LOG = HMMClicks().sample(60, np.random.default_rng(0))


def fit(kind=GRU4Rec):
    return kind(hidden=(8,), n_sample=16, epochs=1).fit(LOG)


@pytest.mark.parametrize("block", [7, 50, 10**4])
def test_all_blocks_but_the_last_are_whole(block):
    sessions = LOG.histories()
    points, wanted = sessions.points(), np.arange(len(sessions.items)) % 3 > 0
    for only, expected in ((None, points), (wanted, points[wanted[points]])):
        found = [at.copy() for at, _ in fit().score_events(sessions, block, only)]
        assert {len(at) for at in found[:-1]} <= {block}
        np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.sort(expected))


def test_no_points_no_blocks():
    no_successor = np.zeros(LOG.n_events, bool)
    assert not list(fit().score_events(LOG.histories(), wanted=no_successor))


class Backwards(GRU4Rec):
    """The best item is the worst."""

    def walk(self, sessions, block=None):
        for row, at, scores in super().walk(sessions, block):
            yield row, at, -scores


def test_a_class_with_scores_of_its_own_is_ranked_by_them():
    forth, back = (evaluate(fit(kind), LOG) for kind in (GRU4Rec, Backwards))
    np.testing.assert_array_equal(forth.rank + back.rank, len(LOG.item_ids) + 1)
