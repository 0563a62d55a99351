"""`nnlib demo`: the files it writes and the order of its table."""

import json
import math

import pytest
from matplotlib.image import imread

from nnlib.models import load_model

WRITTEN = {"learning_curve.png", "comparison.png", "results.json", "model.safetensors"}


def test_quick_demo(nnlib, tmp_path):
    out = tmp_path / "demo"
    outcome = nnlib("demo", "--quick", "--out", out, "--seed", 3)
    assert outcome.code == 0
    assert outcome.err == ""
    assert "Seed 3" in outcome.out
    assert {path.name for path in out.iterdir()} == WRITTEN
    results = json.loads((out / "results.json").read_text())
    assert results["seed"] == 3
    assert results["data"]["test_sessions"] == 300
    for name, result in results["models"].items():
        assert f"{result['recall@20']:.4f} ± {result['stderr']['recall@20']:.4f}" in outcome.out
        assert name in outcome.out
    assert len(results["sessions"]) == 3
    for session in results["sessions"]:
        hit = session["next"] in [item for item, _ in session["top"]]
        assert hit == (session["rank"] <= 5)
    curve = results["learning_curve"]
    assert len(curve["losses"]) == len(curve["recall@20"]) == results["settings"]["epochs"]
    for name in ("learning_curve.png", "comparison.png"):
        assert (imread(out / name)[..., :3] < 0.9).mean() > 0.01
    session = results["sessions"][0]
    model = load_model(out / "model.safetensors")
    assert model.recommend(session["clicks"], 5) == [tuple(pair) for pair in session["top"]]


@pytest.mark.slow
def test_demo_keeps_its_promise(nnlib, tmp_path):
    """Three claims, each by three standard errors: the order of the table is not luck."""
    models = nnlib("demo", "--json", "--out", tmp_path / "demo").json()["models"]
    gru, ceiling = models.pop("GRU4Rec"), models.pop("Bayes ceiling")

    def clearly_above(high, low):
        # As if independent: on the same test points the error of a difference is smaller still.
        error = math.hypot(high["stderr"]["recall@20"], low["stderr"]["recall@20"])
        return high["recall@20"] > low["recall@20"] + 3 * error

    assert all(clearly_above(gru, baseline) for baseline in models.values())
    assert clearly_above(ceiling, gru)
    assert all(clearly_above(model, models["Popularity"]) for name, model in models.items()
               if name != "Popularity")  # fmt: skip
