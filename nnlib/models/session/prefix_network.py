"""The network of GRU4Rec on B sequences of one length, with gradients through all of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.rows import take_rows
from nnlib.models.session.gru4rec_network import GRU4RecNetwork, Objective, ScoreBlock


class PrefixNetwork(GRU4RecNetwork):
    """GRU4Rec's network over T steps; its parameters and its single step are the same.

        (1) x_t = dropout(E[item_t])                  t = 1…T, all looked up at once
        (2) v_t = x_t W_in                            one product for all steps
        (3) h_t = dropout(GRU(v_t, h_{t−1}))          the dropped state goes on
        (4) s   = h_T W[ids]ᵀ + b[ids]                or of all h_t if the block has T B targets
        (5) L   = 1/B Σ_b objective(s)_b
    With several layers (2) and (3) repeat, x_t being h_t of the layer below.

    Shapes
        block.item (T·B,), step after step · block.target (B,) after the last step or (T·B,) after
        each · states: (B, H) per layer → L (), states: (B, H) per layer, of the last step
    Arguments
        those of `GRU4RecNetwork`, with `through_time`
    """

    def __call__(
        self,
        block: ScoreBlock,
        states: Sequence[Array],
        objective: Objective,
        rng: np.random.Generator | None = None,
    ) -> tuple[tuple[Array, list[Array]], Backward]:
        rows = take_rows(self.W.value, block.ids)
        x, back_embed = self.enter(block, rows, rng)  # (1)
        (h, states), back_layers = self.over_time(x, states, rng)  # (2) (3)
        before = len(h) - len(block.target)  # rows of h that nothing is predicted from
        loss, back_score = self.score(h[before:], block, rows, objective)  # (4) (5)

        def backward(dloss: Array | float = 1.0, dstates: Sequence[Array] | None = None) -> Any:
            xp = array_module(h)
            dh_scored, drows = back_score(dloss)  # (5) (4)
            dh = xp.concatenate([xp.zeros((before, h.shape[1]), h.dtype), dh_scored])
            dx, into_past = back_layers(dh, dstates)  # (3) (2)
            back_embed(dx, drows)  # (1)
            self.W.accumulate_rows(block.ids, drows, distinct=True, looked_up=rows)
            return into_past

        return (loss, states), backward

    def over_time(
        self, x: Array, states: Sequence[Array], rng: np.random.Generator | None = None
    ) -> tuple[tuple[Array, list[Array]], Backward]:
        """Equations (2) and (3) of all layers:  (h (T·B, H) of the last, each layer's last h)."""
        B = len(states[0])
        last, backwards = [], []
        for i, h_0 in enumerate(states):
            x, back = self._layer_over_time(i, x, h_0, rng)
            last.append(x[-B:])
            backwards.append(back)

        def backward(dx: Array, dlast: Sequence[Array] | None = None) -> tuple[Any, list[Array]]:
            into_past: list[Array] = []
            for i in reversed(range(len(backwards))):
                if dlast is not None:
                    dx = array_module(dx).concatenate([dx[:-B], dx[-B:] + dlast[i]])
                dx, dh_0 = backwards[i](dx)
                into_past.insert(0, dh_0)
            return dx, into_past

        return (x, last), backward

    def _layer_over_time(
        self, i: int, x: Array, h: Array, rng: np.random.Generator | None
    ) -> tuple[Array, Backward]:
        cell, drop, B = self.cells[i], self.drop_hidden[i], len(h)
        xp = array_module(h)
        v, back_enter = self.inputs[i](x, rng)  # (2)
        hs, backwards = [], []
        for t in range(0, len(v), B):
            h, back_cell = cell(v[t : t + B], h)
            h, back_drop = drop(h, rng)  # (3)
            hs.append(h)
            backwards.append((back_cell, back_drop))

        def backward(dh: Array) -> tuple[Array | None, Array]:
            dv = xp.empty_like(v)
            dh_later = xp.zeros_like(h)
            for t in reversed(range(len(backwards))):
                back_cell, back_drop = backwards[t]
                here = slice(t * B, (t + 1) * B)
                dv[here], dh_later = back_cell(back_drop(dh[here] + dh_later))  # (3)
            return back_enter(dv), dh_later  # (2)

        return xp.concatenate(hs), backward
