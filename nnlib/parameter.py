"""Parameter: a learned array and the gradient that backward passes have left on it."""

from typing import NamedTuple

from nnlib.array import Array, array_module
from nnlib.functional.rows import add_rows, coalesce


class RowGradient(NamedTuple):
    """A gradient that is zero except in some rows: row `ids[i]` has gradient `values[i]`."""

    ids: Array  # (n,) int
    values: Array  # (n, ...)
    distinct: bool  # True: no id occurs twice
    looked_up: Array | None = None  # the parameter at distinct ids, if the forward pass has it


class Parameter:
    """A learned array, and the gradient left on it since the last optimizer step.

    `grad` is the dense part of the gradient (None means zero), `rows` its sparse part: a table of
    a million items of which a batch touches a hundred never sees a dense gradient.
    """

    __slots__ = ("grad", "rows", "value")

    def __init__(self, value: Array) -> None:
        self.value = value
        self.grad: Array | None = None
        self.rows: list[RowGradient] = []

    def accumulate(self, g: Array) -> None:
        """Add `g` to the gradient.  `g` is given away: the caller must not use it again."""
        if self.grad is None:
            self.grad = g
        else:
            self.grad += g

    def accumulate_rows(
        self, ids: Array, g: Array, distinct: bool = False, looked_up: Array | None = None
    ) -> None:
        """Add `g[i]` to the gradient of row `ids[i]`.

        Ids may repeat, in any shape: ids (...), g (..., *row).  `distinct=True` promises that they
        do not, which saves the optimizer from looking; `looked_up=value[ids]` then saves it from
        looking the rows up once more.  Both arrays are given away.
        """
        if ids.ndim != 1 or g.ndim != self.value.ndim:
            ids, g = ids.ravel(), g.reshape(ids.size, *self.value.shape[1:])
        self.rows.append(RowGradient(ids, g, distinct, looked_up))

    def dense_grad(self) -> Array:
        """The whole gradient as one new array of the parameter's shape."""
        if self.grad is None:
            total = array_module(self.value).zeros_like(self.value)
        else:
            total = self.grad.copy()
        for part in self.rows:
            add_rows(total, part.ids, part.values)
        return total

    def row_grad(self) -> RowGradient:
        """The gradient with distinct ids, for a parameter that has only row gradients."""
        if len(self.rows) == 1:
            part = self.rows[0]
            return part if part.distinct else RowGradient(*coalesce(part.ids, part.values), True)
        xp = array_module(self.value)
        ids = xp.concatenate([part.ids for part in self.rows])
        values = xp.concatenate([part.values for part in self.rows])
        return RowGradient(*coalesce(ids, values), distinct=True)

    def clear(self) -> None:
        """Forget the gradient."""
        self.grad = None
        self.rows = []

    def __repr__(self) -> str:
        return f"Parameter(shape={self.value.shape}, dtype={self.value.dtype})"
