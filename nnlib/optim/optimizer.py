"""Optimizer: what all optimizers share — whole tables and touched rows, state, checkpoints."""

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from nnlib.array import Array, array_module
from nnlib.functional.updates import update_rows, update_whole
from nnlib.parameter import Parameter


class Optimizer:
    """Base of all optimizers:  `optimizer.step()` moves the parameters and clears gradients.

    A subclass names the arrays it keeps per parameter (`slot_names`) and writes its `rule` once:

        rule(theta, g, *slots)      changes theta and the slots in place, never g

    A rule is elementwise.  So `step` may run it on a whole table, on a table's elements in chunks
    that fit the cache, or on those rows that got a gradient, gathered before and scattered after:
    a table of a million items of which a batch touches a hundred costs a hundred rows.  Of a
    parameter with row gradients only, the other rows and their slots stay as they are; each
    class says whether that equals the dense update.

    Build the optimizer after the model has been moved (`Layer.to`) or converted.

    Arguments
        params: what to update; a parameter that occurs twice counts once
        lr: learning rate η > 0, a plain attribute that a training loop may change
    Raises
        ValueError: no parameters, or lr is not a positive finite number.
    """

    slot_names: tuple[str, ...] = ()
    rule: Callable[..., None]

    def __init__(self, params: Iterable[Parameter], lr: float) -> None:
        if not 0 < lr < math.inf:
            raise ValueError(f"lr={lr!r}: the learning rate must be positive and finite")
        self.params = list(dict.fromkeys(params))
        if not self.params:
            raise ValueError("params is empty: an optimizer needs parameters to update")
        self.lr = lr
        self.t = 0  # steps taken
        self.slots = [
            {name: self.initial_slot(name, p.value) for name in self.slot_names}
            for p in self.params
        ]

    def initial_slot(self, name: str, value: Array) -> Array:
        """The slot `name` of a parameter before the first step: zeros like the parameter."""
        return array_module(value).zeros_like(value)

    def step(self) -> None:
        """Update every parameter that has a gradient, and clear all gradients."""
        self.t += 1
        for p, slots in zip(self.params, self.slots, strict=True):
            if p.grad is not None:
                g = p.dense_grad() if p.rows else p.grad
                self._update_whole(p.value, g, *slots.values())
            elif p.rows:
                self._update_rows(p, *slots.values())
            p.clear()

    def _update_whole(self, theta: Array, g: Array, *slots: Array) -> None:
        update_whole(self.rule, theta, g, *slots)

    def _update_rows(self, p: Parameter, *slots: Array) -> None:
        ids, g, _, looked_up = p.row_grad()  # distinct ids, or the scatter would lose updates
        update_rows(self.rule, p.value, ids, g, *slots, looked_up=looked_up)

    def arrays(self) -> dict[str, Array]:
        """All that the next step depends on, for a checkpoint: "t", "lr" and each "<i>.<slot>".

        i is the position of the parameter.  The slots are the arrays themselves, not copies.
        """
        arrays = {"t": np.array(self.t), "lr": np.array(float(self.lr))}
        for i, slots in enumerate(self.slots):
            arrays |= {f"{i}.{name}": slot for name, slot in slots.items()}
        return arrays

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what `arrays()` of an optimizer for equal parameters returned.

        Raises
            ValueError: a name or a shape differs from this optimizer's.
        """
        mine = self.arrays()
        if different := sorted(mine.keys() ^ arrays.keys()):
            raise ValueError(f"state {different[0]!r} is in the checkpoint or the optimizer only")
        for name, old in mine.items():
            if arrays[name].shape != old.shape:
                raise ValueError(
                    f"state {name!r} has shape {arrays[name].shape} in the checkpoint, "
                    f"{old.shape} in the optimizer"
                )
        self.t, self.lr = int(arrays["t"]), float(arrays["lr"])
        for name in mine.keys() - {"t", "lr"}:
            mine[name][...] = array_module(mine[name]).asarray(arrays[name])


def check_fraction(name: str, value: float) -> None:
    """Raise a ValueError unless 0 ≤ value < 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{name}={value!r}: it must lie in [0, 1)")


def check_not_negative(name: str, value: float) -> None:
    """Raise a ValueError unless 0 ≤ value < ∞."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name}={value!r}: it must be finite and not negative")
