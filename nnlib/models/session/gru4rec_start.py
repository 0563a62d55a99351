"""Training that goes on from a fitted GRU4Rec, perhaps on other data."""

from typing import TYPE_CHECKING

import numpy as np

from nnlib.array import to_device, to_host
from nnlib.data import Interactions
from nnlib.models.session.gru4rec_network import GRU4RecNetwork

if TYPE_CHECKING:
    from nnlib.models.session.gru4rec import GRU4Rec

SHAPE = ("hidden", "embedding", "reset")  # settings that fix the weights' shapes and meaning


def with_items_of(train: Interactions, start_from: "GRU4Rec") -> Interactions:
    """`train` in the item codes of the fitted model, items new to it after those it knows."""
    start_from._check_fitted()
    known = start_from.item_ids_
    codes = set(known.tolist())
    new = np.array([raw not in codes for raw in train.item_ids.tolist()], bool)
    return train.in_items_of(np.concatenate([known, train.item_ids[new]]))[0]


def take_over(net: GRU4RecNetwork, model: "GRU4Rec", start_from: "GRU4Rec") -> None:
    """Write the fitted weights into `net`; rows of new items keep what they were drawn as.

    Raises
        ValueError: the two models differ in a setting that shapes the weights.
    """
    for name in SHAPE:
        mine, theirs = getattr(model, name), getattr(start_from, name)
        if mine != theirs:
            raise ValueError(f"{name}={mine!r}, but start_from has {theirs!r}: they must be equal")
    fitted = dict(start_from.net_.named_parameters())
    if fitted.keys() != dict(net.named_parameters()).keys():
        raise ValueError(
            f"start_from is a {type(start_from).__name__}, whose weights are not those of a "
            f"{type(model).__name__}"
        )
    for name, p in net.named_parameters():
        value = fitted[name].value
        p.value[: len(value)] = to_device(to_host(value), model.device)
