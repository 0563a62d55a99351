"""`nnlib train` on baskets and users: no times, other column names, values, metadata."""

from pathlib import Path

import numpy as np
import pytest

from nnlib.data import BasketWorld
from nnlib.models import load_model

WORLD = BasketWorld(n_items=30, n_clusters=3)
COLUMNS = ["--user", "basket", "--item", "product"]
QUICK = {"ImplicitALS": ["-s", "n_factors=4"], "MatrixFactorization": ["--value", "rating"]}
EPOCHS = ("Item2Vec", "Prod2Vec", "BaggedProd2Vec", "MetaProd2Vec", "User2Vec", "Word2Vec")
IN_ONE_GO = ("AsymmetricMF", "CoOccurrence", "EASE", "TruncatedSVD", *QUICK)


@pytest.fixture(scope="module")
def baskets(tmp_path_factory) -> Path:
    """Baskets and a rating of every product in them, without times."""
    log = WORLD.sample(60, np.random.default_rng(0))
    path = tmp_path_factory.mktemp("baskets") / "baskets.tsv"
    rows = zip(log.user, log.item_ids[log.item], 1 + log.item % 5, strict=True)
    lines = "".join(f"{user}\tp{item}\t{rating}\n" for user, item, rating in rows)
    path.write_text("basket\tproduct\trating\n" + lines)
    return path


@pytest.mark.parametrize("name", [*EPOCHS, *IN_ONE_GO])
def test_every_model_learns_from_users_and_items(nnlib, baskets, tmp_path, name):
    out = tmp_path / "model.safetensors"
    options = ["--epochs", "1"] if name in EPOCHS else QUICK.get(name, [])
    done = nnlib("train", baskets, "--model", name.lower(), "--out", out, *COLUMNS, *options)
    assert done.code == 0, done.err
    assert type(load_model(out)).__name__ == name
    best = nnlib("recommend", out, "p3", "p5", "-n", 4, "--json")
    assert len(best.json()["recommendations"]) == 4


def test_metadata(nnlib, baskets, refused, tmp_path):
    kinds = WORLD.metadata("category")
    table = tmp_path / "kinds.tsv"
    table.write_text("product\tkind\n" + "".join(f"p{i}\t{kind}\n" for i, kind in kinds.items()))
    out = tmp_path / "model.safetensors"
    train = ["train", baskets, "--out", out, *COLUMNS, "--epochs", 1]
    assert "reads none" in refused(*train, "--model", "item2vec", "--metadata", table)
    done = nnlib(*train, "--model", "metaprod2vec", "--metadata", table)
    assert done.code == 0, done.err
    assert set(load_model(out).meta_ids_) <= {str(kind) for kind in kinds.values()} | set(
        kinds.values()
    )
    table.write_text("product\tkind\np1\ta\np1\tb\n")
    assert "both 'a' and 'b'" in refused(*train, "--model", "metaprod2vec", "--metadata", table)
    table.write_text("product\np1\n")
    assert "0 others" in refused(*train, "--model", "metaprod2vec", "--metadata", table)


def test_what_is_missing_is_named(baskets, refused, tmp_path):
    out = tmp_path / "model.safetensors"
    assert "SessionId" in refused("train", baskets, "--out", out, "--model", "item2vec")
    times = [*COLUMNS, "--time", "When"]
    assert "When" in refused("train", baskets, "--out", out, "--model", "item2vec", *times)
    ratings = refused("train", baskets, "--out", out, "--model", "matrixfactorization", *COLUMNS)
    assert "ratings" in ratings
