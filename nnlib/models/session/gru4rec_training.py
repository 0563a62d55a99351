"""What the steps of a fit of GRU4Rec are made of."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnlib.array import Array, Backward, generator, to_device
from nnlib.data import Interactions
from nnlib.data.batches import SessionParallel, session_parallel
from nnlib.data.negatives import PopularitySampler
from nnlib.data.user_sessions import user_sessions
from nnlib.models.session.gru4rec_network import GRU4RecNetwork, Objective
from nnlib.models.session.gru4rec_stream import Stream
from nnlib.optim import Adagrad

if TYPE_CHECKING:
    from nnlib.models.session.gru4rec import GRU4Rec


class Start(NamedTuple):
    """Where the steps of an epoch begin that are made one by one."""

    states: list[Array]  # per layer
    done: int  # steps before them, made by a graph
    noise: Any  # the generator of dropout
    negatives: Iterator[Array]  # (S,) for every step


class Training(NamedTuple):
    """A network, what it learns by, and the log in the order in which it is read."""

    model: "GRU4Rec"  # the settings
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
        """All of it, for a log in the model's items; `users` as in `GRU4Rec.fit`."""
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
            model,
            net,
            optimizer,
            model._objective(support),
            PopularitySampler(support, model.sample_alpha, model.device),
            schedule,
            to_device(sessions.items.astype(np.intp), model.device),
            weight,
        )

    def start(self, epoch: int) -> Start:
        """The start of an epoch, with random numbers of its own."""
        m = self.model
        noise, draws = (generator((m.seed, epoch, i), m.device) for i in (0, 1))
        return Start(self.net.start(0), 0, noise, self.sampler.stream(draws, m.n_sample))

    def forward(
        self,
        at: Array,
        carried: Array,
        states: Sequence[Array],
        negative: Array,
        noise: Any,
        padded: bool = False,
    ) -> tuple[tuple[Array, list[Array]], Backward]:
        """A step of the schedule through the network:  ((L, states), backward).

        Shapes
            at (B,) · carried (C,) rows of `states` to go on from · negative (S,)
        Arguments
            noise: the generator of dropout
            padded: as in `GRU4RecNetwork.block`
        """
        at = at.astype(np.intp, copy=False)  # which an array is looked up by as it is
        item, target = self.items.take(at), self.items.take(at + 1)
        block = self.net.block(item, target, negative, padded)
        if self.weight is not None:
            block = block._replace(weight=self.weight[at])
        states = [h.take(carried, axis=0) for h in states]
        return self.net(block, states, self.objective, rng=noise)
