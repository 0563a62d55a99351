"""On a GPU: kernels, CuPy without kernels and NumPy agree; GRU4Rec trains to the same model."""

from typing import Any

import numpy as np
import pytest

from nnlib.array import FUSED, check_device, gpu_problem, to_device, to_host
from nnlib.cuda import cuda_kernels
from nnlib.data import HMMClicks
from nnlib.functional import gru_step, ranking, rows, softmax, updates
from nnlib.metrics import evaluate
from nnlib.models import GRU4Rec

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(gpu_problem() is not None, reason=f"no GPU: {gpu_problem()}"),
]

B, C, H, U, N = 240, 170, 100, 2300, 40_000
ADAGRAD = {"lr": 0.05, "momentum": 0.2, "eps": 1e-6}


def numbers(dtype: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(dtype)
    count = rng.integers(1, 4, size=U).astype(dtype)
    ids = rng.integers(N, size=2 * B)
    table = draw(N, H), draw(U, H), rng.random((N, H)).astype(dtype), draw(N, H)
    return {
        "a": draw(B, 3 * H), "h": draw(C, H), "U": draw(H, 3 * H), "b_h": draw(3 * H),
        "dh": draw(B, H), "s": draw(B, U), "target": rng.integers(U, size=B), "count": count,
        "ids": ids, "values": draw(2 * B, H), "rows": rng.permutation(N)[:U], "table": table,
    }  # fmt: skip


def cases(x: dict[str, Any]) -> list[tuple[Any, tuple[Any, ...], dict[str, float]]]:
    """(operation, arguments, options); arguments that change are looked at afterwards too."""
    theta, g, G, v = x["table"]
    _, before = gru_step.gru_step_before(x["a"], x["h"], x["U"])
    _, after = gru_step.gru_step_after(x["a"], x["h"], x["U"], x["b_h"])
    return [
        (gru_step.gru_step_before, (x["a"], x["h"], x["U"]), {}),
        (gru_step.gru_step_after, (x["a"], x["h"], x["U"], x["b_h"]), {}),
        (gru_step.gru_step_before_backward, (x["dh"], before), {}),
        (gru_step.gru_step_after_backward, (x["dh"], after), {}),
        (softmax.cross_entropy, (x["s"], x["target"], x["count"]), {}),
        (ranking.bpr_max, (x["s"], x["target"], x["count"], 1.0), {}),
        (rows.coalesce, (x["ids"], x["values"]), {}),
        (rows.distinct, (x["ids"], np.zeros(N, np.intp)), {}),
        (updates.adagrad, (theta, v, G, None), ADAGRAD),
        (updates.adagrad_rows, (theta, x["rows"], g, G, v), ADAGRAD),
    ]


def moved(x: Any) -> Any:
    if isinstance(x, tuple):
        return type(x)(*map(moved, x)) if hasattr(x, "_fields") else tuple(map(moved, x))
    return to_device(x.copy(), "cuda") if isinstance(x, np.ndarray) else x


def arrays(x: Any) -> list[Any]:
    if isinstance(x, softmax.RowLosses):
        losses, G, scale = map(to_host, x)
        return [losses, G * scale[:, None]]
    if isinstance(x, tuple):
        return [a for part in x for a in arrays(part)]
    return [to_host(x)] if hasattr(x, "dtype") else []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("with_kernels", [False, True], ids=["CuPy", "kernel"])
@pytest.mark.parametrize("i", range(10))
def test_operation(i: int, with_kernels: bool, dtype: Any) -> None:
    check_device("cuda")  # CuPy is there from here on
    op, arguments, options = cases(numbers(dtype))[i]
    on_gpu = moved(arguments)
    expected = op.__wrapped__(*arguments, **options), arguments
    with cuda_kernels():
        run = FUSED[op.__name__] if with_kernels else op.__wrapped__
    got = run(*on_gpu, **options), on_gpu
    tolerance = 2e-4 if dtype == np.float32 else 1e-10
    for a, b in zip(arrays(expected), arrays(got), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(b, a, tolerance, tolerance, err_msg=op.__name__)


@pytest.mark.parametrize("embedding", ["shared", "separate", None])
@pytest.mark.parametrize("loss", ["cross-entropy", "bpr-max"])
def test_without_chance_the_models_agree(loss: Any, embedding: Any) -> None:
    """Without dropout and extra negatives nothing random is drawn on the device."""
    log = HMMClicks().sample(400, np.random.default_rng(0))
    some = log.histories().take(np.arange(20))
    settings = {"hidden": (32,), "batch_size": 16, "n_sample": 0, "epochs": 1, "lr": 0.05}
    cpu, gpu = (
        GRU4Rec(**settings, loss=loss, embedding=embedding, device=d).fit(log)
        for d in ("cpu", "cuda")
    )
    np.testing.assert_allclose(gpu.losses_, cpu.losses_, rtol=1e-3)
    np.testing.assert_allclose(gpu.scores(some), cpu.scores(some), atol=2e-2)


def test_with_chance_they_are_equally_good() -> None:
    train, test = (HMMClicks().sample(n, np.random.default_rng(n)) for n in (2500, 300))
    settings = {"hidden": (48,), "n_sample": 64, "batch_size": 16, "epochs": 4, "lr": 0.1,
                "dropout_hidden": 0.2}  # fmt: skip
    recall = [
        evaluate(GRU4Rec(**settings, device=d).fit(train), test, k=20)["recall@20"]
        for d in ("cpu", "cuda")
    ]
    assert abs(recall[0] - recall[1]) < 0.03
