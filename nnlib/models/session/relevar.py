"""ReLeVar: GRU4Rec with a Gaussian latent variable between the state and the scores."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from nnlib.array import Array, Backward, array_module, generator, to_device, to_host
from nnlib.data import Histories, Interactions
from nnlib.data.batches import session_parallel
from nnlib.data.negatives import PopularitySampler
from nnlib.functional.rows import take_rows
from nnlib.layers.gaussian_latent import GaussianLatent
from nnlib.models.epochs import Epochs
from nnlib.models.session.gru4rec import GRU4Rec
from nnlib.models.session.gru4rec_network import GRU4RecNetwork, Objective, ScoreBlock
from nnlib.models.settings import check_not_negative, check_whole


@dataclass(kw_only=True)
class ReLeVar(GRU4Rec):
    """Recurrent latent variables: what the next item depends on is drawn, not computed.

        (1) h_t = GRU(x_t, h_{t−1})                  as in GRU4Rec: no noise enters the recurrence
        (2) q(z_t | x_≤t) = N(μ, diag exp(l)),  μ = h_t W_μ + b_μ,  l = h_t W_l + b_l
        (3) s_i = z_t · W_i + b_i                    for the items i of the score block
        (4) L = 1/B Σ_rows [loss(f(s), target) + β KL(q ‖ N(0, I))]
    With cross-entropy and β = 1, L is the negative evidence lower bound.  One z is drawn for every
    row and step of training; the recommendations are those of z = μ.

    KL is what keeps z near the prior, and it wins easily: at β = 1 a small log ends with q = prior
    whatever the session (posterior collapse) and the scores of popularity.  So β is small here, and
    rises to its value from 0 over the first `anneal` epochs, that z may learn something first.

    Arguments
        n_latent: K, size of z, ≥ 1; of a shared table too
        beta: β ≥ 0, weight of KL
        anneal: epochs until β is reached, in a straight line, ≥ 0
        the others: as `GRU4Rec`; `bptt` stays 1
    Source
        Chatzis, Christodoulou & Andreou 2017 (β = 1).  Whether their decoder sees h_t as well is
        not clear from the paper; here it sees z_t only.
    """

    n_latent: int = 32
    beta: float = 0.03
    anneal: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(1, n_latent=self.n_latent)
        check_not_negative(beta=self.beta, anneal=self.anneal)
        if self.bptt != 1:
            raise ValueError(f"bptt={self.bptt}: ReLeVar is trained one step at a time")

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
        """Learn from the sessions of `train`; arguments as `GRU4Rec.fit`, without `users`."""
        if users is not None:
            raise ValueError("users: ReLeVar reads sessions one by one; use GRU4Rec for memory")
        train, network = self._begin(train, start_from)
        net = cast(ReLeVarNetwork, network)
        optimizer, objective = self._optimizer(net), self._objective(train.support())
        sampler = PopularitySampler(train.support(), self.sample_alpha, self.device)
        sessions = train.chronological()
        schedule = session_parallel(sessions, self.batch_size, min_rows=1 if self.n_sample else 2)
        schedule = schedule.to(self.device)
        items = to_device(sessions.items.astype(np.intp), self.device)

        run = Epochs(
            self,
            net,
            optimizer,
            train,
            events=len(schedule.at),
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )
        with run.leaving(self, item_ids_=train.item_ids, net_=net, losses_=run.losses):
            for epoch in run:
                noise = generator((self.seed, epoch, 0), self.device)
                negatives = sampler.stream(
                    generator((self.seed, epoch, 1), self.device), self.n_sample
                )
                states = net.start(0)
                for t, (at, carried) in enumerate(schedule):
                    risen = (epoch + t / len(schedule)) / self.anneal if self.anneal else 1.0
                    block = net.block(items[at], items[at + 1], next(negatives))
                    states = [h.take(carried, axis=0) for h in states]
                    (loss, states), backward = net(
                        block, states, objective, rng=noise, beta=self.beta * min(risen, 1.0)
                    )
                    backward(len(at) / self.batch_size)
                    optimizer.step()
                    run.record(loss, len(at))
        return self

    def divergence(self, histories: Histories) -> Array:
        """KL(q ‖ N(0, I)) after each history, in nats, (B,): 0 where z has collapsed."""
        net = cast(ReLeVarNetwork, self.net_)
        return to_host(net.latent(self.states_after(histories)[-1])[0][1])

    def _build(self, n_items: int, rng: np.random.Generator | None = None) -> "ReLeVarNetwork":
        network = ReLeVarNetwork(n_items, n_latent=self.n_latent, **self._shape(rng))
        return network.to(self.device)


class ReLeVarNetwork(GRU4RecNetwork):
    """One step of ReLeVar on B sessions side by side: `GRU4RecNetwork` with z in the place of h.

        (1) h', states                               as there
        (2) z, KL = latent(h')
        (3) s  = z W[ids]ᵀ + b[ids]
        (4) L  = 1/B Σ_b (objective(s)_b + β KL_b)
    Arguments
        n_latent: K, columns of W
        the others: as `GRU4RecNetwork`
    """

    def __init__(self, n_items: int, *, n_latent: int, **shape: Any) -> None:
        super().__init__(n_items, **shape, n_out=n_latent)
        self.latent = GaussianLatent(shape["hidden"][-1], n_latent, rng=shape["rng"])

    def __call__(
        self,
        block: ScoreBlock,
        states: Sequence[Array],
        objective: Objective,
        rng: np.random.Generator | None = None,
        beta: float = 1.0,
    ) -> tuple[tuple[Array, list[Array]], Backward]:
        rows = take_rows(self.W.value, block.ids)
        x, back_embed = self.enter(block, rows, rng)  # (1)
        (h, states), back_layers = self.layers(x, states, rng)  # (1)
        (z, kl), back_latent = self.latent(h, rng)  # (2)
        loss, back_score = self.score(z, block, rows, objective)  # (3) (4)
        loss = loss + beta * kl.sum() / len(kl)  # (4)

        def backward(dloss: Array | float = 1.0, dstates: Sequence[Array] | None = None) -> Any:
            dz, drows = back_score(dloss)  # (4) (3)
            dkl = array_module(kl).full_like(kl, dloss * beta / len(kl))  # (4)
            dx, into_past = back_layers(back_latent(dz, dkl), dstates)  # (2) (1)
            back_embed(dx, drows)  # (1)
            self.W.accumulate_rows(block.ids, drows, distinct=True, looked_up=rows)
            return into_past

        return (loss, states), backward

    def query(self, states: Sequence[Array]) -> Array:
        """μ: evaluation has no noise."""
        return self.latent.mean(states[-1])[0]
