"""GRU4Rec: session-based recommendation with a recurrent network."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from nnlib.array import Array, Device, check_device, gpu_problem, keep_freed_memory, to_host
from nnlib.data import Histories, Interactions
from nnlib.init import BLANK
from nnlib.layers.gru_cell import Reset
from nnlib.models.base import Recommender, check_log, set_weights
from nnlib.models.epochs import Epochs
from nnlib.models.session.gru4rec_bptt import Step, back_through_time
from nnlib.models.session.gru4rec_graph import graph_steps
from nnlib.models.session.gru4rec_loss import Loss, score_block_loss
from nnlib.models.session.gru4rec_network import GRU4RecNetwork, Objective
from nnlib.models.session.gru4rec_reading import rank_events, score_events, states_after
from nnlib.models.session.gru4rec_session import LiveSession
from nnlib.models.session.gru4rec_settings import check_settings
from nnlib.models.session.gru4rec_start import take_over, with_items_of
from nnlib.models.session.gru4rec_stream import Stream, next_chunk
from nnlib.models.session.gru4rec_training import Training
from nnlib.optim import Adagrad


@dataclass(kw_only=True)
class GRU4Rec(Recommender):
    """A GRU reads a session click by click and scores the next item after each.

        (1) h_t = GRU(x_t, h_{t−1}),  h_0 = 0         x_t: the item of click t, embedded or one-hot
        (2) s_i = h_t · W_i + b_i                     for the items i of the score block
        (3) L   = 1/B Σ_rows loss(f(s), target)       f: see `loss`
    The score block of a step holds the targets of its B sessions, each the others' negative, and
    `n_sample` more items drawn in proportion to supp^α.  Sessions are read side by side
    (`data.batches.SessionParallel`), the gradient stops at the step's border (see `bptt`), and
    Adagrad updates only the table rows that a step touches.

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
        dropout_embed, dropout_hidden: probability of dropping inputs and states, in [0, 1); with
            one-hot input, dropout_embed acts on the state of the first layer and dropout_hidden on
            the others only, as in the authors' PyTorch code
        lr, momentum: of Adagrad, > 0, and its heavy ball, in [0, 1)
        bpreg: weight of the score regularisation of "bpr-max", ≥ 0
        elu: α of the ELU of "bpr-max" and "top1-max"; 0: no activation
        bptt: steps k ≥ 1 that a gradient goes back through: one update every k steps, from the
            sum of their losses; it never crosses into the session that had the row before
        epochs: passes over the sessions, ≥ 1, always in the order of time
        seed: of weights, dropout and negatives
        reset: "before" or "after" the recurrent product; None: as the authors' PyTorch code,
            "before" in a one-hot layer, "after" elsewhere
        device: "cpu" or "cuda"
        graph: on "cuda" with bptt = 1, train by a CUDA graph (nnlib/cuda/README.md): the same steps
            with other random numbers, many in one launch; off, for it has not run on a card yet
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
    bptt: int = 1
    epochs: int = 10
    seed: int = 0
    reset: Reset | None = None
    device: Device = "cpu"
    graph: bool = False

    def __post_init__(self) -> None:
        check_settings(self)
        if self.graph and type(self).fit is not GRU4Rec.fit:
            raise ValueError(f"graph=True: a {type(self).__name__} is trained without a graph")

    def fit(
        self,
        train: Interactions,
        *,
        users: Mapping[Hashable, Hashable] | None = None,
        start_from: "GRU4Rec | None" = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from the sessions of `train`, `users` being sessions, in the order of time.

        Arguments
            users: raw user id of each raw session id; then the state goes on from a user's session
                to the next (a session that is not named is a user by itself).  The last event of a
                session is read, but the first of the next is not a target of it
            start_from: a fitted model to go on from (temporal fine-tuning: first all the data, then
                the recent part); items new to it get new rows, items not in `train` keep theirs
            progress: show a bar with the loss, events per second and the time left
            checkpoint: file to write after every epoch
            resume: go on from `checkpoint` if it exists; the result is the same, bit for bit on
                the CPU, as without the interruption
        Raises
            DataError: no session has two events, or there are fewer than two items.
            DeviceError: a GPU is asked for and none can be used.
            DivergedError: a loss or parameter is no longer finite.
            KeyboardInterrupt: Ctrl-C; the step is finished first, and what was learned up to it is
                kept: the model can be used
            ValueError: the weights of `start_from` are of other settings.
        """
        train, net = self._begin(train, start_from)
        stream = Stream(net, self._optimizer(net), train.support())
        files: dict[str, Any] = {"checkpoint": checkpoint, "resume": resume}
        return self._learn(train, stream, users, progress=progress, **files)

    def partial_fit(
        self, chunk: Interactions, item_ids: Sequence[Hashable] | Array | None = None
    ) -> Self:
        """Learn from one more chunk of a log of any length; nothing of the chunk is kept.

            for clicks in chunks:
                model.partial_fit(clicks, item_ids=everything_on_sale)
        Every call reads its sessions once, as one epoch would, and adds its loss to `losses_`; the
        optimizer goes on where it was.  Samples and logq follow the counts of all chunks so far.  A
        model that was fitted or loaded goes on from its weights, with counts of 0.  A session must
        not be cut by the border of a chunk: its parts would count as two.

        Arguments
            item_ids: raw ids of all items that may come; needed at the first call, then as it was
                or left out.  Events on other items are left out with a warning
        Raises
            DataError, ValueError, KeyboardInterrupt: as `fit`; also other `item_ids` than before.
            DivergedError: as `fit`; the weights are spoiled.
        """
        if type(self).fit is not GRU4Rec.fit:
            raise TypeError(f"a {type(self).__name__} learns from whole logs only: use fit")
        log, self._stream = next_chunk(self, vars(self).get("_stream"), chunk, item_ids)
        return self._learn(log, self._stream, losses=vars(self).get("losses_", []))

    def _learn(
        self,
        train: Interactions,
        stream: Stream,
        users: Mapping[Hashable, Hashable] | None = None,
        **options: Any,  # of Epochs
    ) -> Self:
        training = Training.of(self, train, stream, users)
        net, optimizer = training.net, training.optimizer
        schedule = training.schedule.to(self.device)
        graph = graph_steps(training) if self.graph else None

        run = Epochs(self, net, optimizer, train, events=len(schedule.at), **options)
        with run.leaving(self, item_ids_=train.item_ids, net_=net, losses_=run.losses):
            for epoch in run:
                start = training.start(epoch) if graph is None else graph.start(epoch, run)
                states, done, noise, negatives = start
                window: list[Step] = []
                for t, (at, carried) in enumerate(islice(schedule, done, None), start=done + 1):
                    (loss, states), backward = training.forward(
                        at, carried, states, next(negatives), noise
                    )  # (1) (2) (3)
                    window.append(Step(backward, carried, len(at)))
                    if t % self.bptt == 0 or t == len(schedule):
                        back_through_time(window, self.batch_size)
                        optimizer.step()
                    run.record(loss, len(at))
        return self

    def scores(self, histories: Histories) -> Array:
        """Scores after each history, read from its first item on; (B, N).  Empty: state zero."""
        states = self.states_after(histories)
        net = self.net_
        return to_host(net.query(states) @ net.W.value.T + net.b.value)

    def states_after(self, histories: Histories) -> list[Array]:
        """The state of each layer after each history, (B, H), on the device."""
        self._check_fitted()
        return states_after(self.net_, histories, self.device)

    def walk(
        self, sessions: Histories, block: int | None = None
    ) -> Iterator[tuple[Array, Array, Array]]:
        """Reads every session once, many side by side; rows of `sessions` must not overlap."""
        session_of = np.empty(len(sessions.items), np.int64)
        row, position = sessions.positions()
        session_of[position] = row
        for at, scores in self.score_events(sessions, block):
            yield session_of[at], at, scores

    def walk_ranks(
        self, sessions: Histories, block: int | None = None
    ) -> Iterator[tuple[Array, Array, Array]]:
        if type(self).walk is not GRU4Rec.walk:  # whose scores are its own
            return super().walk_ranks(sessions, block)
        return self.rank_events(sessions, block)

    def score_events(
        self, rows: Histories, block: int | None = None, wanted: Array | None = None
    ) -> Iterator[tuple[Array, Array]]:
        """(at, scores) after every event of `rows` that has a successor, or of those the `wanted`.

        Shapes
            wanted (E,) bool · at (P,) int, P ≤ block · scores (P, N), valid until the next are
            asked for
        Arguments
            block: None: as fits the number of columns of W, 256 or 512 points
        """
        self._check_fitted()
        return score_events(self.net_, rows, self.device, block, wanted)

    def rank_events(
        self, rows: Histories, block: int | None = None, wanted: Array | None = None
    ) -> Iterator[tuple[Array, Array, Array]]:
        """(at, best, worst) rank of the item that follows the events of `score_events`."""
        self._check_fitted()
        return rank_events(self.net_, rows, self.device, block, wanted)

    def similarity(self, item: int) -> Array:
        """Cosine of the output rows W of the items, (N,)."""
        W = to_host(self.net_.W.value)
        length = np.linalg.norm(W, axis=1)
        return W @ W[item] / np.maximum(length * length[item], 1e-12)

    def session(self, before: Sequence[Hashable] = ()) -> LiveSession:
        """A live session that keeps the GRU's state: one step per click, whatever its length.

        `before` are the raw items of the visitor's earlier sessions, oldest first, for a model that
        was fitted with `users`.
        """
        return LiveSession(self, before)

    def arrays(self) -> dict[str, Array]:
        learned = {f"net.{name}": p.value for name, p in self.net_.named_parameters()}
        return {**learned, "losses": np.array(self.losses_)}

    def restore(self, arrays: dict[str, Array]) -> None:
        if self.device == "cuda" and gpu_problem():
            self.device, self.graph = "cpu", False  # trained on a GPU, used where there is none
        for i, n in enumerate(self.hidden):  # before a damaged size allocates what it says
            if arrays[f"net.cells.{i}.U"].shape != (n, 3 * n):
                raise ValueError(f"hidden={self.hidden} is not the shape of the weights")
        self.losses_ = arrays["losses"].tolist()
        self.net_ = self._build(len(self.item_ids_), BLANK)
        set_weights(self.net_, arrays)

    def _begin(
        self, train: Interactions, start_from: "GRU4Rec | None"
    ) -> tuple[Interactions, GRU4RecNetwork]:
        """The log in the codes to train with, and a network with the weights to start from."""
        check_device(self.device)
        check_log(train)
        keep_freed_memory()
        if start_from is None:
            return train, self._build(train.n_items)
        train = with_items_of(train, start_from)
        net = self._build(train.n_items)
        take_over(net, self, start_from)
        return train, net

    def _build(self, n_items: int, rng: np.random.Generator | None = None) -> GRU4RecNetwork:
        """The network before training; its weights are drawn by `rng`, or None: as `seed` says."""
        network = GRU4RecNetwork(n_items, **self._shape(rng), through_time=self.bptt > 1)
        return network.to(self.device)

    def _shape(self, rng: np.random.Generator | None) -> dict[str, Any]:
        """What a network needs to know besides the number of items."""
        first: Reset = "before" if self.embedding is None else "after"
        return {
            "hidden": self.hidden,
            "embedding": self.hidden[0] if self.embedding == "separate" else self.embedding,
            "dropout_embed": self.dropout_embed,
            "dropout_hidden": self.dropout_hidden,
            "reset": [
                self.reset or (first if i == 0 else "after") for i in range(len(self.hidden))
            ],
            "rng": rng or np.random.default_rng((self.seed, 0)),
        }

    def _optimizer(self, net: GRU4RecNetwork) -> Adagrad:
        return Adagrad(net.parameters(), self.lr, momentum=self.momentum, initial=1e-6, eps=0.0)

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
