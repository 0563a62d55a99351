"""PrefixGRU4Rec: GRU4Rec trained on shuffled prefixes, with gradients through the whole prefix."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from nnlib.array import generator, to_device
from nnlib.data import Histories, Interactions
from nnlib.data.negatives import PopularitySampler
from nnlib.data.prefixes import PrefixBatch, prefix_batches
from nnlib.models.epochs import Epochs
from nnlib.models.session.gru4rec import GRU4Rec
from nnlib.models.session.gru4rec_network import GRU4RecNetwork
from nnlib.models.session.prefix_network import PrefixNetwork
from nnlib.models.settings import check_share, check_whole
from nnlib.optim import Optimizer


@dataclass(kw_only=True)
class PrefixGRU4Rec(GRU4Rec):
    """The network of `GRU4Rec`; every prefix of a session is an example, in random order.

        (1) x_1…x_t → x_{t+1},  t = 1…n − 1          n − 1 examples of a session of n items
        (2) each x_j is deleted with probability p, the target never
        (3) h_j = GRU(x_j, h_{j−1}),  h_0 = 0
        (4) L = 1/B Σ_b loss(f(s_b), target_b)       after the last item of the prefix only
    Three things differ from session-parallel training: the gradient goes back to the first item,
    the examples of a batch come from anywhere in the log, and items may be missing.  The data are
    the same E − S pairs of a past and a target; a prefix repeats its items for each target, which
    costs n²/2 steps instead of n.

    The loss stands at the last step only, because all shorter prefixes are examples themselves: a
    loss at every step would count x_2 n − 1 times and x_n once.  Where nothing is deleted, the sum
    of the prefixes' gradients is that of the session read once with a loss at every step, which
    is what `GRU4Rec(bptt=k)` does for large k; what prefixes add is that they can be shuffled and
    thinned one by one.

    Arguments
        drop_items: p in [0, 1): item dropout
        keep_last: the last item before the target is never deleted
        max_length: only so many items before the target are read, ≥ 1
        the others: as `GRU4Rec`; `bptt` stays 1 and is not used
    Source
        Tan, Xu & Liu 2016 · differs: batches of one length instead of padding; scores and losses
        of targets and samples, and Adagrad, as GRU4Rec (theirs: all items, Adam)
    """

    drop_items: float = 0.0
    keep_last: bool = True
    max_length: int = 19

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(1, max_length=self.max_length)
        check_share(drop_items=self.drop_items)
        if self.bptt != 1:
            raise ValueError(
                f"bptt={self.bptt}: a {type(self).__name__} always goes back to the first item; "
                "limit it by max_length"
            )

    def fit(
        self,
        train: Interactions,
        *,
        users: Mapping[Hashable, Hashable] | None = None,
        start_from: GRU4Rec | None = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from all prefixes of the sessions of `train`; arguments as `GRU4Rec.fit`.

        Raises
            ValueError: `users` are given: a prefix begins with its session.
        """
        no_users(users)
        train, net = self._begin(train, start_from)
        optimizer, objective = self._optimizer(net), self._objective(train.support())
        sampler = PopularitySampler(train.support(), self.sample_alpha, self.device)
        sessions = train.chronological()

        run = self._epochs(net, optimizer, train, progress, checkpoint, resume)
        with run.leaving(self, item_ids_=train.item_ids, net_=net, losses_=run.losses):
            for epoch in run:
                noise = generator((self.seed, epoch, 0), self.device)
                negatives = sampler.stream(
                    generator((self.seed, epoch, 1), self.device), self.n_sample
                )
                for batch in self._batches(sessions, epoch):
                    item, target = (to_device(x, self.device) for x in (batch.item, batch.target))
                    block = net.block(item.ravel(), target, next(negatives))
                    (loss, _), backward = net(block, net.start(len(target)), objective, rng=noise)
                    backward(len(target) / self.batch_size)
                    optimizer.step()
                    run.record(loss, len(target))
        return self

    def _epochs(
        self,
        net: GRU4RecNetwork,
        optimizer: Optimizer,
        train: Interactions,
        progress: bool,
        checkpoint: str | Path | None,
        resume: bool,
    ) -> Epochs:
        """The epochs of a fit; an example for every event but the first of a session."""
        return Epochs(
            self,
            net,
            optimizer,
            train,
            events=train.n_events - train.n_users,
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )

    def _batches(self, sessions: Histories, epoch: int) -> Iterator[PrefixBatch]:
        """The examples of an epoch."""
        return prefix_batches(
            sessions,
            self.batch_size,
            np.random.default_rng((self.seed, epoch, 2)),
            max_length=self.max_length,
            drop_items=self.drop_items,
            keep_last=self.keep_last,
        )

    def _build(self, n_items: int, rng: np.random.Generator | None = None) -> GRU4RecNetwork:
        return PrefixNetwork(n_items, **self._shape(rng), through_time=True).to(self.device)


def no_users(users: Mapping[Hashable, Hashable] | None) -> None:
    """Raise a ValueError if `users` are given, whose states a prefix has no use for."""
    if users is not None:
        raise ValueError("users: a prefix begins with its session; use GRU4Rec for memory")
