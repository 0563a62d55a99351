"""What GRU4Rec's settings may be."""

from typing import TYPE_CHECKING

from nnlib.array import Device
from nnlib.layers.gru_cell import Reset
from nnlib.models.session.gru4rec_loss import Loss
from nnlib.models.settings import (
    check_not_negative,
    check_positive,
    check_share,
    check_whole,
    check_word,
)

if TYPE_CHECKING:
    from nnlib.models.session.gru4rec import GRU4Rec


def check_settings(m: "GRU4Rec") -> None:
    """Raise a ValueError that names the first setting out of range, or a contradiction."""
    if not _are_sizes(m.hidden):
        raise ValueError(
            f"hidden={m.hidden!r}: it must be a tuple of sizes of at least 1, as in (100,)"
        )
    check_word(Loss, loss=m.loss)
    if m.embedding not in ("shared", "separate", None) and not _are_sizes((m.embedding,)):
        raise ValueError(
            f"embedding={m.embedding!r}: it must be 'shared', 'separate', a size of at least 1, "
            "or None"
        )
    check_whole(batch_size=m.batch_size, epochs=m.epochs, bptt=m.bptt)
    check_whole(0, n_sample=m.n_sample, seed=m.seed)
    check_not_negative(sample_alpha=m.sample_alpha, logq=m.logq, bpreg=m.bpreg, elu=m.elu)
    check_share(dropout_embed=m.dropout_embed, dropout_hidden=m.dropout_hidden, momentum=m.momentum)
    check_positive(lr=m.lr)
    if m.reset is not None:
        check_word(Reset, reset=m.reset)
    check_word(Device, device=m.device)
    check_graph(m)
    if m.logq and m.loss != "cross-entropy":
        raise ValueError(f"logq={m.logq} corrects cross-entropy only, not {m.loss}: set logq=0")
    if not m.n_sample and m.batch_size < 2:
        raise ValueError("batch_size=1 and n_sample=0 leave no negatives: raise one of them")


def check_graph(m: "GRU4Rec") -> None:
    """Raise a ValueError if a CUDA graph is asked for where there can be none."""
    if not m.graph:
        return
    if m.device != "cuda":
        raise ValueError(f"graph=True: a CUDA graph needs device='cuda', not {m.device!r}")
    if m.bptt > 1:
        raise ValueError(f"graph=True: the steps of a graph need bptt=1, not {m.bptt}")


def _are_sizes(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and value != ()
        and all(isinstance(n, int) and n >= 1 for n in value)
    )
