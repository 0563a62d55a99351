"""Kernels for the CPU that stand in for functions of `nnlib.functional` by name.

NumPy makes a pass over memory for every operation; a loop compiled by Numba makes one for all of
them.  Each kernel is the formula of its reference written as a loop over elements and gives the
same numbers bit for bit, but for sums, whose terms may come in another order, and for exp and tanh
in single precision (`elementary.py`), a unit in the last place off.  It takes part only inside

    with compiled_kernels():
        ...

which is how `fit` and `evaluate` run.  Without Numba (`pip install 'nnlib[fast]'`) the references
do the work.  A kernel is compiled when it first meets arrays of a type, and kept on disk for the
next process.  It is compiled again when its own file has changed, not when a file that it takes
loops from has: after work on `elementary.py`, `prefetch.py` or `vectors.py`, delete __pycache__.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from nnlib.array import COMPILED


def numba_problem() -> str | None:
    """Why no kernel can be compiled, in one clause; None if they can."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed (pip install 'nnlib[fast]')"
    return None


@contextmanager
def compiled_kernels() -> Iterator[None]:
    """Let the kernels do the work within the block, if Numba is there; blocks may be nested."""
    before = dict(COMPILED)
    if numba_problem() is None:
        from nnlib.compiled import (
            activations,
            gru_sequence,
            gru_step,
            lstm_sequence,
            row_losses,
            rows,
            updates,
            windows,
            word2vec,
        )

        COMPILED.update(
            adagrad=updates.adagrad,
            adagrad_rows=updates.adagrad_rows,
            add_rows=rows.add_rows,
            bpr_max=row_losses.bpr_max,
            coalesce=rows.coalesce,
            cross_entropy=row_losses.cross_entropy,
            distinct=rows.distinct,
            elu=activations.elu,
            gru_sequence=gru_sequence.gru_sequence,
            gru_sequence_backward=gru_sequence.gru_sequence_backward,
            gru_step_after=gru_step.gru_step_after,
            gru_step_after_backward=gru_step.gru_step_after_backward,
            gru_step_before=gru_step.gru_step_before,
            gru_step_before_backward=gru_step.gru_step_before_backward,
            item_rank_counts=row_losses.item_rank_counts,
            item_scores=row_losses.item_scores,
            lstm_sequence=lstm_sequence.lstm_sequence,
            lstm_sequence_backward=lstm_sequence.lstm_sequence_backward,
            **windows.KERNELS,
            **word2vec.KERNELS,
        )
    try:
        yield
    finally:
        COMPILED.clear()
        COMPILED.update(before)
