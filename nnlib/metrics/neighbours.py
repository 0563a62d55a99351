"""What item vectors have learned: do the nearest neighbours of an item bear its label?"""

from typing import TYPE_CHECKING

import numpy as np

from nnlib.array import Array

if TYPE_CHECKING:
    from nnlib.models.base import Recommender

BLOCK = 512  # items whose similarities are held at a time


def label_agreement(
    model: "Recommender | Array", labels: Array, k: int = 8, items: Array | None = None
) -> float:
    """Mean agreement of an item's labels with those of its `k` nearest neighbours.

    See `agreement_per_item`, which gives each item's share.
    """
    return float(agreement_per_item(model, labels, k, items).mean())


def agreement_per_item(
    model: "Recommender | Array", labels: Array, k: int = 8, items: Array | None = None
) -> Array:
    """How far each item's labels agree with those of its `k` nearest neighbours.

        (1) a_i = 1/k Σ_{j ∈ kNN(i)} [l_j = l_i]                     one label an item
        (2) a_i = 1/k Σ_{j ∈ kNN(i)} |l_i ∩ l_j| / |l_i ∪ l_j|       sets of labels (Jaccard)
    Neighbours are the other items that are most similar, of all items whatever `items` are: by
    `model.similarity`, or by the cosine of the rows of an array of vectors.  Of equals the smaller
    code is nearer.  Two empty sets have nothing in common: 0.

    Shapes
        vectors (N, D) · labels (N,) of any kind, or (N, L) of 0 and 1 · items (n,) → (n,)
    Arguments
        model: a fitted model, or vectors by item code
        labels: by item code
        k: number of neighbours, 1…N−1
        items: codes of the items whose neighbourhoods are looked at; None: all
    Raises
        ValueError: `k` is out of range, or the labels are not one (or one row) for every item.
    Source
        Barkan & Koenigstein 2016, table 2: genres of the 8 nearest, for popular and rare items.
    """
    labels = np.asarray(labels)
    n_items = len(model) if isinstance(model, np.ndarray) else len(model.item_ids_)
    if labels.ndim not in (1, 2) or len(labels) != n_items:
        raise ValueError(
            f"labels of shape {labels.shape}: give one label, or one row of 0 and 1, for each of "
            f"the {n_items} items"
        )
    if not 1 <= k < n_items:
        raise ValueError(f"k={k}: an item has 1 to {n_items - 1} neighbours")
    items = np.arange(n_items) if items is None else np.asarray(items)
    near = nearest(model, items, k)
    if labels.ndim == 1:
        return (labels[near] == labels[items][:, None]).mean(axis=1)  # (1)
    sets = labels.astype(np.float64)
    common = np.einsum("nl,nkl->nk", sets[items], sets[near])
    size = sets.sum(axis=1)
    union = size[items][:, None] + size[near] - common
    return (common / np.maximum(union, 1)).mean(axis=1)  # (2)


def nearest(model: "Recommender | Array", items: Array, k: int) -> Array:
    """Codes of the `k` most similar other items of each item, the most similar first, (n, k)."""
    found = np.empty((len(items), k), np.int64)
    vectors = None
    if isinstance(model, np.ndarray):
        length = np.linalg.norm(model, axis=1, keepdims=True)
        vectors = model / np.where(length > 0, length, 1)
    for i in range(0, len(items), BLOCK):
        part = items[i : i + BLOCK]
        if vectors is not None:
            similarity = vectors[part] @ vectors.T
        else:
            similarity = np.stack([model.similarity(int(item)) for item in part]).astype(float)
        similarity[np.arange(len(part)), part] = -np.inf
        found[i : i + BLOCK] = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return found
