"""The kernels of GRU and LSTM over time give what their references give.

Backward bit for bit; forward but for exp and tanh, a few units in the last place.
"""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from nnlib.array import COMPILED, Array
from nnlib.compiled import compiled_kernels, numba_problem
from nnlib.functional import gru_sequence as gru
from nnlib.functional import lstm_sequence as lstm

if problem := numba_problem():
    pytest.skip(problem, allow_module_level=True)

dtypes = st.sampled_from([np.float32, np.float64])
sizes = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 20))
some = st.booleans()
cuts = st.sampled_from([None, 1, 2])


def flat(value: Any) -> list[Array]:
    if isinstance(value, tuple | list):
        return [part for v in value for part in flat(v)]
    return [value] if isinstance(value, np.ndarray) else []


def same(kernel: Any, reference: Any, ulps: int = 0) -> None:
    kernel, reference = flat(kernel), flat(reference)
    assert len(kernel) == len(reference)
    for a, b in zip(kernel, reference, strict=True):
        assert a.dtype == b.dtype
        scale = max(1, float(abs(b).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=ulps * np.finfo(b.dtype).eps * scale)


def kernels(module: Any, name: str) -> tuple[Any, Any]:
    """The kernels of a pair, made sure to be no references."""
    with compiled_kernels():
        pair = COMPILED[name], COMPILED[f"{name}_backward"]
    assert all(op.__module__.startswith("nnlib.compiled") for op in pair)
    return pair


@settings(max_examples=40, deadline=None)
@given(sizes, dtypes, st.booleans(), st.booleans(), some, cuts, st.integers(0, 2**32 - 1))
def test_gru(
    size: Any, dtype: Any, after: bool, keeps: bool, masked: bool, cut: int | None, seed: int
) -> None:
    (T, B, I, H), rng = size, np.random.default_rng(seed)
    shapes = [(T, B, I), (B, H), (I, 3 * H), (H, 3 * H), (3 * H,), (H,)]
    inputs: list[Any] = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    if not after:
        inputs[-1] = None
    mask = rng.random((T, B)) < 0.6 if masked else None
    dh = rng.normal(size=(T, B, 2 * H)).astype(dtype)[:, :, ::2]
    op, op_backward = kernels(gru, "gru_sequence")
    found, expected = (f(*inputs, mask, keeps) for f in (op, gru.gru_sequence.__wrapped__))
    same(found, expected, ulps=20)
    backward = gru.gru_sequence_backward.__wrapped__
    same(op_backward(dh, expected[1], cut), backward(dh, expected[1], cut))


@settings(max_examples=40, deadline=None)
@given(sizes, dtypes, some, st.booleans(), cuts, st.integers(0, 2**32 - 1))
def test_lstm(size: Any, dtype: Any, masked: bool, cells: bool, cut: int | None, seed: int) -> None:
    (T, B, I, H), rng = size, np.random.default_rng(seed)
    shapes = [(T, B, I), (B, H), (B, H), (I, 4 * H), (H, 4 * H), (4 * H,)]
    inputs = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    mask = rng.random((T, B)) < 0.6 if masked else None
    dh, dc = rng.normal(size=(2, T, B, 2 * H)).astype(dtype)[..., ::2]
    op, op_backward = kernels(lstm, "lstm_sequence")
    found, expected = (f(*inputs, mask) for f in (op, lstm.lstm_sequence.__wrapped__))
    same(found, expected, ulps=20)
    backward, dc = lstm.lstm_sequence_backward.__wrapped__, dc if cells else None
    same(op_backward(dh, dc, expected[1], cut), backward(dh, dc, expected[1], cut))
