"""What GRU4Rec's settings may be."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from nnlib.models.session.gru4rec_loss import Loss

if TYPE_CHECKING:
    from nnlib.models.session.gru4rec import GRU4Rec


def check_settings(m: "GRU4Rec") -> None:
    """Raise a ValueError that names the first setting out of range, or a contradiction."""
    whole: Callable[[Any, int], bool] = lambda v, low: isinstance(v, int) and v >= low
    real: Callable[[Any], bool] = lambda v: isinstance(v, int | float) and 0 <= v < math.inf
    checks: list[tuple[str, Callable[[Any], bool], str]] = [
        ("hidden", lambda v: isinstance(v, tuple) and v != () and all(whole(h, 1) for h in v),
         "a tuple of sizes of at least 1, as in (100,)"),
        ("loss", lambda v: v in get_args(Loss), f"one of {', '.join(get_args(Loss))}"),
        ("embedding", lambda v: v in ("shared", "separate", None) or whole(v, 1),
         "'shared', 'separate', a size of at least 1, or None"),
        *((name, lambda v: whole(v, 1), "a whole number of at least 1")
          for name in ("batch_size", "epochs", "bptt")),
        *((name, lambda v: whole(v, 0), "a whole number of at least 0")
          for name in ("n_sample", "seed")),
        *((name, real, "a finite number of at least 0")
          for name in ("sample_alpha", "logq", "bpreg", "elu")),
        *((name, lambda v: real(v) and v < 1, "a number of at least 0 and below 1")
          for name in ("dropout_embed", "dropout_hidden", "momentum")),
        ("lr", lambda v: real(v) and v > 0, "a finite number above 0"),
        ("reset", lambda v: v in ("before", "after", None), "'before', 'after' or None"),
        ("device", lambda v: v in ("cpu", "cuda"), "'cpu' or 'cuda'"),
    ]  # fmt: skip
    for name, holds, wanted in checks:
        if not holds(value := getattr(m, name)):
            raise ValueError(f"{name}={value!r}: it must be {wanted}")
    if m.logq and m.loss != "cross-entropy":
        raise ValueError(f"logq={m.logq} corrects cross-entropy only, not {m.loss}: set logq=0")
    if not m.n_sample and m.batch_size < 2:
        raise ValueError("batch_size=1 and n_sample=0 leave no negatives: raise one of them")
