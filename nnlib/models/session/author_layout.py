"""GRU4Rec in the layout of its author's PyTorch checkpoints: the same weights, other names.

The official code pickles whole objects, which nnlib never reads.  Where that code and torch are at
hand, three lines make a safetensors file of such a checkpoint, and `load_author_layout` reads it:

    import json, torch; from safetensors.torch import save_file
    gru = torch.load("gru.pt", map_location="cpu", weights_only=False)
    save_file(gru.model.state_dict(), "gru.safetensors", {"gru4rec": json.dumps(
        {"item_ids": gru.data_iterator.itemidmap.index.tolist(), "settings": {"loss": gru.loss}})})

The other way round, `model.load_state_dict(safetensors.torch.load_file(path))` takes what
`save_author_layout` wrote into a `GRU4RecModel` of the same sizes.

What differs is only how the numbers are put down:

    author                              here
    Wy.weight (N, H), By.weight (N, 1)  W (N, H), b (N,)         if it is shared, W is the embedding
    E.weight (N, D)                     embed.E (N, D)           an embedding of its own
    G.i.weight_ih (3H, I), weight_hh    inputs.i.W, cells.i.U    transposed, r | z | c in both
    G.i.bias_ih, bias_hh (3H,)          cells.i.b, cells.i.b_h
    h' = (1 − z) c + z h in G           h' = (1 − z) h + z c     1 − σ(a) = σ(−a): z turns its sign
    GE.Wx0.weight (N, 3H), GE.Bh0       inputs.0.E, cells.0.b    one-hot input, columns c | r | z
    GE.Wrz0 (H, 2H), GE.Wh0 (H, H)      cells.0.U                r | z and c; z has the sign of ours

A G cell resets after the recurrent product, GE before it: models of the other kind have no layout.
With one-hot input G.0 is the second layer.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnlib.array import Array, to_host
from nnlib.data.columns import object_array
from nnlib.init import BLANK
from nnlib.models.session.gru4rec import GRU4Rec
from nnlib.models.session.gru4rec_network import GRU4RecNetwork
from nnlib.storage import read_safetensors, write_safetensors

KEY = "gru4rec"  # of the metadata
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # of a cell
SETTINGS = {  # by the author's names; what shapes the weights is read off the weights
    "loss": "loss",
    "batch_size": "batch_size",
    "dropout_p_embed": "dropout_embed",
    "dropout_p_hidden": "dropout_hidden",
    "learning_rate": "lr",
    "momentum": "momentum",
    "n_sample": "n_sample",
    "sample_alpha": "sample_alpha",
    "n_epochs": "epochs",
    "bpreg": "bpreg",
    "elu_param": "elu",
    "logq": "logq",
}


def to_author(model: GRU4Rec) -> dict[str, Array]:
    """The weights of a fitted model by the names of the author's state dict, as host arrays.

    Raises
        ValueError: the author's code has no such model (another `reset`, another network).
    """
    model._check_fitted()
    ours = {name: to_host(p.value) for name, p in model.net_.named_parameters()}
    return {
        e.theirs: np.array(e.to_theirs(ours[e.ours][..., e.columns]), order="C")
        for e in _layout(model)
    }


def from_author(
    arrays: Mapping[str, Array], item_ids: Sequence[Any], settings: Mapping[str, Any] | None = None
) -> GRU4Rec:
    """A GRU4Rec with the weights of an author's state dict.

    Arguments
        arrays: by the author's names
        item_ids: raw ids in the order of the rows, as in the author's `itemidmap`
        settings: of the training, by the author's names; those that are not GRU4Rec's are passed
            over, missing ones get their defaults.  Scores depend on none of them
    Raises
        ValueError: arrays are missing, too many, or do not fit together; an item comes twice.
    """
    model = GRU4Rec(**_sizes(arrays), **_settings(settings or {}))
    model.item_ids_, model.losses_ = _ids(item_ids), []
    model.net_ = model._build(len(model.item_ids_), BLANK)
    _check_shapes({name: np.shape(a) for name, a in arrays.items()}, to_author(model))
    values = {name: p.value for name, p in model.net_.named_parameters()}
    for e in _layout(model):
        values[e.ours][..., e.columns] = e.to_ours(np.asarray(arrays[e.theirs]))
    return model


def save_author_layout(model: GRU4Rec, path: str | Path) -> None:
    """Write a fitted model as a safetensors file of the author's layout."""
    settings = {theirs: getattr(model, ours) for theirs, ours in SETTINGS.items()}
    about = {"item_ids": model.item_ids_.tolist(), "settings": settings}
    write_safetensors(path, to_author(model), KEY, json.dumps(about))


def load_author_layout(path: str | Path) -> GRU4Rec:
    """Read a safetensors file of the author's layout.

    Raises
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, names no items, or holds something else.
    """
    arrays, metadata = read_safetensors(path)
    try:
        about = json.loads(metadata[KEY])
        item_ids, settings = about["item_ids"], about.get("settings", {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: its metadata must have {KEY!r}, a JSON object with the item_ids in the order "
            "of the rows"
        ) from error
    try:
        return from_author(arrays, item_ids, settings)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


class Entry(NamedTuple):
    """One array of the author's and where it is here."""

    theirs: str
    ours: str
    to_theirs: Callable[[Array], Array] = lambda a: a
    to_ours: Callable[[Array], Array] = lambda a: a
    columns: slice = slice(None)  # of ours


def _layout(model: GRU4Rec) -> list[Entry]:
    """All arrays of a model whose network is built."""
    net = model.net_
    if type(net) is not GRU4RecNetwork:
        raise ValueError(f"{type(model).__name__} is no model of the author's: only GRU4Rec is")
    one_hot = model.embedding is None
    for i, cell in enumerate(net.cells):
        if (cell.b_h is None) != (one_hot and i == 0):
            raise ValueError(
                f"reset={model.reset!r}: the author's code resets before the product in a one-hot "
                "layer and after it in all others: train with reset=None"
            )
    entries = [
        Entry("Wy.weight", "W"),
        Entry("By.weight", "b", lambda a: a[:, None], lambda a: a[:, 0]),
    ]
    if net.embed is not None:
        entries.append(Entry("E.weight", "embed.E"))
    if one_hot:
        H = model.hidden[0]
        c_first = lambda a: np.roll(a, H, axis=-1)  # r | z | c → c | r | z
        c_last = lambda a: np.roll(a, -H, axis=-1)
        entries += [
            Entry("GE.Wx0.weight", "inputs.0.E", c_first, c_last),
            Entry("GE.Bh0", "cells.0.b", c_first, c_last),
            Entry("GE.Wrz0", "cells.0.U", columns=slice(0, 2 * H)),
            Entry("GE.Wh0", "cells.0.U", columns=slice(2 * H, None)),
        ]
    for i in range(int(one_hot), len(net.cells)):
        of_cell = (f"inputs.{i}.W", f"cells.{i}.U", f"cells.{i}.b", f"cells.{i}.b_h")
        for part, ours in zip(PARTS, of_cell, strict=True):
            theirs = f"G.{i - one_hot}.{part}"
            entries.append(Entry(theirs, ours, lambda a: _turn_z(a).T, lambda a: _turn_z(a.T)))
    return entries


def _turn_z(a: Array) -> Array:
    """The middle third of the last axis with the other sign: z becomes 1 − z."""
    r, z, c = np.split(a, 3, axis=-1)
    return np.concatenate([r, -z, c], axis=-1)


def _sizes(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """`hidden` and `embedding` of the model that has these weights."""
    one_hot = "GE.Wh0" in arrays
    recurrent = [name for name in arrays if name.startswith("G.") and name.endswith("weight_hh")]
    square = ["GE.Wh0"] * one_hot + [f"G.{i}.weight_hh" for i in range(len(recurrent))]
    missing = [name for name in square or ["G.0.weight_hh"] if name not in arrays]
    if missing:
        raise ValueError(f"these are not the weights of a GRU4Rec: there is no {missing[0]}")
    embedding: Any = None if one_hot else "shared"
    if "E.weight" in arrays:
        embedding = int(np.shape(arrays["E.weight"])[-1])
    hidden = tuple(int(np.shape(arrays[name])[-1]) for name in square)
    return {"hidden": hidden, "embedding": embedding}


def _settings(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Our names and types; the author's files write 0 for 0.0."""
    named = {SETTINGS[name]: value for name, value in theirs.items() if name in SETTINGS}
    kinds = {name: type(getattr(GRU4Rec, name)) for name in named}
    return {name: kinds[name](value) for name, value in named.items()}


def _ids(item_ids: Sequence[Any]) -> Array:
    """Raw ids as `Interactions` keeps them: integers, or objects."""
    if len(set(item_ids)) < len(item_ids):
        raise ValueError("an item id comes twice: each row must have its own")
    if all(type(raw) is int for raw in item_ids):
        return np.array(item_ids, np.int64)
    return object_array(list(item_ids))


def _check_shapes(given: Mapping[str, tuple[int, ...]], expected: Mapping[str, Array]) -> None:
    for name in sorted(given.keys() | expected.keys()):
        if name not in expected:
            raise ValueError(f"{name} has no place in a GRU4Rec with the other arrays")
        if given.get(name) != (shape := expected[name].shape):
            there = given.get(name, "missing")
            raise ValueError(f"{name} is {there}, where the items and other arrays need {shape}")
