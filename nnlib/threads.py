"""How many threads the products of a training step may use."""

import contextlib
import os
from contextlib import AbstractContextManager

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)


def one_blas_thread() -> AbstractContextManager[object]:
    """Products within the block run on one BLAS thread, unless the user has chosen a number.

    The products of a training step are so small that waking a second thread costs more than it
    brings, on busy cores many times more.  Any of `VARIABLES` in the environment is the user's
    choice and is left alone.
    """
    if any(name in os.environ for name in VARIABLES):
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits
