"""The network of paragraph vectors: a document and a window of items → h → loss of the target."""

import copy
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.rows import take_rows
from nnlib.layer import Layer
from nnlib.layers import HierarchicalSoftmax
from nnlib.layers.sizes import check_sizes
from nnlib.losses import cross_entropy
from nnlib.models.pair_training import SampledOutput, word2vec_init
from nnlib.models.settings import check_word
from nnlib.parameter import Parameter

L = TypeVar("L", bound=Layer)
Mode: TypeAlias = Literal["dm-mean", "dm-concat", "dbow"]


class SoftmaxOutput(Layer):
    """Output vectors of all N items and the softmax over them: exact, at a cost of N per row.

        (1) s = h Oᵀ
        (2) L = 1/B Σ_b −log softmax(s_b)_{target_b}
    Backward
        `backward(dloss=1)` returns dh and adds to the gradient of O.
    Shapes
        h (B, H) · target (B,) int · O (N, H), 0 at the start → L ()
    """

    def __init__(self, n_items: int, n_factors: int) -> None:
        check_sizes(n_items=n_items, n_factors=n_factors)
        self.O = Parameter(np.zeros((n_items, n_factors), np.float32))

    def __call__(self, h: Array, target: Array) -> tuple[Array, Backward]:
        O = self.O
        loss, back_loss = cross_entropy(h @ O.value.T, target)  # (1) (2)

        def backward(dloss: Array | float = 1.0) -> Array:
            ds = back_loss(dloss)  # (2)
            O.accumulate(ds.T @ h)  # (1)
            return ds @ O.value

        return loss, backward


Output: TypeAlias = SoftmaxOutput | HierarchicalSoftmax | SampledOutput


class ParagraphNetwork(Layer):
    """Predicts an item from the document it stands in and from the items around it.

        (1) d = D_document,  e_c = E_{context_c}          e_c = 0 at a place without an item
        (2) h = (d + Σ_c e_c) / (1 + |C|)                 "dm-mean",  |C| places have an item
            h = [d, e_1, …, e_C]                          "dm-concat"
            h = d                                         "dbow"
        (3) L = output(h, target)
    The document is one more item of every window in it, the one that stays.  In "dm-concat" each
    place has output weights of its own, hence the order counts.

    Backward
        `backward(dloss=1)` adds to the gradients of the rows of D and E and of the output; the sum
        over repeated rows is the whole gradient:

            mean:    dD_document = de_c = dh / (1 + |C|)
            concat:  dD_document, de_1, …, de_C are the slices of dh
        Of e_c = 0 without an item the gradient is dropped.
    Shapes
        document (B,) int · context (B, C) int, −1 at a place without an item · target (B,) int
        D (M, F) · E (N, F), not in "dbow" → h (B, H), H = F or (1 + C) F · L ()
    Arguments
        n_documents, n_items, n_factors: M, N and F
        mode: "dm-mean", "dm-concat" or "dbow"
        output: takes h of width H, the target and, to sample, negatives
        rng: draws D and E from U(−½, ½) / F, as word2vec does
    Raises
        ValueError: a size is below 1, or the mode is unknown.
    Source
        Le & Mikolov 2014, section 2.2 and 2.3.
    """

    def __init__(
        self,
        n_documents: int,
        n_items: int,
        n_factors: int,
        mode: Mode,
        output: Output,
        *,
        rng: np.random.Generator,
    ) -> None:
        check_sizes(n_documents=n_documents, n_items=n_items, n_factors=n_factors)
        check_word(Mode, mode=mode)
        self.mode = mode
        self.D = Parameter(word2vec_init(rng, n_documents, n_factors))
        if mode != "dbow":
            self.E = Parameter(word2vec_init(rng, n_items, n_factors))
        self.output = output

    def __call__(
        self, document: Array, context: Array, target: Array, *noise: Array
    ) -> tuple[Array, Backward]:
        h, back_hidden = self.hidden(document, context)  # (1) (2)
        loss, back_output = self.output(h, target, *noise)  # (3)

        def backward(dloss: Array | float = 1.0) -> None:
            back_hidden(back_output(dloss))  # (3) (2) (1)

        return loss, backward

    def hidden(self, document: Array, context: Array) -> tuple[Array, Backward]:
        """(1) and (2):  h (B, H), and a backward that takes dh."""
        D = self.D
        d = take_rows(D.value, document)  # (1)
        if self.mode == "dbow":
            return d, lambda dh: D.accumulate_rows(document, dh.copy())
        E, n_factors = self.E, D.value.shape[1]
        inside = context >= 0
        row = array_module(context).nonzero(inside)[0]
        items = context[inside]
        e = take_rows(E.value, context.ravel()).reshape(*context.shape, n_factors)  # (1)
        e *= inside[:, :, None]
        if self.mode == "dm-mean":
            share = (1 / (1 + inside.sum(axis=1, keepdims=True))).astype(d.dtype)
            h = (d + e.sum(axis=1)) * share  # (2)
        else:
            h = array_module(d).concatenate([d, e.reshape(len(d), -1)], axis=1)  # (2)

        def backward(dh: Array) -> None:
            if self.mode == "dm-mean":
                dd = dh * share  # (2)
                de = take_rows(dd, row)
            else:
                dd = dh[:, :n_factors].copy()  # (2)
                de = dh[:, n_factors:].reshape(*context.shape, n_factors)[inside]
            D.accumulate_rows(document, dd)  # (1)
            E.accumulate_rows(items, de)

        return h, backward

    def for_new_documents(self, D: Array) -> "ParagraphNetwork":
        """This network with other documents; gradients that E and O get in it are its own.

        Shapes
            D (B, F) is changed by whoever steps on it; E and O are the same arrays as here
        """
        clone = _with_own_gradients(self)
        clone.output = _with_own_gradients(self.output)
        clone.D = Parameter(D)
        return clone


def _with_own_gradients(layer: L) -> L:
    clone = copy.copy(layer)
    for name, value in vars(layer).items():
        if isinstance(value, Parameter):
            setattr(clone, name, Parameter(value.value))
    return clone
