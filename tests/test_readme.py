"""The README's code runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

from nnlib.check import diagnose

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)[::-1])  # the first of a kind
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_two_commands_and_no_more():
    assert len(BLOCKS["sh"].strip().splitlines()) == 2


@pytest.mark.parametrize("i", range(1, len(PYTHON)))  # the first is the contract in symbols
def test_code_blocks_run(i, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for name in ("clicks", "newer"):
        lines = ["SessionId\tItemId\tTime"]
        for session in range(60):
            for item in 214_536_500 + rng.integers(0, 12, 4):
                lines.append(f"{session}\t{item}\t{session}")
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    exec(compile(PYTHON[i], f"README.md, python block {i + 1}", "exec"), {})


def test_the_message_it_quotes_is_the_one_that_is_given():
    g = np.random.default_rng(0).normal(size=(3, 4))
    quoted = " ".join(README.split())
    assert diagnose(7 * g, g, batch_size=7).message.split(":")[0] in quoted
