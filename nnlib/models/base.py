"""Recommender: what every model offers, written once."""

import json
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from nnlib.array import Array, array_module, to_device, to_host
from nnlib.data import DataError, Histories, Interactions
from nnlib.layer import Layer
from nnlib.metrics.ranking import rank_bounds
from nnlib.storage import read_arrays, write_arrays

FORMAT = 1  # of saved models


class NotFittedError(RuntimeError):
    """A model was asked for something that only `fit` or `load` can give it."""


class Recommender:
    """Base of all models, which are keyword-only dataclasses of their hyper-parameters.

    A model defines `fit`, which sets `item_ids_`, and `scores`.  Items are codes 0…N−1 inside and
    raw ids (whatever the log calls them) outside; `item_ids_[code]` is the raw id.
    """

    item_ids_: Array  # (N,) raw item ids by code

    def fit(self, train: Interactions) -> Self:
        """Learn from `train`, forgetting earlier fits; the same seed gives the same model."""
        raise NotImplementedError

    def scores(self, histories: Histories) -> Array:
        """Scores of all N items after each history, higher is better: (B, N) on the host."""
        raise NotImplementedError

    def walk(self, sessions: Histories, block: int = 256) -> Iterator[tuple[Array, Array, Array]]:
        """Scores after every event that has a successor: yields (row, at, scores), `block` at most.

        Event `sessions.items[at]` of session `row` is the last one seen, the next is the target;
        every such point comes exactly once, in any order.  A model that carries a state overrides
        this to read each session once instead of all its prefixes.

        Shapes
            row, at (P,) int · scores (P, N), valid until the next block is asked for
        """
        at = sessions.points()
        row = np.repeat(np.arange(len(sessions)), np.maximum(sessions.lengths - 1, 0))
        for i in range(0, len(at), block):
            part = slice(i, i + block)
            yield row[part], at[part], self.scores(sessions.prefixes(row[part], at[part]))

    def walk_ranks(
        self, sessions: Histories, block: int | None = None
    ) -> Iterator[tuple[Array, Array, Array]]:
        """The ranks of the targets of `walk`: yields (at, best, worst), as ties are counted.

        A model that can rank without having all scores of a block at a time overrides this.

        Shapes
            at, best, worst (P,) int, on the host
        """
        options = {} if block is None else {"block": block}
        for _, at, scores in self.walk(sessions, **options):
            target = array_module(scores).asarray(sessions.items[at + 1])
            best, worst = rank_bounds(scores, target)
            yield at, to_host(best), to_host(worst)

    def similarity(self, item: int) -> Array:
        """How alike all items are to the item of this code, (N,): here, its followers' scores."""
        return self.scores(Histories(np.array([item]), np.array([0]), np.array([1])))[0]

    def recommend(
        self, items: Sequence[Hashable], n: int = 10, *, exclude_seen: bool = False
    ) -> list[tuple[Any, float]]:
        """The `n` best next items after the raw item ids `items` (oldest first), as (id, score).

        Ids that the training data did not contain are skipped with a warning.  Seen items may be
        recommended again, as people do click again, unless `exclude_seen`.
        """
        codes = self._encode(items)
        history = Histories(codes, np.array([0]), np.array([len(codes)]))
        scores = self.scores(history)[0]
        return self._best(scores, n, codes if exclude_seen else codes[:0])

    def similar_items(self, item: Hashable, n: int = 10) -> list[tuple[Any, float]]:
        """The `n` items most like `item`, itself excluded, as (raw id, similarity).

        Raises
            ValueError: the training data did not contain `item`.
        """
        code = self._encode([item], unknown="raise")
        return self._best(self.similarity(int(code[0])), n, code)

    def session(self) -> "Session":
        """A live session: `click(item)` as events come in, `top(n)` at any time."""
        return Session(self)

    def save(self, path: str | Path) -> None:
        """Write the fitted model to a safetensors file, whole or not at all."""
        self._check_fitted()
        ids, kind = _pack_ids(self.item_ids_)
        header = {
            "format": FORMAT,
            "model": type(self).__name__,
            "settings": self.settings(),
            "ids": kind,
        }
        write_arrays(path, {**self.arrays(), "item_ids": ids}, header)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that `save` wrote.

        Raises
            FileNotFoundError: there is no such file.
            ValueError: it is no such file, is damaged, or holds another kind of model.
        """
        arrays, header = read_arrays(path)
        if header.get("model") != cls.__name__:
            raise ValueError(f"{path}: holds a {header.get('model')}, not a {cls.__name__}")
        if header.get("format") != FORMAT:
            raise ValueError(f"{path}: format {header.get('format')}, this nnlib reads {FORMAT}")
        try:
            settings = header["settings"].items()
            model = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings})
            model.item_ids_ = _unpack_ids(arrays.pop("item_ids"), header["ids"])
            model.restore(arrays)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise ValueError(f"{path}: a damaged {cls.__name__} file ({error})") from error
        return model

    def settings(self) -> dict[str, Any]:
        """The hyper-parameters as they were given to the constructor."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    def arrays(self) -> dict[str, Array]:
        """What `fit` learned: by default every array attribute whose name ends in "_"."""
        return {
            name: value
            for name, value in vars(self).items()
            if name.endswith("_") and name != "item_ids_" and isinstance(value, np.ndarray)
        }

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take back what `arrays` gave; `item_ids_` is set already."""
        for name, value in arrays.items():
            setattr(self, name, value)

    def _check_fitted(self) -> None:
        if not hasattr(self, "item_ids_"):
            name = type(self).__name__
            raise NotFittedError(f"this {name} has learned nothing yet: call fit or {name}.load")

    def _encode(self, items: Sequence[Hashable], unknown: str = "warn") -> Array:
        """Codes of raw ids, (n,), unknown ones left out with a warning or refused."""
        self._check_fitted()
        if self.__dict__.get("_index_of") is not self.item_ids_:
            self._index = {raw: code for code, raw in enumerate(self.item_ids_.tolist())}
            self._index_of = self.item_ids_
        items = np.asarray(items).tolist() if isinstance(items, np.ndarray) else list(items)
        missing = [raw for raw in items if raw not in self._index]
        if missing:
            hint = self._other_type(missing[0])
            message = f"item {missing[0]!r} is not in the training data{hint}"
            if unknown == "raise":
                raise ValueError(message)
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            warnings.warn(f"{message}{more}: skipped", stacklevel=3)
        return np.array([self._index[raw] for raw in items if raw in self._index], np.int64)

    def _other_type(self, raw: Hashable) -> str:
        """Ids are often strings on one side and integers on the other: say so."""
        example = next(iter(self._index), None)
        if example is None or isinstance(raw, type(example)):
            return ""
        return f", whose ids are {type(example).__name__}s like {example!r}"

    def _best(self, scores: Array, n: int, exclude: Array) -> list[tuple[Any, float]]:
        if n < 1:
            raise ValueError(f"n={n}: ask for at least one item")
        scores = scores.astype(np.float64)
        scores[exclude] = -np.inf
        best = np.argsort(-scores, kind="stable")[:n]
        best = best[scores[best] > -np.inf]
        return list(zip(self.item_ids_[best].tolist(), scores[best].tolist(), strict=True))


class Session:
    """One visitor's clicks so far; `top` is what to show next."""

    def __init__(self, model: Recommender) -> None:
        model._check_fitted()
        self.model = model
        self.items: list[Hashable] = []

    def click(self, item: Hashable) -> "Session":
        """One more event; an unknown item is skipped with a warning."""
        if len(self.model._encode([item])):
            self.items.append(item)
        return self

    def top(self, n: int = 10, *, exclude_seen: bool = False) -> list[tuple[Any, float]]:
        """The `n` best next items as (raw id, score)."""
        return self.model.recommend(self.items, n, exclude_seen=exclude_seen)


def check_log(train: Interactions) -> None:
    """Raise a `DataError` if `train` has fewer than two items or no session of two events."""
    if train.n_items < 2:
        raise DataError(f"the training data has {train.n_items} item(s): at least 2 are needed")
    if not (train.histories().lengths > 1).any():
        raise DataError(
            "every training session has a single event: there is no next item to learn; "
            "check which column is the session"
        )


def set_weights(net: Layer, saved: Mapping[str, Array], prefix: str = "net.") -> None:
    """Make the `saved` arrays, by prefix and name, the weights of `net`; a GPU gets copies.

    Raises
        ValueError: one does not have the shape that it has in `net`.
    """
    for name, p in net.named_parameters():
        value = saved[f"{prefix}{name}"]
        if value.shape != p.value.shape:
            raise ValueError(f"{name} is {value.shape}, the settings make it {p.value.shape}")
        if isinstance(p.value, np.ndarray):
            p.value = value
        else:
            p.value[...] = to_device(value, "cuda")


def _pack_ids(ids: Array) -> tuple[Array, str]:
    """Raw ids as an array that a safetensors file can hold: integers as they are, else JSON."""
    if ids.dtype.kind in "iu":
        return ids.astype(np.int64), "integers"
    text = json.dumps(ids.tolist())
    return np.frombuffer(text.encode(), np.uint8), "json"


def _unpack_ids(packed: Array, kind: str) -> Array:
    if kind == "integers":
        return packed
    values = json.loads(packed.tobytes().decode())
    ids = np.empty(len(values), object)
    ids[:] = values
    return ids
