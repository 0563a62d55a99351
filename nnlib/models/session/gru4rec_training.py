"""What the steps of a fit of GRU4Rec are made of."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnlib.array import Array, Backward, to_device
from nnlib.data import Interactions
from nnlib.data.batches import SessionParallel, session_parallel
from nnlib.data.negatives import PopularitySampler
from nnlib.data.user_sessions import user_sessions
from nnlib.models.session.gru4rec_network import GRU4RecNetwork, Objective
from nnlib.models.session.gru4rec_stream import Stream
from nnlib.optim import Adagrad

if TYPE_CHECKING:
    from nnlib.models.session.gru4rec import GRU4Rec


class Training(NamedTuple):
    """A network, what it learns by, and the log in the order in which it is read."""

    net: GRU4RecNetwork
    optimizer: Adagrad
    objective: Objective
    sampler: PopularitySampler
    schedule: SessionParallel  # on the host
    items: Array  # (E,) of the events, on the device
    weight: Array | None  # (E,) of the point after an event in the loss; None: all 1

    @classmethod
    def of(
        cls,
        model: "GRU4Rec",
        train: Interactions,
        stream: Stream,
        users: Mapping[Hashable, Hashable] | None,
    ) -> "Training":
        """All of it, for a log in the model's items."""
        net, optimizer, support = stream
        sessions, inside = train.chronological(), None
        if users is not None:
            sessions, _, inside = user_sessions([train], users)
        min_rows = 1 if model.n_sample else 2
        schedule = session_parallel(sessions, model.batch_size, min_rows=min_rows)
        weight = None
        if inside is not None:
            share = inside[schedule.at].mean()  # so that the weights are 1 on average
            weight = to_device((inside / share).astype(np.float32), model.device)
        return cls(
            net,
            optimizer,
            model._objective(support),
            PopularitySampler(support, model.sample_alpha, model.device),
            schedule,
            to_device(sessions.items.astype(np.intp), model.device),
            weight,
        )

    def forward(
        self,
        at: Array,
        carried: Array,
        states: Sequence[Array],
        negative: Array,
        rng: Any,
        padded: bool = False,
    ) -> tuple[tuple[Array, list[Array]], Backward]:
        """A step of the schedule through the network:  ((L, states), backward).

        Shapes
            at (B,) · carried (C,) rows of `states` to go on from · negative (S,)
        """
        block = self.net.block(self.items[at], self.items[at + 1], negative, padded)
        if self.weight is not None:
            block = block._replace(weight=self.weight[at])
        states = [h.take(carried, axis=0) for h in states]
        return self.net(block, states, self.objective, rng=rng)
