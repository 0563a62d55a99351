"""Kernels for the GPU that stand in for functions of `nnlib.functional` by name.

CuPy launches a kernel for every operation, and at GRU4Rec's sizes a launch costs more than the
arithmetic in it.  Each kernel here does the work of several operations in one pass over memory and
gives its reference's numbers to rounding.  It takes part only inside

    with cuda_kernels():
        ...

which is how `fit` runs.  CUDA C is in the .cu files, which begin with what was tried, and is
compiled by CuPy when it first meets arrays of a type; what calls it is in the .py of the same name.
README.md says what is known of them, and how training steps are captured as a CUDA graph.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from nnlib.array import FUSED


@contextmanager
def cuda_kernels() -> Iterator[None]:
    """Let the kernels do the work on the GPU within the block; blocks may be nested.

    Where CuPy was not imported no array can be on a GPU, and nothing happens.
    """
    before = dict(FUSED)
    if "cupy" in sys.modules:
        from nnlib.cuda import adagrad, gru_step, philox, row_losses, rows

        FUSED.update(
            adagrad=adagrad.adagrad,
            adagrad_rows=adagrad.adagrad_rows,
            alias_choice=philox.alias_choice,
            bpr_max=row_losses.bpr_max,
            coalesce=rows.coalesce,
            coalesce_padded=rows.coalesce_padded,
            cross_entropy=row_losses.cross_entropy,
            distinct=rows.distinct,
            distinct_padded=rows.distinct_padded,
            gru_step_after=gru_step.gru_step_after,
            gru_step_after_backward=gru_step.gru_step_after_backward,
            gru_step_before=gru_step.gru_step_before,
            gru_step_before_backward=gru_step.gru_step_before_backward,
            random_uniform=philox.random_uniform,
            random_words=philox.random_words,
        )
    try:
        yield
    finally:
        FUSED.clear()
        FUSED.update(before)
