"""A training killed in the middle and resumed gives the bytes of one that was left alone."""

import signal
import subprocess
import sys
import time

import pytest

from nnlib.storage import read_arrays

OPTIONS = ["--epochs", "25", "-s", "hidden=[32]", "-s", "n_sample=64", "-s", "dropout_hidden=0.2"]
PATIENCE = 60  # seconds


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_resumed_equals_uninterrupted(nnlib, logs, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    checkpoint = tmp_path / "out.checkpoint"
    options = [logs[0], *OPTIONS, "-s", "momentum=0.3"]
    assert nnlib("train", *options, "--out", whole).code == 0

    command = ["train", *options, "--out", out]
    for _ in range(3):  # kills in different epochs
        _kill_after_a_checkpoint([*map(str, command), "--resume"], checkpoint)
    assert not out.exists(), "it was killed in the middle"
    trained = len(read_arrays(checkpoint)[1]["losses"])
    assert 3 <= trained < 25

    assert nnlib(*command).code == 2, "without --resume nothing is overwritten"
    assert nnlib(*command, "--resume").code == 0
    assert out.read_bytes() == whole.read_bytes()
    assert not checkpoint.exists()


def _kill_after_a_checkpoint(command, checkpoint):
    """Start training, wait until it has written one more checkpoint, kill it."""

    def state():
        return checkpoint.stat().st_mtime_ns if checkpoint.exists() else None

    before = state()
    process = subprocess.Popen([sys.executable, "-m", "nnlib.cli", *command])
    try:
        end = time.monotonic() + PATIENCE
        while state() == before:
            assert process.poll() is None, "training ended before it could be killed"
            assert time.monotonic() < end, "no checkpoint was written"
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_ctrl_c_saves_what_there_is_and_resumes(nnlib, logs, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    checkpoint, unfinished = tmp_path / "out.checkpoint", tmp_path / "out.interrupted"
    options = [logs[0], *OPTIONS]
    command = [*map(str, ["train", *options, "--out", out])]
    process = subprocess.Popen(
        [sys.executable, "-m", "nnlib.cli", *command], stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + PATIENCE
    while not checkpoint.exists():
        assert process.poll() is None, "training ended before it could be interrupted"
        assert time.monotonic() < end, "no checkpoint was written"
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert err.startswith("nnlib: interrupted in epoch "), err
    assert err.count("\n") == 1
    assert f"saved as {unfinished}" in err
    assert f"{checkpoint} is kept" in err
    assert not out.exists()
    assert nnlib("evaluate", unfinished, logs[1]).code == 0

    assert nnlib(*command, "--resume").code == 0
    assert nnlib("train", *options, "--out", whole).code == 0
    assert out.read_bytes() == whole.read_bytes()
    assert not checkpoint.exists()
    assert not unfinished.exists()
