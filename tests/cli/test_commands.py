"""`nnlib evaluate`, `recommend`, `gradcheck`, `doctor`, and what all commands share."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from nnlib import __version__
from nnlib.cli.app import exit_code
from nnlib.cli.blas import Blas, loaded_blas, obstacles, product_speed
from nnlib.data import Interactions
from nnlib.metrics import evaluate
from nnlib.models import load_model


def test_version(nnlib):
    assert nnlib("--version").out == f"nnlib {__version__}\n"


def test_help_lists_every_command(nnlib):
    outcome = nnlib("--help")
    assert outcome.code == 0
    for command in ("demo", "train", "evaluate", "recommend", "gradcheck", "doctor"):
        assert command in outcome.out
        assert nnlib(command, "--help").code == 0


def test_starting_imports_nothing_heavy():
    code = "import sys, nnlib.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"polars", "matplotlib", "rich"} & set(loaded.split())


def test_evaluate_prints_the_librarys_table(nnlib, gru_file, logs):
    result = evaluate(load_model(gru_file), Interactions.from_tsv(logs[1]))
    assert nnlib("evaluate", gru_file, logs[1]).out == f"{result}\n"
    assert nnlib("evaluate", gru_file, logs[1], "--json").json() == result.to_dict()


def test_evaluate_cut_offs_and_ties(nnlib, gru_file, logs):
    options = ["--k", "3, 7", "--ties", "median", "--json"]
    result = nnlib("evaluate", gru_file, logs[1], *options).json()
    assert result["ties"] == "median"
    assert {"recall@3", "mrr@7"} <= result.keys()
    assert "recall@20" not in result


def test_recommend(nnlib, gru_file):
    model = load_model(gru_file)
    best = model.recommend([1, 2, 1], 4)
    result = nnlib("recommend", gru_file, 1, 2, 1, "-n", 4, "--json").json()
    assert result["items"] == [1, 2, 1]
    assert [(r["item"], r["score"]) for r in result["recommendations"]] == best
    text = nnlib("recommend", gru_file, 1, 2, 1, "-n", 4).out
    assert [line.split()[0] for line in text.splitlines()[1:]] == [str(item) for item, _ in best]


def test_recommend_without_what_was_seen(nnlib, gru_file):
    seen = load_model(gru_file).item_ids_.tolist()[:30]
    result = nnlib("recommend", gru_file, *seen, "--exclude-seen", "-n", 99, "--json").json()
    assert not {r["item"] for r in result["recommendations"]} & set(seen)


def test_unknown_items_are_warned_about_on_standard_error(nnlib, gru_file):
    outcome = nnlib("recommend", gru_file, "1", "nonsense", "--json")
    assert outcome.code == 0
    assert outcome.err.startswith("nnlib: warning: item 'nonsense' is not in the training data")
    assert outcome.err.count("\n") == 1
    assert len(outcome.json()["recommendations"]) == 10


def test_items_that_are_text_stay_text(nnlib, tmp_path):
    log, out = tmp_path / "log.tsv", tmp_path / "m"
    log.write_text("SessionId\tItemId\tTime\n1\t007\t0\n1\t[red]\t1\n2\t007\t2\n2\t[red]\t3\n")
    assert nnlib("train", log, "--out", out, "--model", "Markov").code == 0
    outcome = nnlib("recommend", out, "007", "-n", 1)
    assert outcome.out.splitlines()[1].split()[0] == "[red]"


def test_gradcheck_all(nnlib):
    outcome = nnlib("gradcheck", "--json")
    result = outcome.json()
    assert (outcome.code, result["passed"]) == (0, True)
    names = {case["name"].split()[0] for case in result["cases"]}
    assert {"Dense", "GRU", "sigmoid"} <= names
    text = nnlib("gradcheck").out
    assert f"{len(result['cases'])} of {len(result['cases'])} passed" in text


def test_gradcheck_one(nnlib):
    outcome = nnlib("gradcheck", "Dense", "--seed", 3)
    assert outcome.code == 0
    assert "Dense: passed" in outcome.out
    assert "worst at" in outcome.out


def test_gradcheck_finds_a_wrong_gradient(nnlib, monkeypatch):
    from nnlib.check import cases
    from nnlib.check.cases import Case, Subject

    def square(x):
        return x * x, lambda dy: dy * x  # the 2 is missing

    case = Case("square", square, lambda rng, sizes: Subject(square, (rng.normal(size=(2, 3)),)))
    monkeypatch.setattr(cases, "CASES", (case,))
    for options in ([], ["square"], ["--json"]):
        outcome = nnlib("gradcheck", *options)
        assert outcome.code == 1
        assert "FAILED" in outcome.out or not json.loads(outcome.out)["passed"]


def test_doctor(nnlib):
    report = nnlib("doctor", "--json").json()
    assert report["packages"]["numpy"] == np.__version__
    assert report["cores"] >= 1
    assert report["gflops"] > 0
    assert report["gpu"]["name"] or report["gpu"]["problem"]
    text = nnlib("doctor").out
    assert f"numpy {np.__version__}" in text
    assert "GPU" in text


@pytest.mark.skipif("openblas" not in loaded_blas().name, reason="NumPy uses another BLAS")
def test_kernel_and_threads_are_those_of_the_process():
    code = "from nnlib.cli.blas import loaded_blas; b = loaded_blas(); print(b.kernel, b.threads)"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Nehalem"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    kernel, threads = done.stdout.split()
    assert threads == "1"
    assert kernel in ("Nehalem", str(loaded_blas().kernel)), "only x86 has that kernel"


AVX512 = ["X86_V3", "X86_V4"]


@pytest.mark.parametrize(
    ("environment", "blas", "features", "words"),
    [
        ({}, Blas("openblas", "1", "SkylakeX", 1), AVX512, []),
        ({"OPENBLAS_CORETYPE": "Haswell"}, Blas("openblas", "1", "Haswell", 1), AVX512, ["twice"]),
        ({"OPENBLAS_CORETYPE": "Haswell"}, Blas("o", "1", "Haswell", 1), ["X86_V3"], ["overrides"]),
        ({"OMP_NUM_THREADS": "8"}, Blas("o", "1", "Zen", 1), [], ["OMP_NUM_THREADS=8"]),
        ({"MKL_NUM_THREADS": "all"}, Blas("mkl", "1"), [], ["not a number"]),
        ({}, Blas("openblas", "1", "Haswell", 2), [], ["2 BLAS threads"]),
        ({"NPY_DISABLE_CPU_FEATURES": "X"}, Blas("o", "1"), [], ["NPY_DISABLE_CPU_FEATURES=X"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, Blas("o", "1"), [], ["hides every GPU"]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, Blas("o", "1"), [], []),
        ({"OMP_NUM_THREADS": "1"}, Blas("unknown", ""), [], []),
    ],
)
def test_obstacles(environment, blas, features, words):
    found = obstacles(environment, blas, features, 2)
    assert len(found) == len(words)
    for sentence, word in zip(found, words, strict=True):
        assert word in sentence


def test_product_speed_is_a_number():
    assert 0 < product_speed(n=64, seconds=0.01) < math.inf


def test_bugs_are_not_hidden():
    assert exit_code(KeyError("x")) is None
    assert exit_code(AssertionError()) is None
