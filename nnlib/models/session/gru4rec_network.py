"""The network of GRU4Rec: items → recurrent layers → scores of the items of a step."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.fixed_shapes import NOBODY, distinct_padded
from nnlib.functional.products import product
from nnlib.functional.rows import add_rows, distinct, take_rows
from nnlib.functional.scores import item_scores
from nnlib.functional.softmax import RowLosses
from nnlib.init import glorot, per_gate
from nnlib.layer import Layer
from nnlib.layers.dense import Dense
from nnlib.layers.dropout import Dropout
from nnlib.layers.embedding import Embedding
from nnlib.layers.gru_cell import Reset
from nnlib.layers.gru_step import GRUStep
from nnlib.parameter import Parameter


class ScoreBlock(NamedTuple):
    """The items that a step looks up, each once.

    The paper's score block has a column for every target of the batch and every extra negative,
    many of them of the same item.  Equal columns have equal scores, so every item is scored once
    and `column_of` says which scored column stands for a column of the paper.
    """

    item: Array  # (B,) the inputs
    target: Array  # (B,) the items that come next
    negative: Array  # (S,) extra negatives of all rows
    ids: Array  # (n,) distinct items
    first: int  # the U = n − first ids from here on are scored, those before are inputs only
    scored: Array  # (U,) the ids scored, NOBODY where a column stands for no target or negative
    item_at: Array  # (B,) where the inputs are among the ids; empty unless the table is shared
    column_of: Array  # (B + S,) the scored column, 0…U−1, of each target, then of each negative
    weight: Array | None = None  # (B,) of each row in the loss; None: all 1

    @property
    def column(self) -> Array:
        """The scored column of each row's target, (B,)."""
        return self.column_of[: len(self.target)]


Objective: TypeAlias = Callable[[Array, ScoreBlock], RowLosses]


class GRU4RecNetwork(Layer):
    """One step of GRU4Rec on B sessions side by side.

        (1) x  = dropout(E[item])                     without embedding: v = V[item] replaces (2)
        (2) v  = x W_in
        (3) h' = dropout(GRU(v, h))                   the state h of the step before is a constant
        (4) s  = h' W[ids]ᵀ + b[ids]
        (5) L  = 1/B Σ_b w_b objective(s)_b        w: of the block; 1 unless it says otherwise
    With several layers (2) and (3) repeat, x being h' of the layer below.

    Backward
        ∂L/∂s = r ⊙ G with r = w scale / B per row, which multiplies h and dh instead of G
        backward(dloss, dstates) returns the gradient of the states it was given if `through_time`
    Shapes
        block of U scored items · states: per layer (C, H), C ≤ B: rows carried on, the others
        start at zero · objective: (scores (B, U), block) → RowLosses → L (), states: per layer
        (B, H)
    Arguments
        n_items: N
        hidden: H of every layer
        embedding: "shared" (E is W, one table for input and output), D (a table E of its own,
            (N, D)), or None (one-hot input: a row of V (N, 3H) for each item)
        dropout_embed: of (1); without embedding it replaces dropout_hidden in the first layer
        dropout_hidden: of (3); the next step sees the dropped state
        reset: of the GRU in each layer, "before" or "after" the recurrent product
        through_time: the states have gradients, dstates and what backward returns
        n_out: columns of W; None: as many as the last layer has units
        rng: draws every table and matrix, Glorot-uniform per gate; biases start at 0
    Source
        Hidasi et al. 2016; Hidasi & Karatzoglou 2018.  The places of dropout are those of the
        authors' PyTorch code.
    """

    def __init__(
        self,
        n_items: int,
        hidden: Sequence[int],
        embedding: Literal["shared"] | int | None,
        *,
        dropout_embed: float,
        dropout_hidden: float,
        reset: Sequence[Reset],
        through_time: bool = False,
        n_out: int | None = None,
        rng: np.random.Generator,
    ) -> None:
        gates = per_gate(glorot, 3)
        n_out = hidden[-1] if n_out is None else n_out
        n_in = n_out if embedding == "shared" else embedding
        self.embed: Embedding | None = None
        self.inputs: list[Layer] = []
        if n_in is None:
            self.inputs.append(Embedding(n_items, 3 * hidden[0], rng=rng, init=gates))
        elif embedding != "shared":
            self.embed = Embedding(n_items, n_in, rng=rng, init=glorot)
        for n, m in zip([n_in, *hidden], hidden, strict=False):
            if n is not None:
                self.inputs.append(Dense(n, 3 * m, rng=rng, init=gates, bias=False))
        self.cells = [
            GRUStep(m, rng=rng, reset=r, through_time=through_time)
            for m, r in zip(hidden, reset, strict=True)
        ]
        self.W = Parameter(glorot(rng, (n_items, n_out)))
        self.b = Parameter(np.zeros(n_items, np.float32))
        self.drop_embed = Dropout(dropout_embed)
        self.drop_hidden = [Dropout(dropout_hidden) for _ in hidden]
        if n_in is None:
            self.drop_hidden[0] = Dropout(dropout_embed)
        self.shared, self.through_time = embedding == "shared", through_time
        self.scratch = np.zeros(n_items, np.int32)  # of `distinct`

    def block(
        self, item: Array, target: Array, negative: Array, padded: bool = False
    ) -> ScoreBlock:
        """The rows a step looks up: of targets and negatives, and of inputs if W is shared.

        `padded`: for every size of the arguments there is one size of the block, with NOBODY behind
        the distinct ids, and ids that are inputs only get a score as well, which nothing counts.
        """
        xp, n = array_module(item), len(item) if self.shared else 0
        looked_up = xp.concatenate([item[:n], target, negative])
        if padded:
            ids, at = distinct_padded(looked_up, self.scratch)
            scored = xp.full_like(ids, NOBODY)
            scored[at[n:]] = looked_up[n:]
            return ScoreBlock(item, target, negative, ids, 0, scored, at[:n], at[n:])
        ids, at = distinct(looked_up, self.scratch)
        first = int(at[n:].min()) if n else 0  # ids that occur among the inputs only come first
        return ScoreBlock(item, target, negative, ids, first, ids[first:], at[:n], at[n:] - first)

    def __call__(
        self,
        block: ScoreBlock,
        states: Sequence[Array],
        objective: Objective,
        rng: np.random.Generator | None = None,
    ) -> tuple[tuple[Array, list[Array]], Backward]:
        rows = take_rows(self.W.value, block.ids)
        x, back_embed = self.enter(block, rows, rng)  # (1)
        (h, states), back_layers = self.layers(x, states, rng)  # (2) (3)
        loss, back_score = self.score(h, block, rows, objective)  # (4) (5)

        def backward(dloss: Array | float = 1.0, dstates: Sequence[Array] | None = None) -> Any:
            dh, drows = back_score(dloss)  # (5) (4)
            dx, into_past = back_layers(dh, dstates)  # (3) (2)
            back_embed(dx, drows)  # (1)
            self.W.accumulate_rows(block.ids, drows, distinct=True, looked_up=rows)
            return into_past

        return (loss, states), backward

    def enter(
        self, block: ScoreBlock, rows: Array, rng: np.random.Generator | None
    ) -> tuple[Array, Callable[[Array, Array], None]]:
        """Equation (1):  x, backward(dx, drows), which adds to `drows` if the table is shared."""
        if self.shared:
            x, back_drop = self.drop_embed(take_rows(rows, block.item_at), rng)
            return x, lambda dx, drows: add_rows(drows, block.item_at, back_drop(dx))
        if self.embed is None:
            return block.item, lambda dx, drows: None
        x, back_embed = self.embed(block.item)
        x, back_drop = self.drop_embed(x, rng)
        return x, lambda dx, drows: back_embed(back_drop(dx))

    def layers(
        self, x: Array, states: Sequence[Array], rng: np.random.Generator | None = None
    ) -> tuple[tuple[Array, list[Array]], Backward]:
        """Equations (2) and (3) of all layers:  (h of the last, h of each), backward(dh, dstates).

        backward returns dx and the gradients of the given states, None unless `through_time`.
        """
        new, backwards = [], []
        for enter, cell, drop, h in zip(
            self.inputs, self.cells, self.drop_hidden, states, strict=True
        ):
            v, back_enter = enter(x, rng)  # (2)
            x, back_cell = cell(v, h)
            x, back_drop = drop(x, rng)  # (3)
            new.append(x)
            backwards.append((back_enter, back_cell, back_drop))

        def backward(
            dx: Array, dnew: Sequence[Array] | None = None
        ) -> tuple[Array | None, list[Array] | None]:
            dstates = []
            for i in reversed(range(len(backwards))):
                back_enter, back_cell, back_drop = backwards[i]
                dv = back_cell(back_drop(dx if dnew is None else dx + dnew[i]))  # (3)
                if self.through_time:
                    dv, dh = dv
                    dstates.append(dh)
                dx = back_enter(dv)  # (2)
            return dx, dstates[::-1] if self.through_time else None

        return (x, new), backward

    def score(
        self, h: Array, block: ScoreBlock, rows: Array, objective: Objective
    ) -> tuple[Array, Callable[..., tuple[Array, Array]]]:
        """Equations (4) and (5):  L, backward(dloss) → (dh, drows); rows = W[block.ids]."""
        b, first = self.b, block.first
        scored = rows[first:]
        s = item_scores(h, scored, take_rows(b.value, block.scored))  # (4)
        losses, G, scale = objective(s, block)  # (5)
        if block.weight is not None:
            losses, scale = losses * block.weight, scale * block.weight  # (5)

        def backward(dloss: Array | float = 1.0) -> tuple[Array, Array]:
            r = scale * (dloss / len(scale))  # (5)
            b.accumulate_rows(block.scored, product(r, G), distinct=True)  # (4)
            drows = array_module(G).empty_like(rows)
            drows[:first] = 0
            product(G.T, h * r[:, None], out=drows[first:])  # (4)
            return product(G, scored) * r[:, None], drows  # (4)

        return losses.sum() / len(losses), backward

    def start(self, n: int) -> list[Array]:
        """The states of `n` sessions of which nothing was read: zeros, (n, H) for each layer."""
        xp = array_module(self.W.value)
        return [xp.zeros((n, cell.n_hidden), self.W.value.dtype) for cell in self.cells]

    def query(self, states: Sequence[Array]) -> Array:
        """What is multiplied with W to score all items after the states, (B, D)."""
        return states[-1]

    def read(self, item: Array, states: Sequence[Array]) -> list[Array]:
        """The states after one more item in each session, (B,), without dropout."""
        if self.shared:
            x = take_rows(self.W.value, item)
        else:
            x = item if self.embed is None else self.embed(item)[0]
        return self.layers(x, states)[0][1]
