"""`distinct` and `coalesce` with results whose shape does not depend on what the ids are.

A GPU that repeats a captured step cannot be told other shapes, and a host that wants to know how
many ids are distinct waits for the GPU.  So there are as many results as ids, and behind the
distinct ones stands `NOBODY`, with sums of 0.  `nnlib.cuda.adagrad` leaves such rows alone.  For
plain indexing it is the last row of a table, which is harmless to read; to write to it needs a
table whose last row belongs to nobody.
"""

from nnlib.array import Array, array_module, fusable
from nnlib.functional.rows import coalesce, distinct

NOBODY = -1  # an id that is of no row


@fusable
def distinct_padded(ids: Array, scratch: Array) -> tuple[Array, Array]:
    """`distinct`, with `NOBODY` behind the distinct ids.

    Shapes
        ids (n,) int · scratch (N,) int, any content, is overwritten → unique (n,), place (n,)
    """
    found, place = distinct(ids, scratch)
    unique = array_module(ids).full_like(ids, NOBODY)
    unique[: len(found)] = found
    return unique, place


@fusable
def coalesce_padded(ids: Array, values: Array) -> tuple[Array, Array]:
    """`coalesce`, with `NOBODY` behind the distinct ids and 0 behind the sums.

    Shapes
        ids (n,) int · values (n, ...) → unique (n,), sums (n, ...)
    """
    xp = array_module(ids)
    found, some = coalesce(ids, values)
    unique, sums = xp.full_like(ids, NOBODY), xp.zeros_like(values)
    unique[: len(found)], sums[: len(found)] = found, some
    return unique, sums
