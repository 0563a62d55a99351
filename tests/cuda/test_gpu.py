"""On a GPU: kernels, CuPy without kernels and NumPy agree; GRU4Rec trains to the same model."""

from typing import Any

import numpy as np
import pytest

from nnlib.array import FUSED, check_device, gpu_problem, to_device, to_host
from nnlib.cuda import cuda_kernels
from nnlib.cuda.graph import GraphRunner
from nnlib.data import HMMClicks
from nnlib.functional import fixed_shapes, gru_step, philox, ranking, rows, softmax, updates
from nnlib.functional.products import product
from nnlib.metrics import evaluate
from nnlib.models import GRU4Rec
from nnlib.models.session import gru4rec_graph

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
        "v": draw(B, 3 * H), "h": draw(C, H), "U": draw(H, 3 * H), "b": draw(3 * H),
        "b_h": draw(3 * H), "dh": draw(B, H), "s": draw(B, U), "target": rng.integers(U, size=B),
        "count": count, "ids": ids, "values": draw(2 * B, H), "rows": rng.permutation(N)[:U],
        "table": table,
    }  # fmt: skip


def cases(x: dict[str, Any]) -> list[tuple[Any, tuple[Any, ...], dict[str, float]]]:
    """(operation, arguments, options); arguments that change are looked at afterwards too."""
    theta, g, G, v = x["table"]
    step = x["v"], x["h"], x["U"], x["b"]
    _, before = gru_step.gru_step_before(*step)
    _, after = gru_step.gru_step_after(*step, x["b_h"])
    return [
        (gru_step.gru_step_before, step, {}),
        (gru_step.gru_step_after, (*step, x["b_h"]), {}),
        (gru_step.gru_step_before_backward, (x["dh"], before), {}),
        (gru_step.gru_step_after_backward, (x["dh"], after), {}),
        (softmax.cross_entropy, (x["s"], x["target"], x["count"]), {}),
        (ranking.bpr_max, (x["s"], x["target"], x["count"], 1.0), {}),
        (rows.coalesce, (x["ids"], x["values"]), {}),
        (rows.distinct, (x["ids"], np.zeros(N, np.int32)), {}),
        (fixed_shapes.distinct_padded, (x["ids"], np.zeros(N, np.int32)), {}),
        (fixed_shapes.coalesce_padded, (x["ids"], x["values"]), {}),
        (philox.random_words, (np.array([2**33 + 1]), np.array([7, 9], np.uint32), 3, 1001), {}),
        (philox.random_uniform, (np.array([5]), np.array([7, 9], np.uint32), 3, 1001), {}),
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
@pytest.mark.parametrize("i", range(14))
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


def test_cublas_makes_the_products_of_numpy_also_in_a_graph() -> None:
    """The first step towards a graph: a capture with nothing in it but three products."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(B, H)), rng.normal(size=(U, H))
    on = [to_device(x.astype(np.float32), "cuda") for x in (a, b, a @ b.T)]
    out = [to_device(np.zeros(shape, np.float32), "cuda") for shape in ((B, U), (U, H), (B, H))]
    runner = GraphRunner(1)

    def work() -> None:
        product(on[0], on[1].T, out=out[0])
        product(on[2].T, on[0], out=out[1])
        product(on[2], on[1], out=out[2])

    def check() -> None:
        for mine, expected in zip(out, (a @ b.T, (a @ b.T).T @ a, (a @ b.T) @ b), strict=True):
            np.testing.assert_allclose(to_host(mine), expected, 1e-3, 0.5)
            mine.fill(0)

    with runner.working():
        runner.run(work)
    check()
    with runner.working():
        runner.capture(work)
    for _ in range(2):
        with runner.working():
            runner.run(work)
        check()


@pytest.mark.parametrize("graph", [False, True], ids=["plain", "graph"])
@pytest.mark.parametrize("embedding", ["shared", "separate", None])
@pytest.mark.parametrize("loss", ["cross-entropy", "bpr-max", "top1-max", "bpr"])
def test_without_chance_the_models_agree(loss: Any, embedding: Any, graph: bool) -> None:
    """Without dropout and extra negatives nothing random is drawn on the device.

    Warnings are errors: where a graph is refused, that is seen.
    """
    log = HMMClicks().sample(400, np.random.default_rng(0))
    some = log.histories().take(np.arange(20))
    settings = {"hidden": (32,), "batch_size": 16, "n_sample": 0, "epochs": 1, "lr": 0.05}
    cpu, gpu = (
        GRU4Rec(**settings, loss=loss, embedding=embedding, **on).fit(log)
        for on in ({}, {"device": "cuda", "graph": graph})
    )
    np.testing.assert_allclose(gpu.losses_, cpu.losses_, rtol=1e-3)
    np.testing.assert_allclose(gpu.scores(some), cpu.scores(some), atol=2e-2)


def test_with_chance_they_are_equally_good() -> None:
    train, test = (HMMClicks().sample(n, np.random.default_rng(n)) for n in (2500, 300))
    settings = {"hidden": (48,), "n_sample": 64, "batch_size": 16, "epochs": 4, "lr": 0.1,
                "dropout_hidden": 0.2}  # fmt: skip
    recall = [
        evaluate(GRU4Rec(**settings, **on).fit(train), test, k=20)["recall@20"]
        for on in ({}, {"device": "cuda"}, {"device": "cuda", "graph": True})
    ]
    assert max(recall) - min(recall) < 0.03


def test_a_graph_does_what_its_steps_do_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same random numbers, one step at a time on the plain code and 8 in a launch."""
    log = HMMClicks().sample(400, np.random.default_rng(0))
    settings = {"hidden": (32,), "batch_size": 16, "n_sample": 40, "epochs": 2, "lr": 0.05,
                "dropout_hidden": 0.2, "device": "cuda", "graph": True}  # fmt: skip
    models = []
    for times in (10**6, 8):
        monkeypatch.setattr(gru4rec_graph, "TIMES", times)
        models.append(GRU4Rec(**settings).fit(log))
    plain, graph = models
    np.testing.assert_allclose(graph.losses_, plain.losses_, rtol=1e-3)
    some = log.histories().take(np.arange(20))
    np.testing.assert_allclose(graph.scores(some), plain.scores(some), atol=2e-2)
