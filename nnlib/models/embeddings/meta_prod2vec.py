"""MetaProd2Vec: Prod2Vec that also reads what kind of item each is."""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from nnlib.array import Array, keep_freed_memory
from nnlib.data import Interactions
from nnlib.models.base import check_log
from nnlib.models.embeddings.meta_pairs import MetaNoise, MetaPairVectors
from nnlib.models.embeddings.prod2vec import Prod2Vec
from nnlib.models.epochs import Epochs
from nnlib.models.item_vectors import log_shares
from nnlib.models.pair_training import train_pairs
from nnlib.optim import Adagrad

TERMS = 5


@dataclass(kw_only=True)
class MetaProd2Vec(Prod2Vec):
    """Items and their metadata (a brand, a category, an artist) as tokens of one space.

    For each pair (i, j) that Prod2Vec would learn from, with m(i) the metadata of item i,

        (1) L = L(j|i) + λ [L(m(j)|i) + L(j|m(i)) + L(m(j)|m(i)) + L(i|m(i))]
    each a loss of negative sampling (`MetaPairVectors`): items, and metadata, draw negatives of
    their own kind.  Only the items' vectors are used to recommend, the metadata is there to shape
    them where data is scarce.

    An item that has metadata but no event takes its metadata's vectors, E_i = E_m(i) and
    O_i = O_m(i), and the noise probability of the rarest item.  To have such items among the
    recommended, fit on `log.in_items_of(catalogue)`.

    A gain over Prod2Vec is no proof that metadata helps: four more losses regularise, whatever the
    metadata says.  Compare with metadata that is shuffled among the items, and with `weights=0` and
    an `l2` chosen for it.

    Arguments
        weights: λ, or the weights of the five losses in the order of (1); ≥ 0.  λ = 0 is Prod2Vec,
            bit for bit
        l2: pulls the vectors of both items of a pair towards 0, see `MetaPairVectors`; ≥ 0
        the others: see `Prod2Vec`; `exact` is not offered
    Raises
        ValueError: a setting is out of range.
    Source
        Vasile, Smirnova & Conneau 2016 · differs: five weights; l2; `window` and the like are
        those of Prod2Vec.  Deck: "losses between target/context item/metadata": in the last of the
        five an item is predicted from its own metadata, not from its neighbour's.
    """

    weights: float | tuple[float, ...] = 1.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exact:
            raise ValueError("exact=True: MetaProd2Vec is trained on samples only; leave it out")
        several = isinstance(self.weights, tuple)
        strengths = self.strengths()
        if (several and len(strengths) != TERMS) or not all(_at_least_0(w) for w in strengths):
            raise ValueError(
                f"weights={self.weights!r}: it must be one number, or a tuple of {TERMS}, "
                "finite and at least 0"
            )
        if not any(strengths):
            raise ValueError(f"weights={self.weights!r}: at least one must be above 0")
        if not _at_least_0(self.l2):
            raise ValueError(f"l2={self.l2!r}: it must be a finite number of at least 0")

    def strengths(self) -> tuple[float, ...]:
        """The weights of the five losses."""
        return self.weights if isinstance(self.weights, tuple) else (1.0, *[self.weights] * 4)

    def fit(
        self,
        train: Interactions,
        metadata: Mapping[Any, Hashable] | None = None,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from `train` and what is known of its items.

        Arguments
            metadata: raw item id → integer or text; an item that is not in it, or has None, has no
                metadata; None: nothing is known of any
            progress, checkpoint, resume: as of `Prod2Vec`
        Raises
            DataError: there are no pairs, or fewer than two items.
            ValueError: metadata is given for none of the items, or is no integer or text.
            DivergedError: a loss or parameter is no longer finite.
        """
        check_log(train)
        keep_freed_memory()
        meta, values = encode_metadata(train.item_ids, metadata)
        support, n_items = train.support(), train.n_items
        meta_support: Array = np.bincount(
            meta[meta >= 0], support[meta >= 0], minlength=len(values)
        )
        strengths = self.strengths()
        if not meta_support.any():  # there is nothing to learn of metadata
            strengths, meta_support = (strengths[0], *[0.0] * 4), np.ones(1)
        if not any(strengths):
            raise ValueError(f"weights={self.weights!r} and no metadata: nothing is to be learned")
        net = MetaPairVectors(
            meta,
            len(values),
            self.n_factors,
            self.negatives,
            weights=strengths,
            l2=self.l2,
            rng=np.random.default_rng(self.seed),
        )
        sampler = MetaNoise(support, meta_support, self.noise_exponent)
        optimizer = Adagrad(net.parameters(), self.lr)
        run = Epochs(
            self,
            net,
            optimizer,
            replace(train, value=meta[train.item].astype(np.float64)),  # a checkpoint's data
            events=self.n_pairs(train),
            progress=progress,
            checkpoint=checkpoint,
            resume=resume,
        )

        def finish() -> None:
            E, O = net.E.value, net.output.O.value
            unseen = (support == 0) & (meta >= 0)
            for table in (E, O):
                table[:n_items][unseen] = table[n_items + meta[unseen]]
            self.meta_ids_: list[int | str] = values
            self.E_, self.E_meta_ = E[:n_items].copy(), E[n_items:].copy()
            self.O_, self.O_meta_ = O[:n_items].copy(), O[n_items:].copy()
            self.log_q_ = log_shares(sampler.probabilities).astype(E.dtype)
            self.cluster_, self.transition_ = self._clusters(train)

        with run.leaving(self, finish, item_ids_=train.item_ids, losses_=run.losses):
            train_pairs(run, net, optimizer, self.pairs(train), sampler, seed=self.seed)
        return self

    def arrays(self) -> dict[str, Array]:
        text = json.dumps(self.meta_ids_).encode()
        return {**super().arrays(), "meta_ids": np.frombuffer(text, np.uint8)}

    def restore(self, arrays: dict[str, Array]) -> None:
        self.meta_ids_ = json.loads(arrays.pop("meta_ids").tobytes().decode())
        super().restore(arrays)
        if not len(self.E_meta_) == len(self.O_meta_) == len(self.meta_ids_):
            raise ValueError("the tables do not have a row for each metadata value")


def encode_metadata(
    item_ids: Array, metadata: Mapping[Any, Hashable] | None
) -> tuple[Array, list[int | str]]:
    """(code of each item's value or −1, the values), in the order in which the items have them."""
    codes: dict[int | str, int] = {}
    meta = np.full(len(item_ids), -1)
    if metadata is None:
        return meta, []
    for item, raw in enumerate(item_ids.tolist()):
        value: Any = metadata.get(raw)
        if isinstance(value, np.generic):
            value = value.item()
        if value is None:
            continue
        if not isinstance(value, int | str):
            raise ValueError(f"the metadata of item {raw!r} is {value!r}: give an integer or text")
        meta[item] = codes.setdefault(value, len(codes))
    if not codes:
        example = next(iter(metadata), None)
        raise ValueError(
            f"metadata is given for none of the {len(item_ids)} items: they are called like "
            f"{item_ids[:1].tolist()[0]!r}, its keys like {example!r}"
        )
    return meta, list(codes)


def _at_least_0(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < np.inf
