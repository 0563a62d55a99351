"""What GRU4Rec reads when it has learned: states after histories, scores after events."""

from collections.abc import Iterator

import numpy as np

from nnlib.array import Array, Device, array_module, to_device
from nnlib.data import Histories
from nnlib.data.batches import session_parallel
from nnlib.functional.scores import item_scores
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
    if block is None:  # scores and table equally large: each is read once for a block
        block = min(LANES, max(128, 1 << (W.shape[1] - 1).bit_length()))
    memory = array_module(W).empty(block * len(W), W.dtype)
    states = net.start(0)
    for at, carried in session_parallel(rows, LANES):
        item = to_device(rows.items[at], device)
        states = net.read(item, [h[to_device(carried, device)] for h in states])
        h = net.query(states)
        if wanted is not None:
            keep = np.flatnonzero(wanted[at])
            at, h = at[keep], h[to_device(keep, device)]
        for i in range(0, len(at), block):
            part = at[i : i + block]
            yield part, item_scores(h[i : i + block], W, b, memory)
