"""Penalties on the size of weights: L2 before the optimizer's step, L1 after it."""

from collections.abc import Iterable

import numpy as np

from nnlib.array import Array, array_module
from nnlib.optim.optimizer import check_not_negative
from nnlib.parameter import Parameter


def l2_penalty(params: Iterable[Parameter], strength: float) -> Array:
    """Add the gradient of an L2 penalty to the parameters' gradients, and return the penalty.

        (1) P = λ/2 Σ θ²
        (2) g ← g + λ θ
    With SGD this is weight decay, θ ← (1 − η λ) θ − η g; with optimizers that divide by past
    gradients it is not: see AdamW.  Called before `optimizer.step()`, as clipping is.

    A table gets a dense gradient, for every one of its rows is penalised.

    Arguments
        params: whose size to penalise, usually without biases; repeated ones count once
        strength: λ ≥ 0
    Returns
        P, 0-d
    Raises
        ValueError: strength is outside its range.
    """
    check_not_negative("strength", strength)
    params = list(dict.fromkeys(params))
    xp = array_module(params[0].value) if params else np
    penalty = xp.zeros(())
    for p in params:
        penalty = penalty + 0.5 * strength * xp.square(p.value).sum()  # (1)
        p.accumulate(strength * p.value)  # (2)
    return penalty


def soft_threshold(params: Iterable[Parameter], amount: float) -> None:
    """Move every weight towards 0 by `amount`, and to exactly 0 those that are nearer.

        (1) θ ← sign(θ) max(|θ| − a, 0)
    It is the proximal step of an L1 penalty: after each step of SGD with rate η, a = η λ gives the
    minimum of the loss + λ Σ |θ|, with true zeros.  The subgradient g + λ sign θ has the same
    minimum, but its iterates jump over 0 and do not come to rest there.

    Arguments
        params: repeated ones count once
        amount: a ≥ 0
    Raises
        ValueError: amount is outside its range.
    Source
        Daubechies, Defrise & De Mol 2004 (iterative soft thresholding).
    """
    check_not_negative("amount", amount)
    for p in dict.fromkeys(params):
        xp = array_module(p.value)
        p.value -= xp.clip(p.value, -amount, amount)  # (1)
