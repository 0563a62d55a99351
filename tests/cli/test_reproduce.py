"""`nnlib reproduce rsc15` on a small file that is written like the challenge's."""

import datetime
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from nnlib.cli.published import PUBLISHED
from nnlib.data.synthetic import HMMClicks
from nnlib.models import GRU4Rec

SMALL = ["--epochs", "1", "-s", "hidden=[8]", "-s", "n_sample=16"]
NAMES = ["Popularity", "Session popularity", "Item-KNN", "Markov", "S-KNN", "V-S-KNN", "GRU4Rec"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """600 sessions in six days; a tenth of the items is too rare to stay."""
    world = HMMClicks(n_items=60, n_pool=20, n_emit=8, n_categories=3, n_stages=2, per_day=100)
    log = world.sample(600, np.random.default_rng(0))
    begin = datetime.datetime(2014, 4, 1, tzinfo=datetime.UTC)
    lines = []
    for session, item, at in zip(log.user, log.item_ids[log.item], log.time, strict=True):
        moment = begin + datetime.timedelta(seconds=float(at))
        text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(f"{session + 1},{text},{214536500 + item},0\n")
    path = tmp_path_factory.mktemp("yoochoose")
    (path / "yoochoose-clicks.dat").write_text("".join(lines))
    return path


def test_all_of_it(nnlib, folder, tmp_path):
    out = tmp_path / "out"
    outcome = nnlib("reproduce", "rsc15", folder, "--out", out, *SMALL)
    assert outcome.code == 0, outcome
    rows = {name: line for line in outcome.out.splitlines() for name in NAMES
            if line.startswith(name + " ") and "±" in line}  # fmt: skip
    assert list(rows) == NAMES
    assert "0.7283" in rows["GRU4Rec"]
    assert "0.3205" in rows["GRU4Rec"]
    assert "0.5065" in rows["Item-KNN"]
    assert rows["Markov"].count("–") == 2
    assert "this is not RSC15: custom clicks" in outcome.out
    assert "7,966,257   differs" in outcome.out
    assert "not RSC15's sizes" in outcome.out
    results = json.loads((out / "results.json").read_text())
    assert (results["name"], results["comparable"]) == ("custom clicks", False)
    assert sorted(path.name for path in out.iterdir()) == ["model.safetensors", "results.json"]
    model = GRU4Rec.load(out / "model.safetensors")
    assert (model.hidden, model.lr, model.logq, model.batch_size) == ((8,), 0.2, 1.0, 32)

    again = nnlib("reproduce", "rsc15", folder, "--out", out, *SMALL, "--resume", "--json").json()
    assert again == results
    other = nnlib("reproduce", "rsc15", folder, "--out", out, *SMALL, "--seed", "1", "--resume",
                  "--json").json()  # fmt: skip
    for name in NAMES:
        assert (other["models"][name] == results["models"][name]) == (name != "GRU4Rec")


def test_a_fraction(nnlib, folder, tmp_path):
    file = folder / "yoochoose-clicks.dat"
    command = ["reproduce", "rsc15", file, "--out", tmp_path / "out", "--fraction", "4", *SMALL]
    result = nnlib(*command, "--json").json()
    assert result["fraction"] == 4
    share = result["data"]["train_sessions"] / result["counts"]["train_sessions"]
    assert 0.24 < share < 0.26
    assert result["data"]["test_events"] == result["counts"]["test_events"]
    assert result["published"] == json.loads(json.dumps(PUBLISHED[4]))
    points = {model["n_points"] for model in result["models"].values()}
    assert len(points) == 1


def test_bad_input(refused, folder, tmp_path):
    run = lambda *args: refused("reproduce", "rsc15", *args)
    assert "RecSys Challenge 2015" in run(tmp_path, "--out", tmp_path / "out")
    assert "--fraction 0" in run(folder, "--fraction", 0, "--out", tmp_path)
    assert "no setting 'hiden'" in run(folder, "-s", "hiden=[8]", "--out", tmp_path)
    assert "must be a whole number" in run(folder, "--epochs", 0, "--out", tmp_path)
    (tmp_path / "results.json").write_text("{}")
    assert "add --resume" in run(folder, "--out", tmp_path)
    assert "damaged" in run(folder, "--out", tmp_path, "--resume")


@pytest.mark.slow
def test_ctrl_c_and_resume(nnlib, folder, tmp_path):
    out = tmp_path / "out"
    command = ["reproduce", "rsc15", str(folder), "--out", str(out), *SMALL, "--epochs", "60"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nnlib.cli", *command], stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60
    while not (out / "model.safetensors.checkpoint").exists():
        assert process.poll() is None, "training ended before it could be interrupted"
        assert time.monotonic() < end, "no checkpoint was written"
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "with --resume goes on" in err
    assert GRU4Rec.load(out / "interrupted.safetensors").hidden == (8,)
    assert nnlib(*command, "--resume").code == 0
    assert sorted(path.name for path in out.iterdir()) == ["model.safetensors", "results.json"]
