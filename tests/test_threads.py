"""Training runs on one BLAS thread unless the user has chosen a number."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from nnlib.threads import VARIABLES, one_blas_thread


def blas_threads():
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


@pytest.mark.parametrize("chosen", [None, *VARIABLES])
def test_one_blas_thread(chosen, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if chosen:
        monkeypatch.setenv(chosen, "2")
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with one_blas_thread():
            assert blas_threads() == (before if chosen else {1})
        assert blas_threads() == before
