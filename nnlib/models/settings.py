"""Checks of hyper-parameters, one sentence each."""

import math
from typing import Any, get_args


def check_whole(low: int = 1, **values: Any) -> None:
    """Raise a ValueError unless every value is a whole number of at least `low`."""
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ValueError(f"{name}={value!r}: it must be a whole number of at least {low}")


def check_not_negative(**values: Any) -> None:
    """Raise a ValueError unless every value is a finite number of at least 0."""
    for name, value in values.items():
        if not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"{name}={value!r}: it must be a finite number of at least 0")


def check_positive(**values: Any) -> None:
    """Raise a ValueError unless every value is a finite number above 0."""
    for name, value in values.items():
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r}: it must be a finite number above 0")


def check_finite(**values: Any) -> None:
    """Raise a ValueError unless every value is a finite number."""
    for name, value in values.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name}={value!r}: it must be a finite number")


def check_share(**values: Any) -> None:
    """Raise a ValueError unless every value is at least 0 and below 1."""
    for name, value in values.items():
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise ValueError(f"{name}={value!r}: it must be a number of at least 0 and below 1")


def check_word(words: Any, **values: Any) -> None:
    """Raise a ValueError unless every value is one of the words of a `Literal`."""
    for name, value in values.items():
        if value not in get_args(words):
            choice = ", ".join(map(repr, get_args(words)))
            raise ValueError(f"{name}={value!r}: it must be one of {choice}")
