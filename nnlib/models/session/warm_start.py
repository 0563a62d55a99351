"""WarmStart: a GRU4Rec that has read its users' earlier sessions before a session begins."""

from collections.abc import Hashable, Iterator, Mapping

import numpy as np

from nnlib.array import Array
from nnlib.data import Histories, Interactions
from nnlib.data.user_sessions import user_sessions
from nnlib.models.base import Recommender
from nnlib.models.session.gru4rec import GRU4Rec


class WarmStart(Recommender):
    """A fitted model whose state at the start of a test session is that after the user's last one.

        evaluate(WarmStart(model, test, users, before=train), test)

        (1) h_0 of a session = h_n of the session of the same user that started before it
        (2) h_0 = 0 for a user's first
    Only sessions that started earlier are read, whether they are in `before` or in `test` itself;
    predictions are asked for within sessions, as always.  Nothing is trained.

    Arguments
        model: fitted, with `users` as a rule: a state that was always reset in training has never
            met what a second session begins with
        test: the log that will be evaluated
        users: raw user id of each raw session id; a session that is not in it starts at zero
        before: earlier sessions, such as the training log
    """

    def __init__(
        self,
        model: GRU4Rec,
        test: Interactions,
        users: Mapping[Hashable, Hashable],
        before: Interactions | None = None,
    ) -> None:
        model._check_fitted()
        self.model, self.item_ids_ = model, model.item_ids_
        self.test = test.in_items_of(self.item_ids_)[0]
        logs = [] if before is None else [before.in_items_of(self.item_ids_)[0]]
        self.first = sum(log.n_events for log in logs)  # event of the test log
        self.rows, self.event, self.inside = user_sessions([*logs, self.test], users)

    def scores(self, histories: Histories) -> Array:
        """As the model itself: histories say nothing about earlier sessions."""
        return self.model.scores(histories)

    def walk(
        self, sessions: Histories, block: int | None = None
    ) -> Iterator[tuple[Array, Array, Array]]:
        """Every point of the test log's `sessions`, the state warmed up.

        Raises
            ValueError: `sessions` are not those of the test log.
        """
        session_of, at_test, wanted = self._points(sessions)
        for at, scores in self.model.score_events(self.rows, block, wanted):
            yield session_of[at_test[at]], at_test[at], scores

    def walk_ranks(
        self, sessions: Histories, block: int | None = None
    ) -> Iterator[tuple[Array, Array, Array]]:
        _, at_test, wanted = self._points(sessions)
        for at, best, worst in self.model.rank_events(self.rows, block, wanted):
            yield at_test[at], best, worst

    def _points(self, sessions: Histories) -> tuple[Array, Array, Array]:
        """Of every event of the test log its session, of every event of the rows that of the log
        and whether it is a point."""
        if not np.array_equal(sessions.items, self.test.item):
            raise ValueError("these are not the sessions of the test log given before")
        session_of = np.full(len(sessions.items), -1)
        row, position = sessions.positions()
        session_of[position] = row
        at_test = self.event - self.first
        wanted = self.inside & (at_test >= 0)
        wanted[wanted] = session_of[at_test[wanted]] >= 0
        return session_of, at_test, wanted
