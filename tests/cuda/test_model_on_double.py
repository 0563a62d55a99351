"""GRU4Rec on the double of CuPy: every code path of the GPU, with the results of the CPU."""

from typing import Any

import numpy as np
import pytest

from nnlib.array import to_host
from nnlib.data import HMMClicks
from nnlib.metrics import evaluate
from nnlib.models import GRU4Rec, load_model
from nnlib.models.epochs import Epochs
from nnlib.models.session import gru4rec_training

LOG = HMMClicks().sample(25, np.random.default_rng(0))
TEST = HMMClicks().sample(20, np.random.default_rng(1))
SMALL = {"hidden": (8,), "batch_size": 6, "n_sample": 16, "epochs": 2, "lr": 0.1}


@pytest.fixture
def same_random_numbers(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of CPU and GPU differ; here the device draws what the host would."""

    def generator(seed: Any, where: str) -> Any:
        rng = np.random.default_rng(seed)
        return rng if where == "cpu" else device.Generator(rng)

    monkeypatch.setattr(gru4rec_training, "generator", generator)


def both(**settings: Any) -> tuple[GRU4Rec, GRU4Rec]:
    cpu, cuda = (GRU4Rec(**{**SMALL, **settings}, device=d).fit(LOG) for d in ("cpu", "cuda"))
    for name, array in cpu.arrays().items():
        np.testing.assert_allclose(to_host(cuda.arrays()[name]), array, 1e-3, 3e-4, err_msg=name)
    return cpu, cuda


@pytest.mark.usefixtures("same_random_numbers")
@pytest.mark.parametrize("embedding", ["shared", "separate", 5, None])
@pytest.mark.parametrize("loss", ["cross-entropy", "bpr-max", "top1", "top1-max", "bpr"])
def test_fit_is_that_of_the_cpu(loss: Any, embedding: Any, device: Any) -> None:
    both(loss=loss, embedding=embedding, momentum=0.3, dropout_hidden=0.2, dropout_embed=0.1)


@pytest.mark.usefixtures("same_random_numbers")
@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": (8, 6), "embedding": "separate"},
        {"n_sample": 0},
        {"logq": 1.0},
        {"reset": "before"},
        {"elu": 0.0, "loss": "bpr-max"},
        {"bptt": 3},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_other_settings(settings: Any) -> None:
    both(**settings)


WAITS = {  # of nnlib/cuda/README.md
    "shared": {"flatnonzero": 1, "int": 1},
    "separate": {"flatnonzero": 1, "mask": 1},
}


@pytest.mark.parametrize("embedding", WAITS)
def test_how_often_a_step_waits_for_the_device(
    embedding: Any, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[Any] = []
    record = Epochs.record

    def counted(run: Any, loss: Any, events: int) -> None:
        before.append(device.waits.copy())
        record(run, loss, events)

    monkeypatch.setattr(Epochs, "record", counted)
    GRU4Rec(**SMALL, embedding=embedding, device="cuda").fit(LOG)
    assert before[10] - before[9] == WAITS[embedding]


@pytest.mark.usefixtures("same_random_numbers")
def test_evaluate_recommend_save_and_checkpoints(tmp_path: Any, device: Any) -> None:
    cpu, cuda = both()
    with np.errstate(all="raise"):
        a, b = evaluate(cpu, TEST), evaluate(cuda, TEST)
    np.testing.assert_array_equal(a.rank, b.rank)
    items = LOG.item_ids[[3, 8, 1]].tolist()
    assert [i for i, _ in cuda.recommend(items, 7)] == [i for i, _ in cpu.recommend(items, 7)]
    live = cuda.session().click(items[0])
    assert len(live.top(3, exclude_seen=True)) == 3
    assert len(cuda.similar_items(items[0], 4)) == 4

    cuda.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.device == "cuda"
    histories = TEST.in_items_of(LOG.item_ids)[0].histories()
    np.testing.assert_array_equal(loaded.scores(histories), cuda.scores(histories))

    path = tmp_path / "checkpoint"
    half = GRU4Rec(**{**SMALL, "epochs": 1}, device="cuda").fit(LOG, checkpoint=path)
    assert len(half.losses_) == 1
    whole = GRU4Rec(**SMALL, device="cuda").fit(LOG, checkpoint=path, resume=True)
    for name, array in cuda.arrays().items():
        np.testing.assert_array_equal(to_host(array), to_host(whole.arrays()[name]))
