"""Every kernel against its reference, for any shapes and types.

The same bits, but in sums and in what needs exp or tanh.
"""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from nnlib.array import COMPILED, Array
from nnlib.compiled import compiled_kernels, numba_problem
from nnlib.functional import gru_step, rows, updates
from nnlib.models import GRU4Rec

if problem := numba_problem():
    pytest.skip(problem, allow_module_level=True)


def close(a: Array, b: Array, ulps: int) -> None:
    """Equal to `ulps` units in the last place of 1, or of the largest number if that is larger."""
    assert a.dtype == b.dtype
    scale = max(1, float(abs(a).max(initial=0)))
    np.testing.assert_allclose(b, a, rtol=0, atol=ulps * np.finfo(a.dtype).eps * scale)


dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)


def both(op: Any, *arrays: Array | None, **options: Any) -> list[list[Any]]:
    """The results of reference and kernel, and the arrays as each has left them."""
    found = []
    for run in (op.__wrapped__, compiled(op.__name__)):
        mine = [None if a is None else a.copy() for a in arrays]
        found.append([run(*mine, **options), *mine])
    return found


def compiled(name: str) -> Any:
    with compiled_kernels():
        return COMPILED[name]


def same(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, tuple | list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif a is not None:
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 8), d=st.sampled_from([1, 2, 15, 16, 70, 128, 129, 300]),
       momentum=st.sampled_from([0.0, 0.7]), eps=st.sampled_from([0.0, 1e-3]), dtype=dtypes,
       seed=seeds)  # fmt: skip
def test_adagrad(n: int, d: int, momentum: float, eps: float, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    theta, g, v = rng.normal(size=(3, 8, d)).astype(dtype)
    G = rng.random((8, d)).astype(dtype)
    ids = rng.permutation(8)[:n]
    settings = {"lr": 0.05, "momentum": momentum, "eps": eps}
    v = v if momentum else None
    same(*both(updates.adagrad, theta, g, G, v, **settings))
    same(*both(updates.adagrad_rows, theta, ids, g[:n], G, v, **settings))


def test_adagrad_of_a_vector_and_of_arrays_that_no_loop_walks_through() -> None:
    rng = np.random.default_rng(0)
    settings = {"lr": 0.1, "momentum": 0.0, "eps": 1e-8}
    theta, g, G = rng.random((3, 9))
    same(*both(updates.adagrad_rows, theta, np.array([4, 0]), g[:2], G, **settings))
    tables = rng.random((3, 4, 9))
    theta, g, G = (t.T for t in tables)
    same(*both(updates.adagrad, theta, g, G, **settings))
    for run in (updates.adagrad.__wrapped__, compiled("adagrad")):
        wide = rng.random((4, 6))
        view = wide[:, ::2]
        before = wide.copy()
        run(view, g[:4, :3], np.ones((4, 3)), **settings)
        assert (wide[:, 1::2] == before[:, 1::2]).all()
        assert (wide[:, ::2] != before[:, ::2]).all()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(0, 30), size=st.integers(1, 20), dtype=st.sampled_from([np.int32, np.int64]),
       seed=seeds)  # fmt: skip
def test_distinct(n: int, size: int, dtype: type, seed: int) -> None:
    ids = np.random.default_rng(seed).integers(size, size=n).astype(dtype)
    (reference, *_), (kernel, *_) = both(rows.distinct, ids, np.zeros(size, np.intp))
    same(reference, kernel)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(0, 400), size=st.integers(1, 300), d=st.integers(1, 20), dtype=dtypes,
       seed=seeds)  # fmt: skip
def test_add_rows(n: int, size: int, d: int, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids, values = rng.integers(size, size=n), rng.normal(size=(n, d)).astype(dtype)
    table = rng.normal(size=(size, d)).astype(dtype)
    other = values.astype(np.float64 if dtype == np.float32 else np.float32)
    for t, v in ((table, values), (table[:, 0], values[:, 0]), (table, other)):
        expected, mine = (found[1] for found in both(rows.add_rows, t, ids, v))
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, expected, rtol=0, atol=n * np.finfo(dtype).eps * 4)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 400), size=st.integers(1, 300), d=st.integers(1, 20), dtype=dtypes,
       seed=seeds)  # fmt: skip
def test_coalesce(n: int, size: int, d: int, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids, values = rng.integers(size, size=n), rng.normal(size=(n, d)).astype(dtype)
    for v in (values, values[:, 0]):
        (unique, sums), (mine, my_sums) = (found[0] for found in both(rows.coalesce, ids, v))
        same(unique, mine)
        assert my_sums.dtype == dtype
        np.testing.assert_allclose(my_sums, sums, rtol=0, atol=n * np.finfo(dtype).eps * 4)


@settings(max_examples=40, deadline=None)
@given(B=st.integers(1, 9), C=st.integers(0, 9), H=st.integers(1, 40), dtype=dtypes, seed=seeds)
def test_gru_steps(B: int, C: int, H: int, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=shape).astype(dtype)
    v, h, U, dh = draw(B, 3 * H), draw(min(B, C), H), draw(H, 3 * H), draw(B, H)
    b, b_h = draw(2, 3 * H)
    for op, inputs in (("before", (v, h, U, b)), ("after", (v, h, U, b, b_h))):
        forward = getattr(gru_step, f"gru_step_{op}")
        h_next, saved = forward.__wrapped__(*inputs)
        mine, my_saved = compiled(forward.__name__)(*inputs)
        close(h_next, mine, ulps=8)
        for x, y in zip(saved, my_saved, strict=True):
            close(x, y, ulps=8)
        backward = getattr(gru_step, f"gru_step_{op}_backward")
        same(backward.__wrapped__(dh, saved), compiled(backward.__name__)(dh, saved))


def test_kernels_work_within_the_block_only() -> None:
    assert COMPILED == {}
    with pytest.raises(KeyError, match="stop"), compiled_kernels():  # noqa: PT012
        with compiled_kernels():
            pass
        assert "adagrad" in COMPILED
        raise KeyError("stop")
    assert COMPILED == {}


def test_a_fit_gives_the_same_model_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlib import compiled
    from nnlib.data import HMMClicks

    log = HMMClicks().sample(200, np.random.default_rng(0))
    fit = lambda: GRU4Rec(hidden=(12,), n_sample=30, batch_size=8, epochs=2, momentum=0.2).fit(log)
    kernels = fit().arrays()
    monkeypatch.setattr(compiled, "numba_problem", lambda: "hidden")
    references = fit().arrays()
    assert kernels.keys() == references.keys()
    for name, array in kernels.items():
        np.testing.assert_allclose(array, references[name], 1e-4, 1e-5, err_msg=name)
