"""Training by a CUDA graph, on the double: what is recorded, and that it is the plain training."""

import sys
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nnlib.array import FUSED, to_device, to_host
from nnlib.cuda import cublas, graph
from nnlib.cuda.graph import CaptureError, GraphRunner
from nnlib.data import HMMClicks
from nnlib.data.batches import session_parallel
from nnlib.models import GRU4Rec
from nnlib.models.epochs import Epochs
from nnlib.models.session import gru4rec_graph
from nnlib.models.session.gru4rec_graph import rectangles
from nnlib.optim import Adagrad
from nnlib.storage import read_arrays

LOG = HMMClicks().sample(30, np.random.default_rng(0))
SMALL = {"hidden": (6,), "batch_size": 6, "n_sample": 9, "epochs": 2, "lr": 0.1, "device": "cuda"}
NEVER = 10**6  # steps of a graph that no epoch has


@pytest.fixture
def capture(load: Any) -> ModuleType:
    return load("capture")


def fitted(
    times: int, monkeypatch: pytest.MonkeyPatch, checkpoint: Any = None, **settings: Any
) -> GRU4Rec:
    """A fit with `times` steps to a graph."""
    monkeypatch.setattr(gru4rec_graph, "TIMES", times)
    return GRU4Rec(**{**SMALL, **settings}, graph=True).fit(LOG, checkpoint=checkpoint)


def same(a: GRU4Rec, b: GRU4Rec) -> None:
    for name, array in a.arrays().items():
        np.testing.assert_allclose(to_host(b.arrays()[name]), to_host(array), 2e-4, 2e-5, name)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"embedding": "separate", "momentum": 0.3, "dropout_embed": 0.2, "dropout_hidden": 0.3},
        {"embedding": None, "n_sample": 0, "hidden": (6, 5), "dropout_hidden": 0.2},
        {"loss": "bpr-max", "momentum": 0.5},
        {"loss": "bpr", "embedding": 4},
        {"loss": "top1"},
        {"loss": "top1-max", "reset": "before"},
        {"logq": 0.8, "elu": 0.0},
    ],
    ids=["shared", "separate", "one-hot", "bpr-max", "bpr", "top1", "top1-max", "logq"],
)
def test_a_fit_with_a_graph_is_the_fit_without(
    settings: Any, monkeypatch: pytest.MonkeyPatch, capture: ModuleType
) -> None:
    """By the graph, and step by step on the plain code, with the same random numbers."""
    plain = fitted(NEVER, monkeypatch, **settings)
    assert capture.State.launches == 0
    same(plain, fitted(3, monkeypatch, **settings))
    assert capture.State.launches > 10
    assert capture.State.recording is None
    assert "product" not in FUSED


@pytest.mark.usefixtures("library")
def test_steps_of_users_too(monkeypatch: pytest.MonkeyPatch, capture: ModuleType) -> None:
    users = {s: i // 3 for i, s in enumerate(LOG.user_ids.tolist())}
    models = []
    for times in (NEVER, 2):
        monkeypatch.setattr(gru4rec_graph, "TIMES", times)
        models.append(GRU4Rec(**SMALL, graph=True).fit(LOG, users=users))
    same(*models)
    assert capture.State.launches > 10


@pytest.mark.usefixtures("library")
def test_nothing_waits_for_the_device_but_the_look_at_the_losses(
    monkeypatch: pytest.MonkeyPatch, device: ModuleType, capture: ModuleType
) -> None:
    seen: list[Any] = []
    record = Epochs.record

    def counted(run: Any, loss: Any, events: int, steps: int = 1) -> None:
        seen.append((steps, sum(device.waits.values()), capture.State.launches))
        record(run, loss, events, steps)

    monkeypatch.setattr(Epochs, "record", counted)
    fitted(2, monkeypatch, epochs=1)
    by_graph = [waits for steps, waits, launches in seen if steps == 2]
    assert len(by_graph) > 8
    assert len(set(by_graph)) == 1


@pytest.mark.usefixtures("library")
def test_steps_and_losses_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capture: ModuleType
) -> None:
    """A checkpoint after the first epoch, gone on from, gives the model of one go."""
    whole = fitted(3, monkeypatch)
    path = tmp_path / "checkpoint"
    half = GRU4Rec(**{**SMALL, "epochs": 1}, graph=True).fit(LOG, checkpoint=path)
    assert half.losses_ == whole.losses_[:1]
    resumed = GRU4Rec(**SMALL, graph=True).fit(LOG, checkpoint=path, resume=True)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(to_host(resumed.arrays()[name]), to_host(array))
    arrays, header = read_arrays(path)
    n_steps = len(session_parallel(LOG.chronological(), 6, min_rows=1))
    assert header["step"] == arrays["optimizer.t"] == 2 * n_steps


@pytest.mark.usefixtures("library")
def test_every_epoch_has_random_numbers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[list[int]] = []
    draw = gru4rec_graph.GraphSteps._negatives

    def seen(steps: Any) -> Any:
        keys.append(to_host(steps.rng.key).tolist())
        return draw(steps)

    monkeypatch.setattr(gru4rec_graph.GraphSteps, "_negatives", seen)
    fitted(3, monkeypatch)
    fitted(3, monkeypatch, seed=1)
    assert len({tuple(key) for key in keys}) == 4


@pytest.mark.usefixtures("library")
def test_ctrl_c_stops_between_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Epochs.record

    def pressed(run: Any, loss: Any, events: int, steps: int = 1) -> None:
        run._ctrl_c.pressed = run.step >= 9
        record(run, loss, events, steps)

    monkeypatch.setattr(Epochs, "record", pressed)
    monkeypatch.setattr(gru4rec_graph, "TIMES", 3)
    model = GRU4Rec(**SMALL, graph=True)
    with pytest.raises(KeyboardInterrupt, match=r"after step 12: .* can be used"):
        model.fit(LOG)
    assert len(model.recommend(LOG.item_ids[:2].tolist(), 3)) == 3
    assert "product" not in FUSED


@pytest.mark.usefixtures("library")
def test_a_loss_that_is_no_number_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    build = GRU4Rec._build

    def spoiled(*arguments: Any) -> Any:
        net = build(*arguments)
        net.b.value[0] = np.nan
        return net

    monkeypatch.setattr(GRU4Rec, "_build", spoiled)
    with pytest.raises(ArithmeticError, match=r"epoch 1: the loss of step \d+ is nan"):
        fitted(3, monkeypatch)


@pytest.mark.usefixtures("library")
def test_where_nothing_can_be_recorded_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, capture: ModuleType
) -> None:
    """Step by step on the same code: bit for bit what the graph does."""
    settings = {"embedding": "separate", "momentum": 0.3, "dropout_hidden": 0.3}
    by_graph = fitted(3, monkeypatch, **settings)
    capture.reset()
    capture.State.failing = "this"
    with pytest.warns(UserWarning, match=r"goes on without a CUDA graph: .* this is not allowed"):
        mine = fitted(3, monkeypatch, **settings)
    assert capture.State.launches == 0
    for name, array in by_graph.arrays().items():
        np.testing.assert_array_equal(to_host(mine.arrays()[name]), to_host(array))


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("refused", [False, True], ids=["graph", "refused late"])
def test_a_capture_counts_no_step(
    refused: bool, monkeypatch: pytest.MonkeyPatch, capture: ModuleType, tmp_path: Any
) -> None:
    """It has called the optimizer's step as often as a launch stands for, and moved nothing."""
    step = Adagrad.step

    def stepped(optimizer: Any) -> None:
        step(optimizer)
        if refused:
            capture.refuse("what comes after the first step")

    monkeypatch.setattr(Adagrad, "step", stepped)
    path = tmp_path / "checkpoint"
    with pytest.warns(UserWarning, match="without a CUDA graph") if refused else nullcontext():
        fitted(3, monkeypatch, checkpoint=path, epochs=1)
    assert (capture.State.launches == 0) == refused
    assert read_arrays(path)[0]["optimizer.t"] == len(session_parallel(LOG.chronological(), 6))


@pytest.mark.usefixtures("library")
def test_tables_beyond_the_kernels_are_trained_without_a_graph(
    monkeypatch: pytest.MonkeyPatch, capture: ModuleType
) -> None:
    """Without its kernel Adagrad would write what belongs to NOBODY to a table's last row."""
    monkeypatch.setattr(gru4rec_graph, "fits", lambda table: table.ndim == 1)
    with pytest.warns(UserWarning, match=r"without a CUDA graph: a table has 2³¹ elements"):
        fitted(3, monkeypatch, epochs=1)
    assert capture.State.launches == 0


@pytest.mark.usefixtures("library")
def test_without_cublas_training_is_that_without_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise cublas.CublasError("cuBLAS was not found")

    plain = GRU4Rec(**SMALL).fit(LOG)
    monkeypatch.setattr(graph, "find_cublas", missing)
    with pytest.warns(UserWarning, match="without a CUDA graph: cuBLAS was not found"):
        mine = GRU4Rec(**SMALL, graph=True).fit(LOG)
    for name, array in plain.arrays().items():
        np.testing.assert_array_equal(to_host(mine.arrays()[name]), to_host(array))


def test_too_many_rows_for_a_kernel_are_refused_in_a_sentence(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`coalesce_padded` without its kernel has to know how many ids there are."""
    monkeypatch.setattr(sys.modules["nnlib.cuda.rows"], "_few", lambda *_: False)
    with pytest.warns(UserWarning, match="goes on without a CUDA graph"):
        fitted(3, monkeypatch, embedding="separate")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"device": "cpu"}, "needs device='cuda'"), ({"device": "cuda", "bptt": 2}, "need bptt=1")],
)
def test_settings_that_rule_a_graph_out(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GRU4Rec(**settings, graph=True)


def test_a_schedule_as_rectangles() -> None:
    schedule = session_parallel(LOG.histories(), 6)
    n = int((np.diff(schedule.step) == 6).sum())
    at, carried = rectangles(schedule, n)
    assert n > 10
    for t, (rows, old) in zip(range(n), schedule, strict=False):
        np.testing.assert_array_equal(at[t], rows)
        np.testing.assert_array_equal(carried[t, : len(old)], old)
        assert (carried[t, len(old) :] == -1).all()


def recorded(work: Any) -> GraphRunner:
    mine = GraphRunner(1)
    with mine.working():
        mine.capture(work)
    return mine


@pytest.mark.usefixtures("library")
def test_the_double_repeats_what_was_recorded_and_nothing_before(capture: ModuleType) -> None:
    x, total = to_device(np.arange(3.0), "cuda"), to_device(np.zeros(3), "cuda")
    made: list[Any] = []

    def work() -> None:
        nonlocal x
        y = x * 2
        made.append(y)
        total.__iadd__(y[::-1] + 1)
        x += 1

    mine = recorded(work)
    assert to_host(total).tolist() == [0, 0, 0]  # recorded, not done
    assert to_host(x).tolist() == [0, 1, 2]
    assert np.isnan(to_host(made[0])).all()
    for _ in range(2):
        with mine.working():
            mine.run(work)
    assert to_host(x).tolist() == [2, 3, 4]
    assert to_host(total).tolist() == [5 + 7, 3 + 5, 1 + 3]
    assert len(made) == 1
    assert capture.State.launches == 2


def test_the_double_refuses_what_a_capture_refuses(library: Any, device: ModuleType) -> None:
    x, i = to_device(np.eye(3), "cuda"), to_device(np.arange(3), "cuda")
    cupy = sys.modules["cupy"]
    rng = cupy.random.default_rng(0)
    for mistake in (
        lambda: float(x.sum()),
        lambda: bool(x.any()),
        lambda: int(i[0]),
        lambda: x.get(),
        lambda: i.sum().item(),
        lambda: x @ x,
        lambda: x.dot(x),
        lambda: cupy.matmul(x, x),
        lambda: cupy.einsum("ij,ij->i", x, x),
        lambda: rng.random(3),
        lambda: rng.integers(0, 3, 3),
        lambda: cupy.unique(i),
        lambda: cupy.flatnonzero(i),
        lambda: cupy.bincount(i),
        lambda: x[x > 0],
        lambda: cupy.asarray(np.ones(3)),
        lambda: x.set(np.eye(3)),
        lambda: x.__setitem__((i, i), 0.0),
        lambda: cupy.add.at(x, i, 1.0),
        lambda: library_stream().synchronize(),
    ):
        with pytest.raises(CaptureError):
            recorded(mistake)
        mistake()  # allowed by itself
    recorded(lambda: (x + 1).sum(axis=0))


def library_stream() -> Any:
    return sys.modules["cupy"].cuda.get_current_stream()


@pytest.mark.usefixtures("library")
def test_the_double_notices_a_stream_that_nobody_waited_for() -> None:
    cuda, x = sys.modules["cupy"].cuda, to_device(np.ones(3), "cuda")
    y = x + 1
    with cuda.Stream(non_blocking=True), pytest.raises(AssertionError, match="not been waited"):
        y + 1
