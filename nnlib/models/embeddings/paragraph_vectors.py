"""ParagraphVectors: a vector for every document, learned by predicting the items in it."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from nnlib.array import Array, keep_freed_memory
from nnlib.data import Histories, Interactions, PopularitySampler
from nnlib.data.vocabulary import keep_probability
from nnlib.functional.trees import huffman
from nnlib.init import BLANK
from nnlib.layers import HierarchicalSoftmax
from nnlib.models.base import _pack_ids, _unpack_ids, check_log, set_weights
from nnlib.models.embeddings.paragraph_contexts import Contexts, blocks
from nnlib.models.embeddings.paragraph_network import Mode, ParagraphNetwork, SoftmaxOutput
from nnlib.models.epochs import Epochs
from nnlib.models.item_vectors import ItemVectors, Score, log_shares, normalized
from nnlib.models.pair_training import SHARED, SampledOutput
from nnlib.models.settings import (
    check_finite,
    check_not_negative,
    check_positive,
    check_whole,
    check_word,
)
from nnlib.optim import Adagrad

Output: TypeAlias = Literal["negative-sampling", "hierarchical-softmax", "softmax"]

# Adagrad's G at the start, for gradients that are sums over windows.  Of most documents a batch has
# one window at most, whose first gradients are noise: with G = 0 they would be steps of size lr.
START = 0.1


@dataclass(kw_only=True)
class ParagraphVectors(ItemVectors):
    """A vector for every document, trained to predict each item from it and the items around.

        (1) h = (D_u + Σ_c E_c) / (1 + |C|)       mode "dm-mean" of PV-DM, C around the target
            h = [D_u, E_{c_1}, …, E_{c_C}]        mode "dm-concat" of PV-DM, 0 past the ends
            h = D_u                               mode "dbow", PV-DBOW
        (2) L = output(h, target)                 the mean over all items of all documents
    A document is a user of the log and its items are the words, in the order of time.  PV-DM is
    CBOW with the document as one more word; PV-DBOW has no context and no order: it is skip-gram
    with the document as the centre, and often the stronger of the two.

    A new document is trained on its own windows, with E and O frozen:

        (3) D_new ← D_new − Adagrad's step on Σ_windows L        `infer_epochs` times
    Given E and O, L is convex in D_new.  Each starts from the mean of D and sees the same
    negatives, so that the result depends on the document and on nothing else.

    What comes after a history is scored by (1), D_u being inferred from all of it and C its last
    items, whether or not its user was in the training data:

        (4) cosine   s_j = cos(D_u, E_j)
        (5) pmi      s_j = log p(j|h) − log q_j           negative sampling: h · O_j
        (6) prob     s_j = log p(j|h)                     negative sampling: h · O_j + log q_j
    up to a constant; q_j ∝ count_j^α under negative sampling, otherwise the share of events.

    Shapes
        D_ (M, F), rows in the order of `document_ids_` (M,) · E_ (N, F) · O_ (N, H), H = F or
        (1 + C) F.  "dbow" has no E: there E_ is O_.  "hierarchical-softmax" has vectors of tree
        nodes: there O_v = Σ_l s_vl O_{n_vl}, the direction in which h makes item v likelier.
    Arguments
        mode: as in (1)
        output: "negative-sampling" (`pair_training.SampledOutput`), "hierarchical-softmax" (of a
            Huffman tree) or "softmax"
        n_factors: F ≥ 1
        window: places on each side of the target, ≥ 1; "dbow" has none
        directed: the context is what comes before the target only
        dynamic: the window of each target is drawn from 1 … window; not in "dm-concat"
        negatives: K ≥ 1, of a target
        noise_exponent: α; 0 draws uniformly, 1 by popularity
        subsample: t of `data.keep_probability`, ≥ 0; 0: every event is kept
        epochs, batch_size: ≥ 1
        lr: of Adagrad, > 0
        infer_epochs: passes over a new document, ≥ 1
        score: "cosine" (not in "dm-concat", whose documents and items share no space), "pmi" or
            "prob"
        seed: of weights, windows and negatives
    Raises
        ValueError: a setting is out of its range.
    Source
        Le & Mikolov 2014 · the deck says of "paragraph2vec" that it is based on CBOW: PV-DM is, the
        paper's other model, PV-DBOW, is like skip-gram · differs: Adagrad on batches instead of a
        falling rate; a place past an end is 0 instead of a learned padding; inference starts from
        the mean instead of from noise.  Others could not reproduce the paper's error on film
        reviews.
    """

    mode: Mode = "dm-mean"
    output: Output = "negative-sampling"
    n_factors: int = 50
    window: int = 5
    directed: bool = False
    dynamic: bool = False
    negatives: int = 5
    noise_exponent: float = 0.75
    subsample: float = 0.0
    epochs: int = 20
    batch_size: int = 512
    lr: float = 0.2
    infer_epochs: int = 50
    score: Score = "prob"
    seed: int = 0

    def __post_init__(self) -> None:
        check_word(Mode, mode=self.mode)
        check_word(Output, output=self.output)
        check_word(Score, score=self.score)
        for name in ("n_factors", "window", "negatives", "epochs", "batch_size", "infer_epochs"):
            check_whole(**{name: getattr(self, name)})
        check_whole(0, seed=self.seed)
        check_not_negative(subsample=self.subsample)
        check_positive(lr=self.lr)
        check_finite(noise_exponent=self.noise_exponent)
        if self.mode == "dm-concat" and self.dynamic:
            raise ValueError("dynamic=True leaves places of dm-concat empty: set it to False")
        if self.mode == "dm-concat" and self.score == "cosine":
            raise ValueError(
                "score='cosine': documents and items of dm-concat share no space: take 'prob'"
            )

    def fit(
        self,
        train: Interactions,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from the documents of `train`, which are its users.

        Arguments
            progress: show a bar with the loss, items per second and the time left
            checkpoint: file to write after every epoch
            resume: go on from `checkpoint` if it exists, as if there had been no interruption
        Raises
            DataError: no document has two items, or there are fewer than two different ones.
            DivergedError: a loss or parameter is no longer finite.
            KeyboardInterrupt: Ctrl-C; the step is finished first, and the model can be used
        """
        check_log(train)
        keep_freed_memory()
        counts, documents = train.support(), train.histories()
        net = self._build(train.n_users, counts, np.random.default_rng((self.seed, 0)))
        optimizer = Adagrad(net.parameters(), self.lr, initial=START)
        sampler = self._sampler(counts)
        keep = keep_probability(counts, self.subsample) if self.subsample else None
        run = Epochs(
            self,
            net,
            optimizer,
            train,
            events=train.n_events,
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )
        ids = {"item_ids_": train.item_ids, "document_ids_": train.user_ids}
        finish = partial(self._keep_result, net, counts)
        with run.leaving(self, finish, losses_=run.losses, **ids):
            for epoch in run:
                noise = self._noise(sampler, np.random.default_rng((self.seed, epoch, 1)))
                rng = np.random.default_rng((self.seed, epoch, 0))
                windows = self._contexts.windows(documents, rng, self.batch_size, keep)
                for document, context, target in windows:
                    loss, backward = net(document, context, target, *next(noise))
                    backward(len(target))  # the sum over windows
                    optimizer.step()
                    run.record(loss, len(target))
        return self

    def scores(self, histories: Histories) -> Array:
        self._check_fitted()
        return self.scores_after(self.infer_all(histories), histories)

    def scores_after(self, documents: Array, histories: Histories) -> Array:
        """(4), (5) or (6) with D_u given, row by row, instead of inferred: (B, F) → (B, N)."""
        if self.score == "cosine":
            return normalized(documents) @ normalized(self.E_).T  # (4)
        net = self.net_.for_new_documents(documents)
        h, _ = net.hidden(np.arange(len(documents)), self._contexts.last_items(histories))  # (1)
        if isinstance(net.output, HierarchicalSoftmax):
            s = net.output.log_probabilities(h)
        else:
            s = h @ self.O_.T
        if self.output == "negative-sampling":
            return s + self.log_q_ if self.score == "prob" else s
        return s if self.score == "prob" else s - self.log_q_

    def infer(self, items: Sequence[Hashable]) -> Array:
        """The vector of a new document of these raw item ids, (F,).

        Unknown items are skipped with a warning; without any, it is the mean of all documents'.
        """
        codes = self._encode(items)
        return self.infer_all(Histories(codes, np.array([0]), np.array([len(codes)])))[0]

    def infer_all(self, documents: Histories) -> Array:
        """The vectors of new documents by (3), (B, F)."""
        self._check_fitted()
        # In double precision, so that in which order a document's windows are summed is no matter.
        D = np.tile(self.D_.mean(axis=0, dtype=np.float64), (len(documents), 1))
        sampler = self._sampler(self.counts_)
        for rows in blocks(documents.lengths):
            some = documents.take(rows)
            net = self.net_.for_new_documents(D[rows])
            optimizer = Adagrad([net.D], self.lr, initial=START)
            rng = np.random.default_rng((self.seed, 0, 0))
            windows = self._contexts.windows(some, rng, batch_size=int(some.lengths.sum()))
            document, context, target = next(windows)
            noise = self._noise(sampler, np.random.default_rng((self.seed, 0, 1)))
            for _ in range(self.infer_epochs):
                _, backward = net(document, context, target, *next(noise))
                backward(len(target))  # the sum over windows, whatever else is in the block
                optimizer.step()
                for p in net.parameters():
                    p.clear()  # E and O stay as they are
            D[rows] = net.D.value
        return D.astype(self.D_.dtype)

    def document_vector(self, document: Hashable) -> Array:
        """The vector that a document of the training data, a raw id, was trained to, (F,).

        Raises
            ValueError: the training data did not contain `document`.
        """
        return self.D_[self._document(document)]

    def similar_documents(self, document: Hashable, n: int = 10) -> list[tuple[Any, float]]:
        """The `n` documents nearest to one of the training data, as (raw id, cosine).

        Raises
            ValueError: the training data did not contain `document`, or n < 1.
        """
        check_whole(n=n)
        code, unit = self._document(document), normalized(self.D_)
        s = unit @ unit[code]
        s[code] = -np.inf
        best = np.argsort(-s, kind="stable")[: min(n, len(s) - 1)]
        return list(zip(self.document_ids_[best].tolist(), s[best].tolist(), strict=True))

    def arrays(self) -> dict[str, Array]:
        parameters = {f"net.{name}": p.value for name, p in self.net_.named_parameters()}
        ids, _ = _pack_ids(self.document_ids_)
        return {
            **parameters,
            "document_ids": ids,
            "counts": self.counts_,
            "losses": np.array(self.losses_),
        }

    def restore(self, arrays: dict[str, Array]) -> None:
        ids, counts = arrays["document_ids"], arrays["counts"]
        self.document_ids_ = _unpack_ids(ids, "json" if ids.dtype == np.uint8 else "integers")
        self.losses_ = arrays["losses"].tolist()
        if len(counts) != len(self.item_ids_):
            raise ValueError(f"{len(counts)} counts for {len(self.item_ids_)} items")
        net = self._build(len(self.document_ids_), counts, BLANK)
        set_weights(net, arrays)
        self._keep_result(net, counts)

    def _keep_result(self, net: ParagraphNetwork, counts: Array) -> None:
        self.net_, self.counts_, self.D_ = net, counts, net.D.value
        output = net.output
        self.O_ = output.O.value
        if isinstance(output, HierarchicalSoftmax):
            self.O_ = output.leaf_vectors()
        self.E_ = self.O_ if self.mode == "dbow" else net.E.value
        self.log_q_ = log_shares(self._sampler(counts).probabilities).astype(np.float32)

    def _build(self, n_documents: int, counts: Array, rng: np.random.Generator) -> ParagraphNetwork:
        width = self.n_factors * (1 + self._contexts.n_places if self.mode == "dm-concat" else 1)
        output: SoftmaxOutput | HierarchicalSoftmax | SampledOutput
        if self.output == "softmax":
            output = SoftmaxOutput(len(counts), width)
        elif self.output == "hierarchical-softmax":
            output = HierarchicalSoftmax(huffman(counts), width, rng=rng)
        else:
            output = SampledOutput(len(counts), width, self.negatives)
        return ParagraphNetwork(
            n_documents, len(counts), self.n_factors, self.mode, output, rng=rng
        )

    def _sampler(self, counts: Array) -> PopularitySampler:
        sampled = self.output == "negative-sampling"
        return PopularitySampler(counts, self.noise_exponent if sampled else 1.0)

    def _noise(
        self, sampler: PopularitySampler, rng: np.random.Generator
    ) -> Iterator[tuple[Array, ...]]:
        """What the output needs besides h and the target, step by step."""
        if self.output == "negative-sampling":
            yield from ((negatives,) for negatives in sampler.stream(rng, SHARED))
        while True:
            yield ()

    @property
    def _contexts(self) -> Contexts:
        n_places = 0 if self.mode == "dbow" else self.window * (1 if self.directed else 2)
        return Contexts(self.window, n_places, self.dynamic)

    def _document(self, document: Hashable) -> int:
        """Code of a raw document id."""
        self._check_fitted()
        ids: list[Any] = self.document_ids_.tolist()
        if document not in ids:
            raise ValueError(f"document {document!r} is not in the training data: infer its vector")
        return ids.index(document)
