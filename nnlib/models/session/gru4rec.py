"""GRU4Rec: session-based recommendation with a recurrent network."""

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from nnlib.array import (
    Array,
    Device,
    array_module,
    check_device,
    generator,
    gpu_problem,
    keep_freed_memory,
    to_device,
    to_host,
)
from nnlib.data import Histories, Interactions
from nnlib.data.batches import session_parallel
from nnlib.data.negatives import PopularitySampler
from nnlib.layers.gru_cell import Reset
from nnlib.models.base import Recommender, Session, check_log
from nnlib.models.epochs import Epochs
from nnlib.models.session.gru4rec_loss import Loss, score_block_loss
from nnlib.models.session.gru4rec_network import GRU4RecNetwork, Objective
from nnlib.optim import Adagrad

LANES = 512  # sessions that an evaluation reads side by side


@dataclass(kw_only=True)
class GRU4Rec(Recommender):
    """A GRU reads a session click by click and scores the next item after each.

        (1) h_t = GRU(x_t, h_{t−1}),  h_0 = 0         x_t: the item of click t, embedded or one-hot
        (2) s_i = h_t · W_i + b_i                     for the items i of the score block
        (3) L   = 1/B Σ_rows loss(f(s), target)       f: see `loss`
    The score block of a step holds the targets of its B sessions, each the others' negative, and
    `n_sample` more items drawn in proportion to supp^α.  Sessions are read side by side
    (`data.batches.SessionParallel`), the gradient stops at the step's border, and Adagrad updates
    only the table rows that a step touches.

    Arguments
        hidden: units of each recurrent layer, ≥ 1
        loss: "cross-entropy" (f = softmax, inside the loss), "bpr-max", "top1-max" (f = ELU with
            `elu`, or none), "top1", "bpr" (f = tanh)
        embedding: "shared" (one table for input and output), "separate" (a table as wide as the
            first layer, or a number: that wide), None (one-hot input)
        batch_size: B, sessions side by side, ≥ 1 (≥ 2 if n_sample is 0)
        n_sample: extra negatives of a step, ≥ 0
        sample_alpha: α ≥ 0; 0 draws uniformly, 1 by popularity
        logq: cross-entropy only; subtract logq · log q from the scores in training, q ∝ supp for
            targets and supp^α for samples, which undoes their bias at 1; ≥ 0
        dropout_embed, dropout_hidden: probability of dropping, in [0, 1)
        lr, momentum: of Adagrad, > 0, and its heavy ball, in [0, 1)
        bpreg: weight of the score regularisation of "bpr-max", ≥ 0
        elu: α of the ELU of "bpr-max" and "top1-max"; 0: no activation
        epochs: passes over the sessions, ≥ 1, always in the order of time
        seed: of weights, dropout and negatives
        reset: "before" or "after" the recurrent product; None: as the authors' PyTorch code,
            "before" in a one-hot layer, "after" elsewhere
        device: "cpu" or "cuda"
    Source
        Hidasi, Karatzoglou, Baltrunas & Tikk 2016; Hidasi & Karatzoglou 2018 (samples, -max
        losses); the official PyTorch implementation.  Differs: negatives by the alias method;
        exact log-softmax (no 1e-24 inside the logarithm); bpr and top1 are means over negatives,
        with the row's own target left out; a batch larger than the number of sessions is allowed.
    """

    hidden: tuple[int, ...] = (100,)
    loss: Loss = "cross-entropy"
    embedding: Literal["shared", "separate"] | int | None = "shared"
    batch_size: int = 64
    n_sample: int = 2048
    sample_alpha: float = 0.5
    logq: float = 0.0
    dropout_embed: float = 0.0
    dropout_hidden: float = 0.0
    lr: float = 0.05
    momentum: float = 0.0
    bpreg: float = 1.0
    elu: float = 0.5
    epochs: int = 10
    seed: int = 0
    reset: Reset | None = None
    device: Device = "cpu"

    def __post_init__(self) -> None:
        _check_settings(self)

    def fit(
        self,
        train: Interactions,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from the sessions of `train`, `users` being sessions, in the order of time.

        Arguments
            progress: show a bar with the loss, events per second and the time left
            checkpoint: file to write after every epoch
            resume: go on from `checkpoint` if it exists; the result is the same, bit for bit on
                the CPU, as without the interruption
        Raises
            DataError: no session has two events, or there are fewer than two items.
            DeviceError: a GPU is asked for and none can be used.
            DivergedError: a loss or parameter is no longer finite.
        """
        check_device(self.device)
        check_log(train)
        keep_freed_memory()
        sessions = train.chronological()
        net = self._build(train.n_items)
        optimizer = Adagrad(
            net.parameters(), self.lr, momentum=self.momentum, initial=1e-6, eps=0.0
        )
        sampler = PopularitySampler(train.support(), self.sample_alpha, self.device)
        objective = self._objective(train.support())
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
        for epoch in run:
            noise = generator((self.seed, epoch, 0), self.device)
            negatives = sampler.stream(generator((self.seed, epoch, 1), self.device), self.n_sample)
            states = net.start(0)
            for at, carried in schedule:
                block = net.block(items[at], items[at + 1], next(negatives))
                states = [h.take(carried, axis=0) for h in states]
                (loss, states), backward = net(block, states, objective, rng=noise)
                backward(len(at) / self.batch_size)
                optimizer.step()
                run.record(loss, len(at))
        self.item_ids_, self.net_, self.losses_ = train.item_ids, net, run.losses
        return self

    def scores(self, histories: Histories) -> Array:
        """Scores after each history, read from its first item on; (B, N).  Empty: state zero."""
        self._check_fitted()
        order = np.argsort(-histories.lengths, kind="stable")  # rows end from the last one on
        start, lengths = histories.start[order], histories.lengths[order]
        states = self.net_.start(len(order))
        for t in range(lengths.max(initial=0)):
            n = int(np.searchsorted(-lengths, -t))  # rows longer than t
            item = to_device(histories.items[start[:n] + t], self.device)
            for h, new in zip(states, self.net_.read(item, [h[:n] for h in states]), strict=True):
                h[:n] = new
        net = self.net_
        scores = to_host(states[-1] @ net.W.value.T + net.b.value)
        return scores[np.argsort(order)]

    def walk(self, sessions: Histories, block: int = 128) -> Iterator[tuple[Array, Array, Array]]:
        """Reads every session once, many side by side; rows of `sessions` must not overlap."""
        self._check_fitted()
        net, xp = self.net_, array_module(self.net_.W.value)
        session_of = np.empty(len(sessions.items), np.int64)
        row, position = sessions.positions()
        session_of[position] = row
        # b as one more column of W, against a 1 at the end of h: no pass of its own over (P, N).
        table = xp.concatenate([net.W.value, net.b.value[:, None]], axis=1)
        buffer = xp.empty((block, len(table)), table.dtype)
        states = net.start(0)
        for at, carried in session_parallel(sessions, LANES):
            item = to_device(sessions.items[at], self.device)
            states = net.read(item, [h[to_device(carried, self.device)] for h in states])
            h = xp.concatenate([states[-1], xp.ones((len(at), 1), table.dtype)], axis=1)
            for i in range(0, len(at), block):
                part = at[i : i + block]
                scores = buffer[: len(part)]
                xp.matmul(h[i : i + block], table.T, out=scores)
                yield session_of[part], part, scores

    def similarity(self, item: int) -> Array:
        """Cosine of the output rows W of the items, (N,)."""
        W = to_host(self.net_.W.value)
        length = np.linalg.norm(W, axis=1)
        return W @ W[item] / np.maximum(length * length[item], 1e-12)

    def session(self) -> "LiveSession":
        """A live session that keeps the GRU's state: one step per click, whatever its length."""
        return LiveSession(self)

    def arrays(self) -> dict[str, Array]:
        learned = {f"net.{name}": p.value for name, p in self.net_.named_parameters()}
        return {**learned, "losses": np.array(self.losses_)}

    def restore(self, arrays: dict[str, Array]) -> None:
        if self.device == "cuda" and gpu_problem():
            self.device = "cpu"  # trained on a GPU, used where there is none
        for i, n in enumerate(self.hidden):  # before a damaged size allocates what it says
            if arrays[f"net.cells.{i}.U"].shape != (n, 3 * n):
                raise ValueError(f"hidden={self.hidden} is not the shape of the weights")
        self.losses_ = arrays["losses"].tolist()
        self.net_ = self._build(len(self.item_ids_))
        for name, p in self.net_.named_parameters():
            p.value[...] = to_device(arrays[f"net.{name}"], self.device)

    def _build(self, n_items: int) -> GRU4RecNetwork:
        first: Reset = "before" if self.embedding is None else "after"
        network = GRU4RecNetwork(
            n_items,
            self.hidden,
            self.hidden[0] if self.embedding == "separate" else self.embedding,
            dropout_embed=self.dropout_embed,
            dropout_hidden=self.dropout_hidden,
            reset=[self.reset or (first if i == 0 else "after") for i in range(len(self.hidden))],
            rng=np.random.default_rng((self.seed, 0)),
        )
        return network.to(self.device)

    def _objective(self, support: Array) -> Objective:
        return score_block_loss(
            self.loss,
            support,
            bpreg=self.bpreg,
            elu_alpha=self.elu,
            logq=self.logq,
            sample_alpha=self.sample_alpha,
            device=self.device,
        )


class LiveSession(Session):
    """A session whose state is kept, so that a click costs one GRU step."""

    def __init__(self, model: GRU4Rec) -> None:
        super().__init__(model)
        self.net, self.device = model.net_, model.device
        self.states = self.net.start(1)

    def click(self, item: Hashable) -> "LiveSession":
        code = self.model._encode([item])
        if len(code):
            self.items.append(item)
            self.states = self.net.read(to_device(code, self.device), self.states)
        return self

    def top(self, n: int = 10, *, exclude_seen: bool = False) -> list[tuple[Any, float]]:
        scores = to_host(self.states[-1] @ self.net.W.value.T + self.net.b.value)[0]
        seen = self.model._encode(self.items if exclude_seen else [])
        return self.model._best(scores, n, seen)


def _check_settings(m: GRU4Rec) -> None:
    """Raise a ValueError that names the first setting out of range, or a contradiction."""
    whole: Callable[[Any, int], bool] = lambda v, low: isinstance(v, int) and v >= low
    real: Callable[[Any], bool] = lambda v: isinstance(v, int | float) and 0 <= v < math.inf
    checks: list[tuple[str, Callable[[Any], bool], str]] = [
        ("hidden", lambda v: isinstance(v, tuple) and v != () and all(whole(h, 1) for h in v),
         "a tuple of sizes of at least 1, as in (100,)"),
        ("loss", lambda v: v in get_args(Loss), f"one of {', '.join(get_args(Loss))}"),
        ("embedding", lambda v: v in ("shared", "separate", None) or whole(v, 1),
         "'shared', 'separate', a size of at least 1, or None"),
        *((name, lambda v: whole(v, 1), "a whole number of at least 1")
          for name in ("batch_size", "epochs")),
        *((name, lambda v: whole(v, 0), "a whole number of at least 0")
          for name in ("n_sample", "seed")),
        *((name, real, "a finite number of at least 0")
          for name in ("sample_alpha", "logq", "bpreg", "elu")),
        *((name, lambda v: real(v) and v < 1, "a number of at least 0 and below 1")
          for name in ("dropout_embed", "dropout_hidden", "momentum")),
        ("lr", lambda v: real(v) and v > 0, "a finite number above 0"),
        ("reset", lambda v: v in ("before", "after", None), "'before', 'after' or None"),
        ("device", lambda v: v in ("cpu", "cuda"), "'cpu' or 'cuda'"),
    ]  # fmt: skip
    for name, holds, wanted in checks:
        if not holds(value := getattr(m, name)):
            raise ValueError(f"{name}={value!r}: it must be {wanted}")
    if m.logq and m.loss != "cross-entropy":
        raise ValueError(f"logq={m.logq} corrects cross-entropy only, not {m.loss}: set logq=0")
    if not m.n_sample and m.batch_size < 2:
        raise ValueError("batch_size=1 and n_sample=0 leave no negatives: raise one of them")
