"""The CUDA kernels, run on the CPU, against their references on NumPy arrays: equal to rounding."""

from typing import Any

import numpy as np
import pytest

from nnlib.array import FUSED, to_device, to_host
from nnlib.cuda import cuda_kernels
from nnlib.cuda.philox import CounterRandom
from nnlib.data import HMMClicks
from nnlib.data.negatives import PopularitySampler, alias_choice
from nnlib.functional import fixed_shapes, gru_step, philox, ranking, rows, softmax, updates
from nnlib.functional.fixed_shapes import NOBODY
from nnlib.models import GRU4Rec
from nnlib.models.session import gru4rec_training

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def kernel_of(op: Any) -> Any:
    with cuda_kernels():
        return FUSED[op.__name__]


def moved(x: Any) -> Any:
    if isinstance(x, tuple):
        return type(x)(*map(moved, x)) if hasattr(x, "_fields") else tuple(map(moved, x))
    return to_device(x, "cuda") if isinstance(x, np.ndarray) else x


def both(op: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
    """(results and arguments afterwards) of the reference on the CPU and of the kernel."""
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    expected = op.__wrapped__(*copies, **options), copies
    mine = moved(tuple(arguments))
    return expected, (kernel_of(op)(*mine, **options), mine)


def close(expected: Any, mine: Any, loosely: float = 1.0) -> None:
    if expected is None:
        assert mine is None
    elif isinstance(expected, tuple | list):
        assert len(expected) == len(mine)
        for a, b in zip(expected, mine, strict=True):
            close(a, b, loosely)
    elif isinstance(expected, np.ndarray):
        assert type(mine).__name__ == "ndarray"
        b, tolerance = to_host(mine), loosely * (1e-5 if expected.dtype == np.float32 else 1e-12)
        assert (b.dtype, b.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(b, expected, tolerance, 4 * tolerance)


@dtypes
@pytest.mark.parametrize(("B", "C", "H"), [(1, 0, 1), (5, 3, 7), (9, 9, 40), (4, 0, 3)])
def test_gru_steps(B: int, C: int, H: int, dtype: Any, kernels: Any) -> None:
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(dtype)
    v, h, U, dh = draw(B, 3 * H), draw(C, H), draw(H, 3 * H), draw(B, H)
    b, b_h = draw(2, 3 * H)
    for op, back, inputs in (
        (gru_step.gru_step_before, gru_step.gru_step_before_backward, (v, h, U, b)),
        (gru_step.gru_step_after, gru_step.gru_step_after_backward, (v, h, U, b, b_h)),
    ):
        expected, mine = both(op, *inputs)
        close(expected, mine)
        saved = expected[0][1]
        close(*both(back, dh, saved))
    assert set(kernels.launches) == {
        "gates_before", "state_before", "z_c_before_backward", "r_before_backward",
        "step_after", "step_after_backward",
    }  # fmt: skip


@dtypes
@pytest.mark.parametrize("spread", [1.0, 60.0])  # 60: exp overflows float32 without a shift
@pytest.mark.parametrize(("B", "U"), [(1, 1), (3, 5), (4, 300), (2, 1000)])
def test_row_losses(B: int, U: int, spread: float, dtype: Any, kernels: Any) -> None:
    rng = np.random.default_rng(U)
    s = rng.normal(0, spread, (B, U)).astype(dtype)
    target = rng.integers(U, size=B)
    count = rng.integers(1, 4, size=U).astype(dtype)
    weight = rng.random(U).astype(dtype)
    weight[rng.random(U) < 0.3] = 0
    weight[target] = 0.5
    for op, arguments in (
        (softmax.cross_entropy, (s, target)),
        (softmax.cross_entropy, (s, target, weight)),
        (ranking.bpr_max, (s, target, count, 0.5)),
        (ranking.bpr_max, (s, target, np.ones_like(count), 0.0)),
    ):
        (expected, _), (mine, _) = both(op, *arguments)
        loosely = max(1.0, spread / 10)  # the error of exp grows with its argument
        close(expected.losses, mine.losses, loosely)
        close(*(r.G * r.scale[:, None] for r in (expected, mine)), loosely)


@pytest.mark.usefixtures("kernels")
def test_scores_that_are_no_number_are_not_hidden() -> None:
    s = np.array([[0.0, np.nan, 1.0], [0.0, 1.0, 2.0]])
    target = np.array([0, 1])
    for op, more in ((softmax.cross_entropy, ()), (ranking.bpr_max, (np.ones(3), 1.0))):
        losses = to_host(kernel_of(op)(*moved((s, target)), *moved(more)).losses)
        assert np.isnan(losses[0])
        assert np.isfinite(losses[1])


@dtypes
@pytest.mark.parametrize("n", [1, 2, 33, 400, 1024])
@pytest.mark.parametrize("size", [1, 20, 10**4])
def test_coalesce(n: int, size: int, dtype: Any, kernels: Any) -> None:
    rng = np.random.default_rng(n)
    ids, values = rng.integers(size, size=n), rng.normal(size=(n, 3)).astype(dtype)
    for v in (values, values[:, 0].copy()):
        (expected, _), (mine, _) = both(rows.coalesce, ids, v)
        np.testing.assert_array_equal(to_host(mine[0]), expected[0])
        tolerance = 4 * n * np.finfo(dtype).eps
        np.testing.assert_allclose(to_host(mine[1]), expected[1], tolerance, tolerance)
    assert kernels.launches == ["order_ids", "sum_runs"] * 2


@pytest.mark.parametrize("n", [0, 1, 33, 1500])
@pytest.mark.parametrize("size", [1, 20, 10**4])
def test_distinct(n: int, size: int, kernels: Any) -> None:
    ids = np.random.default_rng(n).integers(size, size=n)
    (expected, _), (mine, _) = both(rows.distinct, ids, np.full(size, 7, np.int32))
    close(expected, mine)
    assert kernels.launches == ["distinct"]


@pytest.mark.parametrize("n", [1, 7, 33, 1024])
def test_padded_rows(n: int, kernels: Any, device: Any) -> None:
    rng = np.random.default_rng(n)
    ids, values = rng.integers(max(1, n // 2), size=n), rng.normal(size=(n, 3))
    (expected, _), (mine, _) = both(fixed_shapes.distinct_padded, ids, np.full(n, 7, np.int32))
    close(expected, mine)
    (expected, _), (mine, _) = both(fixed_shapes.coalesce_padded, ids, values)
    np.testing.assert_array_equal(to_host(mine[0]), expected[0])
    np.testing.assert_allclose(to_host(mine[1]), expected[1], 1e-12, 1e-12)
    assert kernels.launches == ["distinct", "order_ids", "sum_runs"]
    assert set(device.waits) == {"get"}  # of this test alone


@pytest.mark.parametrize("n", [1, 4, 130, 2001])
def test_random_numbers(n: int, kernels: Any) -> None:
    step, key = np.array([2**32 + 5]), np.array([2**31 + 1, 3], np.uint32)
    for op in (philox.random_words, philox.random_uniform):
        (expected, _), (mine, _) = both(op, step, key, 2, n)
        np.testing.assert_array_equal(to_host(mine), expected)
    sampler = PopularitySampler(np.arange(40), 0.5)
    coin, place = np.random.default_rng(n).integers(2**32, size=(2, n), dtype=np.uint32)
    close(*both(alias_choice, coin, place, sampler.threshold, sampler.alias))
    assert kernels.launches == ["random_words", "random_uniform", "alias_choice"]


@pytest.mark.usefixtures("kernels")
def test_the_counter_on_the_device_gives_the_numbers_of_the_host() -> None:
    host, device = np.array([41]), moved(np.array([41]))
    mine, expected = (CounterRandom(step, (3, 1)) for step in (device, host))
    with cuda_kernels():
        for _ in range(2):
            for rng in (mine, expected):
                rng.start()
            for _ in range(2):
                a, b = (rng.random((3, 5), np.float32) for rng in (mine, expected))
                np.testing.assert_array_equal(to_host(a), b)
            a, b = (rng.integers(0, 2**32, (2, 5), np.uint32) for rng in (mine, expected))
            np.testing.assert_array_equal(to_host(a), b)
            device += 1
            host += 1
    with pytest.raises(ValueError, match="only all uint32"):
        expected.integers(0, 10, (3,))


@dtypes
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_adagrad(momentum: float, dtype: Any, kernels: Any) -> None:
    rng = np.random.default_rng(0)
    theta, g, v = rng.normal(size=(3, 8, 70)).astype(dtype)
    G, ids = rng.random((8, 70)).astype(dtype), np.array([6, 0, 3])
    settings = {"lr": 0.05, "momentum": momentum, "eps": 1e-3}
    for slots in ((G, v if momentum else None), (G[:, :1].copy(), None)):
        D = slots[0].shape[1]
        arrays = [theta[:, :D].copy(), g[:, :D].copy(), *slots]
        close(*both(updates.adagrad, *arrays, **settings))
        close(*both(updates.adagrad_rows, arrays[0], ids, g[:3, :D].copy(), *slots, **settings))
    vectors = theta[:, 0].copy(), ids, g[:3, 0].copy(), G[:, 0].copy()
    close(*both(updates.adagrad_rows, *vectors, **settings))
    assert kernels.launches == ["adagrad", "adagrad_rows"] * 2 + ["adagrad_rows"]


@pytest.mark.usefixtures("kernels")
def test_adagrad_leaves_the_rows_of_nobody_alone() -> None:
    rng = np.random.default_rng(0)
    guarded, g, G = moved((rng.normal(size=(9, 5)), rng.normal(size=(3, 5)), rng.random((9, 5))))
    before, settings = to_host(guarded), {"lr": 0.1, "momentum": 0.0, "eps": 0.0}
    ids = moved(np.array([6, NOBODY, 3]))
    kernel_of(updates.adagrad_rows)(guarded[1:], ids, g, G[1:], None, **settings)
    changed = (to_host(guarded) != before).all(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(changed), [4, 7])  # row −1 is row 0 here


def test_arrays_that_no_kernel_takes_go_to_the_reference(kernels: Any) -> None:
    rng = np.random.default_rng(0)
    theta, g, G = (t.T for t in rng.random((3, 4, 9)))
    settings = {"lr": 0.1, "momentum": 0.0, "eps": 1e-8}
    with np.errstate(all="raise"):
        close(*both(updates.adagrad, theta, g, G, **settings))
        ids = np.array([4, 0], np.int32)
        close(*both(updates.adagrad_rows, G, ids, g[:2], G.copy(), **settings))
        (expected, _), (mine, _) = both(softmax.cross_entropy, g, np.zeros(9, np.int32))
        close(*(r.G * r.scale[:, None] for r in (expected, mine)))
        close(*both(rows.coalesce, np.arange(2000), np.ones((2000, 1))))
        close(*both(rows.distinct, np.arange(9, dtype=np.int32), np.zeros(9, np.int32)))
    assert kernels.launches == []


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss": "bpr-max", "embedding": "separate", "momentum": 0.3, "dropout_hidden": 0.2},
        {"embedding": None, "n_sample": 0, "hidden": (8, 6)},
    ],
    ids=["shared", "separate", "one-hot"],
)
def test_a_fit_with_kernels_is_that_of_the_cpu(
    settings: Any, kernels: Any, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generator(seed: Any, where: str) -> Any:
        rng = np.random.default_rng(seed)
        return rng if where == "cpu" else device.Generator(rng)

    monkeypatch.setattr(gru4rec_training, "generator", generator)
    log = HMMClicks().sample(12, np.random.default_rng(0))
    small = {"hidden": (8,), "batch_size": 6, "n_sample": 16, "epochs": 1, "lr": 0.1, **settings}
    cpu, cuda = (GRU4Rec(**small, device=d).fit(log) for d in ("cpu", "cuda"))
    for name, array in cpu.arrays().items():
        np.testing.assert_allclose(to_host(cuda.arrays()[name]), array, 1e-3, 3e-4, err_msg=name)
    assert {"distinct", "adagrad", "adagrad_rows", "step_after"} <= set(kernels.launches)


def test_kernels_work_within_the_block_only(device: Any) -> None:
    assert FUSED == {}
    with pytest.raises(KeyError, match="stop"), cuda_kernels():  # noqa: PT012
        with cuda_kernels():
            pass
        assert "adagrad" in FUSED
        raise KeyError("stop")
    assert FUSED == {}
