"""Training on a log that comes in chunks, none of which is kept."""

import warnings
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nnlib.array import Array, check_device, keep_freed_memory
from nnlib.data import Interactions
from nnlib.data.columns import encode
from nnlib.data.frames import sequence_column
from nnlib.models.base import check_log
from nnlib.models.session.gru4rec_network import GRU4RecNetwork
from nnlib.optim import Adagrad

if TYPE_CHECKING:
    from nnlib.models.session.gru4rec import GRU4Rec


class Stream(NamedTuple):
    """What training goes on with, from one chunk to the next."""

    net: GRU4RecNetwork
    optimizer: Adagrad
    support: Array  # (N,) events of each item so far


def next_chunk(
    model: "GRU4Rec",
    so_far: Stream | None,
    chunk: Interactions,
    item_ids: Sequence[Hashable] | Array | None,
) -> tuple[Interactions, Stream]:
    """The chunk in the model's item codes, and the stream with its events counted.

    A stream that is not of the model's present network ended when the model was fitted anew.

    Raises
        ValueError: there are no item ids yet, or others than the model has.
        DataError: the chunk has no session of two events on known items.
    """
    check_device(model.device)
    fitted = hasattr(model, "item_ids_")
    if item_ids is None and not fitted:
        raise ValueError("the first chunk needs item_ids: the raw ids of all items that may come")
    known = model.item_ids_ if fitted else _distinct(item_ids)
    if fitted and item_ids is not None and list(item_ids) != known.tolist():
        raise ValueError(
            f"item_ids has {len(item_ids)} items, and not those that this {type(model).__name__} "
            "has: leave it out to go on, or make a new model"
        )
    log, dropped = chunk.in_items_of(known)
    if dropped:
        warnings.warn(
            f"{dropped:,} of {chunk.n_events:,} events are on items that item_ids does not have: "
            "left out",
            stacklevel=3,
        )
    check_log(log)
    if so_far is None or so_far.net is not getattr(model, "net_", so_far.net):
        keep_freed_memory()
        net = model.net_ if fitted else model._build(len(known))
        so_far = Stream(net, model._optimizer(net), np.zeros(len(known), np.int64))
    return log, so_far._replace(support=so_far.support + log.support())


def _distinct(item_ids: Sequence[Hashable] | Array | None) -> Array:
    """Raw ids by code, as a log keeps them."""
    codes, ids = encode(sequence_column("item_ids", item_ids), lambda i: f"item_ids[{i}]")
    if len(ids) < len(codes):
        raise ValueError(f"item_ids names {len(codes) - len(ids)} items twice: name each once")
    return ids
