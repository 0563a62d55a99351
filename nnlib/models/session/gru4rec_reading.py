"""What GRU4Rec reads when it has learned: states after histories, scores after events."""

from collections.abc import Iterator

import numpy as np

from nnlib.array import Array, Device, array_module, to_device, to_host
from nnlib.data import Histories
from nnlib.data.batches import session_parallel
from nnlib.functional.scores import item_scores
from nnlib.metrics.ranking import item_rank_bounds
from nnlib.models.session.gru4rec_network import GRU4RecNetwork

LANES = 512  # sessions that are read side by side


def states_after(net: GRU4RecNetwork, histories: Histories, device: Device) -> list[Array]:
    """The state of each layer after each history, (B, H), on the device."""
    order = np.argsort(-histories.lengths, kind="stable")  # rows end from the last one on
    start, lengths = histories.start[order], histories.lengths[order]
    states = net.start(len(order))
    for t in range(lengths.max(initial=0)):
        n = int(np.searchsorted(-lengths, -t))  # rows longer than t
        item = to_device(histories.items[start[:n] + t], device)
        for h, new in zip(states, net.read(item, [h[:n] for h in states]), strict=True):
            h[:n] = new
    back = to_device(np.argsort(order), device)
    return [h[back] for h in states]


def score_events(
    net: GRU4RecNetwork, rows: Histories, device: Device, block: int | None, wanted: Array | None
) -> Iterator[tuple[Array, Array]]:
    """`GRU4Rec.score_events`, every row read once, many of them side by side."""
    W, b = net.W.value, net.b.value
    size, memory = _block_size(W, block)
    for at, h in _blocks(_queries(net, rows, device, wanted), size):
        yield at, item_scores(h, W, b, memory)


def rank_events(
    net: GRU4RecNetwork, rows: Histories, device: Device, block: int | None, wanted: Array | None
) -> Iterator[tuple[Array, Array, Array]]:
    """`GRU4Rec.rank_events`, every row read once, many of them side by side."""
    W, b = net.W.value, net.b.value
    size, memory = _block_size(W, block)
    for at, h in _blocks(_queries(net, rows, device, wanted), size):
        best, worst = item_rank_bounds(h, W, b, to_device(rows.items[at + 1], device), memory)
        yield at, to_host(best), to_host(worst)


def _block_size(W: Array, block: int | None) -> tuple[int, Array]:
    """How many points to score at a time, and memory for their scores of all items.

    The wider the table, the longer it takes to read it once for every block.
    """
    size = block or (256 if W.shape[1] <= 256 else LANES)
    return size, array_module(W).empty(size * len(W), W.dtype)


def _queries(
    net: GRU4RecNetwork, rows: Histories, device: Device, wanted: Array | None
) -> Iterator[tuple[Array, Array]]:
    """(at, what W is multiplied with there), up to `LANES` events at a time."""
    states = net.start(0)
    for at, carried in session_parallel(rows, LANES):
        item = to_device(rows.items[at], device)
        states = net.read(item, [h[to_device(carried, device)] for h in states])
        h = net.query(states)
        if wanted is not None:
            keep = np.flatnonzero(wanted[at])
            at, h = at[keep], h[to_device(keep, device)]
        yield at, h


def _blocks(parts: Iterator[tuple[Array, Array]], size: int) -> Iterator[tuple[Array, Array]]:
    """The parts cut and joined to blocks of `size` rows; only the last has fewer.

    Towards the end ever fewer sessions go on, and the whole table is read for every block.
    """
    at, h = next(parts, ((), ()))
    for more_at, more_h in parts:
        whole = len(at) - len(at) % size
        for i in range(0, whole, size):
            yield at[i : i + size], h[i : i + size]
        at = np.concatenate([at[whole:], more_at])
        h = array_module(h).concatenate([h[whole:], more_h])
    for i in range(0, len(at), size):
        yield at[i : i + size], h[i : i + size]
