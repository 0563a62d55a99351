"""A live session of a recurrent model: its state is kept, so that a click costs one step."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from nnlib.array import to_device, to_host
from nnlib.models.base import Session

if TYPE_CHECKING:
    from nnlib.models.session.gru4rec import GRU4Rec


class LiveSession(Session):
    """One visitor's clicks; `before` are those of earlier sessions, which warm the state up."""

    def __init__(self, model: "GRU4Rec", before: Sequence[Hashable] = ()) -> None:
        super().__init__(model)
        self.net, self.device = model.net_, model.device
        self.states = self.net.start(1)
        for code in model._encode(before):
            self.states = self.net.read(to_device(code[None], self.device), self.states)

    def click(self, item: Hashable) -> "LiveSession":
        code = self.model._encode([item])
        if len(code):
            self.items.append(item)
            self.states = self.net.read(to_device(code, self.device), self.states)
        return self

    def top(self, n: int = 10, *, exclude_seen: bool = False) -> list[tuple[Any, float]]:
        h = self.net.query(self.states)
        scores = to_host(h @ self.net.W.value.T + self.net.b.value)[0]
        seen = self.model._encode(self.items if exclude_seen else [])
        return self.model._best(scores, n, seen)
