"""Bidirectional: one layer reads a sequence forward, another one backward."""

from typing import Any

import numpy as np

from nnlib.array import Array, Backward, array_module
from nnlib.functional.sequences import reverse_prefix
from nnlib.layer import Layer
from nnlib.layers.sequential import check_step


class Bidirectional(Layer):
    """Two layers over time side by side: at every step one knows the past, the other the future.

        (1) p = forward(x)
        (2) q = reverse(backward(reverse(x)))         each sequence turned round in its own length
        (3) y = p | q
    What has read a whole sequence is p at its last step, y[−1, :, :H], and q at its first,
    y[0, :, H:].

    Shapes
        x (T, B, I) → y (T, B, H + H'), for an LSTM a pair of such;   dx, (dstate, dstate') as given
    Arguments
        forward, backward: layers over time, such as two of `GRU`, which need not be alike
        states: (first state of forward, first state of backward); None is zeros
        lengths: (B,) int, how many steps of each sequence count; None: all
        truncate: as for `RNN`
    Raises
        TypeError: a layer cannot be called.
        ValueError: `lengths` is a mask; what the layers raise.
    Source
        Schuster & Paliwal 1997.
    """

    def __init__(self, forward: Layer, backward: Layer) -> None:
        check_step(forward)
        check_step(backward)
        self.forward = forward
        self.backward = backward

    def __call__(
        self,
        x: Array,
        states: tuple[Any, Any] | None = None,
        rng: np.random.Generator | None = None,
        *,
        lengths: Array | None = None,
        truncate: int | None = None,
    ) -> tuple[Any, Backward]:
        if lengths is not None and lengths.ndim != 1:
            raise ValueError(
                f"lengths has shape {lengths.shape}: a mask has no order to turn round, "
                f"give {x.shape[1]} integers, one for each sequence"
            )
        xp = array_module(x)
        first, first_back = (None, None) if states is None else states
        p, back_p = self.forward(x, first, rng, lengths=lengths, truncate=truncate)  # (1)
        turned, back_turn = reverse_prefix(x, lengths)
        n, back_n = self.backward(turned, first_back, rng, lengths=lengths, truncate=truncate)
        ps, ns = _parts(p), _parts(n)
        turns = [reverse_prefix(part, lengths) for part in ns]  # (2)
        y = [xp.concatenate(pair, axis=2) for pair in zip(ps, (q for q, _ in turns), strict=True)]

        def backward(*dy: Array) -> tuple[Array, tuple[Any, Any]]:
            H = ps[0].shape[2]
            dp, dq = [part[:, :, :H] for part in dy], [part[:, :, H:] for part in dy]  # (3)
            dn = [back(part) for part, (_, back) in zip(dq, turns, strict=False)]  # (2)
            dturned, dfirst_back = back_n(*dn)  # (2)
            dx, dfirst = back_p(*dp)  # (1)
            return dx + back_turn(dturned), (dfirst, dfirst_back)  # (2) (1)

        return (tuple(y) if isinstance(p, tuple) else y[0]), backward  # (3)


def _parts(state: Any) -> tuple[Array, ...]:
    return state if isinstance(state, tuple) else (state,)
