"""The official PyTorch GRU4Rec as a peer: how to load it, and its settings beside ours.

The checkout is the user's own: nothing of it is part of this repository.  README.md says which
lines of it need mending for today's NumPy, pandas and torch.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from nnlib.models.session.gru4rec import GRU4Rec

ONE_HOT = dict(
    layers=[100], batch_size=32, loss="cross-entropy", constrained_embedding=False, embedding=0,
    n_sample=0, momentum=0.0,
)  # fmt: skip
SHARED = dict(
    layers=[100], batch_size=64, loss="cross-entropy", constrained_embedding=True, n_sample=2048,
    sample_alpha=0.5, momentum=0.0,
)  # fmt: skip
BPR_MAX = dict(
    layers=[224], batch_size=80, loss="bpr-max", constrained_embedding=True, n_sample=2048,
    sample_alpha=0.4, momentum=0.4, bpreg=1.95, elu_param=0.5, dropout_p_embed=0.5,
    dropout_p_hidden=0.05,
)  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "a32": ONE_HOT,
    "a50": dict(ONE_HOT, batch_size=50),
    "d2": dict(SHARED, batch_size=32, logq=1.0, dropout_p_hidden=0.4, momentum=0.2),
    "d": SHARED,
    "c": dict(BPR_MAX, constrained_embedding=False, embedding=224),
    "c2": BPR_MAX,
    "b2": dict(SHARED, layers=[480], batch_size=48),
    "b": dict(SHARED, layers=[512], batch_size=240),
}


def ours(config: dict[str, Any], lr: float, epochs: int = 1) -> GRU4Rec:
    """The GRU4Rec with the settings of an author's configuration."""
    embedding = "shared" if config["constrained_embedding"] else config["embedding"] or None
    return GRU4Rec(
        hidden=tuple(config["layers"]),
        loss=config["loss"],
        embedding=embedding,
        batch_size=config["batch_size"],
        n_sample=config["n_sample"],
        sample_alpha=config.get("sample_alpha", 0.5),
        logq=config.get("logq", 0.0),
        bpreg=config.get("bpreg", 1.0),
        elu=config.get("elu_param", 0.5),
        lr=lr,
        momentum=config["momentum"],
        dropout_embed=config.get("dropout_p_embed", 0.0),
        dropout_hidden=config.get("dropout_p_hidden", 0.0),
        epochs=epochs,
    )


def load_author(checkout: Path) -> ModuleType:
    """The author's module; its evaluation module can be imported from then on."""
    sys.path.insert(0, str(checkout))
    return importlib.import_module("gru4rec_pytorch")
