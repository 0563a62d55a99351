"""What tests of several models share."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """Python's own handler, which a process that was started in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
