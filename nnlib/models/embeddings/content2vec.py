"""Content2Vec: which items go together, from clicks, texts and images at once."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

import numpy as np

from nnlib.array import Array, Backward
from nnlib.data import Histories, Interactions, PopularitySampler
from nnlib.data.windows import set_pairs
from nnlib.init import BLANK, normal
from nnlib.layer import Layer
from nnlib.layers import Embedding, LinearEnsemble, PairwiseResidual
from nnlib.losses import logistic
from nnlib.models.base import Recommender, check_log, set_weights
from nnlib.models.embeddings.content2vec_network import Content2VecNetwork, build_merge
from nnlib.models.epochs import Epochs
from nnlib.models.item_vectors import check_scoring, history_weights, log_shares
from nnlib.models.settings import (
    check_finite,
    check_positive,
    check_share,
    check_whole,
    check_word,
)
from nnlib.optim import Adagrad

Score: TypeAlias = Literal["prob", "pmi"]

CF = "cf"  # the module that knows an item by who bought it
SMALL = normal(0.1)


@dataclass(kw_only=True)
class Content2Vec(Recommender):
    """Modules describe items, each in its own way; what compares two items weighs what they say.

        (1) x_i^m = module_m(i)                       CF vector, text, image …
        (2) s_ij  = Σ_m w_m ⟨x_i^m, x_j^m⟩ + b + residual(x_i, x_j)
        (3) L     = 1/B Σ w [−log σ(s_ij) − Σ_k log σ(−s_ik)]       j with i in a basket, k ~ q
    A module is any layer that makes vectors (B, D_m) of item codes (B,): its codes are those of
    the training log.  The CF module is made here, an `Embedding`; all that a user has is one
    basket.  Training has three stages:

        the first `pretrain_epochs`   each module alone, with (2) of one m and no residual
        the next `merge_epochs`       modules are frozen; w, b and the residual unit learn
        the rest of `epochs`          everything learns together
    An item without events has no CF vector: 0 stands for it, here and in the pairs of the merge
    that lose a module's vector by chance (`module_dropout`), so that the merge learns to do
    without.  To have such items among the recommended, fit on `log.in_items_of(catalogue)`.

    s estimates by how much more often a pair occurs than by chance, as in all negative sampling;
    the score of a candidate j after x_1…x_n is

        (4) Σ_t w_t s_{x_t j}  (+ log q_j with score "prob"),   w_t ∝ decay^(n−t), Σ w_t = 1

    A saved model holds the vectors of all items and the merge: enough to recommend, and as fast.
    The modules stay with the model that was trained, in `modules_`; `Layer.save` keeps them.

    Arguments
        collaborative: have a CF module, called "cf", besides those given to `fit`
        n_factors: its D, ≥ 1
        n_hidden: units of the residual unit, ≥ 0; 0: a linear ensemble
        negatives: K of each pair, ≥ 1
        noise_exponent: q ∝ support^this
        module_dropout: probability in [0, 1)
        epochs: passes over the pairs of all stages together, ≥ 1
        pretrain_epochs, merge_epochs: ≥ 0, together at most `epochs`
        lr: of Adagrad, > 0
        batch_size: pairs of a step, ≥ 1
        score: "prob" or "pmi"
        decay: weight of an item relative to the one after it, in (0, 1]
        seed: of weights, shuffling, negatives and dropout
    Source
        Nedelec, Smirnova & Vasile 2017 · differs: any modules; the vectors of unknown items are 0
        and merging is trained with vectors missing; see `PairwiseResidual` for its unit.
    """

    collaborative: bool = True
    n_factors: int = 32
    n_hidden: int = 32
    negatives: int = 5
    noise_exponent: float = 0.75
    module_dropout: float = 0.2
    epochs: int = 7
    pretrain_epochs: int = 5
    merge_epochs: int = 2
    lr: float = 0.05
    batch_size: int = 512
    score: Score = "prob"
    decay: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_settings(self)

    def fit(
        self,
        train: Interactions,
        modules: Mapping[str, Layer] | None = None,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn which items share a basket, the items of a user.

        Arguments
            modules: layers that describe items by their codes in `train`, by name; copies are
                trained, the layers themselves stay as they are
            progress, checkpoint, resume: as for every model that is trained in epochs
        Raises
            DataError: no basket has two events, or there are fewer than two items.
            ValueError: there is no module, or one does not make vectors of item codes.
            DivergedError: a loss or parameter is no longer finite.
            KeyboardInterrupt: Ctrl-C; the step is finished first, and the model can be used
        """
        check_log(train)
        rng = np.random.default_rng((self.seed, 0))
        net = self._build(train, dict(modules or {}), rng)
        sampler = PopularitySampler(train.support(), self.noise_exponent)
        optimizer = Adagrad(net.parameters(), self.lr)
        run = Epochs(
            self,
            net,
            optimizer,
            train,
            events=int((train.histories().lengths * (train.histories().lengths - 1)).sum()),
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )
        epoch = len(run.losses) - 1  # the last that has begun

        def finish() -> None:
            if epoch < self.pretrain_epochs:
                net.start_merge()  # and leave it there
            known = net.known.T[:, :, None]
            self.vectors_ = {
                name: module.features * k
                for (name, module), k in zip(net.frozen().items(), known, strict=True)
            }
            self.log_q_ = log_shares(sampler.probabilities)
            self.modules_ = net.modules
            self.merge_: LinearEnsemble | PairwiseResidual = net.merge

        with run.leaving(self, finish, item_ids_=train.item_ids, losses_=run.losses):
            for epoch in run:
                step = self._stage(net, epoch)
                noise = np.random.default_rng((self.seed, epoch, 2))
                for left, right, weight in self._batches(train, sampler, epoch):
                    loss = step(left, right, weight, noise)
                    optimizer.step()
                    run.record(loss, len(left))
        return self

    def scores(self, histories: Histories) -> Array:
        self._check_fitted()
        row, at, w = history_weights(histories, self.decay)
        items, place = np.unique(histories.items[at], return_inverse=True)
        total = np.zeros((len(histories), len(items)), np.float32)
        np.add.at(total, (row, place), w.astype(np.float32))
        s = total @ self.pair_scores(items)  # (4)
        return s + self.log_q_.astype(np.float32) if self.score == "prob" else s

    def pair_scores(self, items: Array) -> Array:
        """(2) of each of these items, codes (B,), with all items: (B, N).

        σ of it is the probability that a pair is a real one and not made of an item and noise.
        """
        self._check_fitted()
        x = np.concatenate(list(self.vectors_.values()), axis=1)
        s = np.empty((len(items), len(x)), x.dtype)
        for i, item in enumerate(items):
            s[i] = self.merge_(x[item, None], x[None])[0][0]  # (2)
        return s

    def similarity(self, item: int) -> Array:
        """`pair_scores` of one item, (N,)."""
        return self.pair_scores(np.array([item]))[0]

    def arrays(self) -> dict[str, Array]:
        learned = {f"merge.{name}": p.value for name, p in self.merge_.named_parameters()}
        # The number keeps their order, which a file does not.
        vectors = {f"vectors.{m}.{name}": x for m, (name, x) in enumerate(self.vectors_.items())}
        return {**learned, **vectors, "log_q": self.log_q_, "losses": np.array(self.losses_)}

    def restore(self, arrays: dict[str, Array]) -> None:
        self.losses_, self.log_q_ = arrays["losses"].tolist(), arrays["log_q"]
        keys = [key.split(".", 2) for key in arrays if key.startswith("vectors.")]
        self.vectors_ = {
            name: arrays[f"vectors.{m}.{name}"]
            for _, m, name in sorted(keys, key=lambda key: int(key[1]))
        }
        n = len(self.item_ids_)
        if not all(len(x) == n for x in (*self.vectors_.values(), self.log_q_)):
            raise ValueError(f"the tables do not have a row for each of the {n} items")
        sizes = tuple(x.shape[1] for x in self.vectors_.values())
        self.merge_ = build_merge(sizes, self.n_hidden, BLANK)
        set_weights(self.merge_, arrays, "merge.")

    def _build(
        self, train: Interactions, modules: dict[str, Layer], rng: np.random.Generator
    ) -> Content2VecNetwork:
        modules = copy.deepcopy(modules)
        if self.collaborative:
            if CF in modules:
                raise ValueError(
                    f"a module called {CF!r} is made here: set collaborative=False to bring one"
                )
            cf = Embedding(train.n_items, self.n_factors, rng=rng, init=SMALL)
            modules = {CF: cf, **modules}
        if not modules:
            raise ValueError("there is no module: give fit some, or set collaborative=True")
        known = np.ones((train.n_items, len(modules)), bool)
        if self.collaborative:
            known[:, 0] = train.support() > 0
        return Content2VecNetwork(
            modules,
            known,
            n_hidden=self.n_hidden,
            module_dropout=self.module_dropout if len(modules) > 1 else 0.0,
            rng=rng,
        )

    def _stage(self, net: Content2VecNetwork, epoch: int) -> "Step":
        """What is done with a batch in this epoch: scores, loss, gradients; returns the loss."""
        merging = epoch - self.pretrain_epochs
        if merging < 0:

            def alone(left: Array, right: Array, weight: Array, rng: np.random.Generator) -> Array:
                losses = [
                    pair_loss(net.alone(name, left, right, rng), weight) for name in net.modules
                ]
                return np.mean(losses)

            return alone
        if merging == 0:
            net.start_merge()
        modules = net.frozen() if merging < self.merge_epochs else net.modules

        def merged(left: Array, right: Array, weight: Array, rng: np.random.Generator) -> Array:
            return pair_loss(net.merged(modules, left, right, rng), weight)

        return merged

    def _batches(
        self, train: Interactions, sampler: PopularitySampler, epoch: int
    ) -> Iterator[tuple[Array, Array, Array]]:
        """(left (B,), right (B, 1 + K), weight (B, 1 + K)); column 0 of `right` is the real one."""
        pairs, noise = (np.random.default_rng((self.seed, epoch, k)) for k in (0, 1))
        sequences = train.histories()
        for left, real, weight in set_pairs(sequences, pairs, batch_size=self.batch_size):
            drawn = sampler.draw(noise, len(left) * self.negatives).reshape(len(left), -1)
            right = np.concatenate([real[:, None], drawn], axis=1)
            differs = right != left[:, None]  # no pair of an item with itself
            differs[:, 1:] &= drawn != real[:, None]
            yield left, right, weight[:, None] * differs


Step: TypeAlias = Callable[[Array, Array, Array, np.random.Generator], Array]


def pair_loss(scored: tuple[Array, Backward], weight: Array) -> Array:
    """(3) of scores whose column 0 is the real pair, and the gradients of what made them."""
    s, backward = scored
    target = np.zeros_like(s)
    target[:, 0] = 1
    loss, back_loss = logistic(s, target, weight)  # (3)
    backward(back_loss())
    return loss


def _check_settings(m: Content2Vec) -> None:
    """Raise a ValueError that names the first setting out of range, or a contradiction."""
    if not isinstance(m.collaborative, bool):
        raise ValueError(f"collaborative={m.collaborative!r}: it must be True or False")
    for name in ("n_factors", "negatives", "epochs", "batch_size"):
        check_whole(**{name: getattr(m, name)})
    for name in ("n_hidden", "pretrain_epochs", "merge_epochs", "seed"):
        check_whole(0, **{name: getattr(m, name)})
    check_finite(noise_exponent=m.noise_exponent)
    check_share(module_dropout=m.module_dropout)
    check_positive(lr=m.lr)
    check_word(Score, score=m.score)
    check_scoring(m.score, m.decay)
    if m.pretrain_epochs + m.merge_epochs > m.epochs:
        raise ValueError(
            f"epochs={m.epochs} is less than pretrain_epochs={m.pretrain_epochs} and "
            f"merge_epochs={m.merge_epochs} together: raise it"
        )
