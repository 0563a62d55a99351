"""What `diagnose` can find, and how it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """What may be the matter with a gradient."""

    CORRECT = "correct"
    FLOAT32 = "float32 noise"  # right up to single precision

    MISSING = "missing"  # there is no gradient at all
    SHAPE = "wrong shape"
    NOT_FINITE = "not finite"
    ZERO = "zero"
    NOT_ZERO = "not zero"  # where zero would be right
    SWAPPED = "swapped"  # two arrays have each other's gradient

    FACTOR = "constant factor"
    BATCH_SIZE = "times the batch size"
    OVER_BATCH_SIZE = "over the batch size"
    TWICE = "twice"
    HALF = "half"
    SIGN = "sign"
    LENGTH = "length"  # right direction, wrong length: slice by slice, or normalised
    ACCUMULATED = "accumulated"  # on top of an earlier gradient

    DERIVATIVE = "derivative"  # f'(a) missing, or there twice
    ELEMENTWISE = "elementwise factor"  # missing, or there too often
    TERM = "term"  # missing, or with the wrong sign
    NOT_SUMMED = "not summed"  # one gradient for each example or step
    WRONG_AXIS = "wrong axis"  # summed or averaged over
    DUPLICATES = "duplicates"  # rows whose id occurs more than once hold one contribution

    TRANSPOSED = "transposed"
    REVERSED = "reversed"
    SHIFTED = "shifted"  # by one step
    PERMUTED = "permuted"  # the right numbers in other places
    BLOCKS_SWAPPED = "blocks swapped"  # such as gates
    BLOCK = "one block"  # such as one gate is wrong
    ONLY_LAST = "only last"  # such as the last time step is right
    ONLY_FIRST = "only first"
    BRANCH = "one branch"  # wrong where an input is positive, or where it is negative
    TARGET = "target"  # one entry of each row is wrong
    PARTLY = "partly right"

    KNOWN = "known"  # one of the mistakes that the caller described
    UNRELATED = "unrelated"


NO_MISTAKE = (Kind.CORRECT, Kind.FLOAT32)


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a gradient; `print` shows it."""

    kind: Kind
    message: str  # one sentence: what is wrong and what to look at
    parts: Mapping[str, "Diagnosis"] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def correct(self) -> bool:
        """No mistake was found; rounding to single precision is none."""
        return self.kind in NO_MISTAKE

    def __str__(self) -> str:
        return self.message
