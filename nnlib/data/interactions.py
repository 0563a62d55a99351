"""Interactions: a log of (user, item, time), raw ids kept and mapped once."""

from dataclasses import dataclass

from nnlib.array import Array
from nnlib.data.histories import Histories


@dataclass(frozen=True, eq=False)
class Interactions:
    """PLACEHOLDER: interface only; the data helper writes the real one."""

    user: Array  # (E,) int64 codes 0..M-1, ascending
    item: Array  # (E,) int64 codes 0..N-1
    time: Array  # (E,)
    user_ids: Array  # (M,) raw ids by code
    item_ids: Array  # (N,) raw ids by code
    value: Array | None = None  # (E,)

    def histories(self) -> Histories:
        raise NotImplementedError
