"""Published figures on RSC15, for the table of `nnlib reproduce rsc15`: (recall@20, MRR@20)."""

PUBLISHED: dict[int, dict[str, tuple[float, float]]] = {  # by the fraction 1/n of the training data
    1: {
        "Popularity": (0.0050, 0.0012),
        "Session popularity": (0.2672, 0.1775),
        "Item-KNN": (0.5065, 0.2048),
        "GRU4Rec": (0.7283, 0.3205),
    },
    4: {
        "Popularity": (0.0133, 0.0030),
        "Session popularity": (0.2708, 0.1775),
        "Item-KNN": (0.5231, 0.2170),
        "GRU4Rec": (0.5953, 0.2260),
    },
    64: {
        "Popularity": (0.0671, 0.0165),
        "Session popularity": (0.3044, 0.1835),
        "Item-KNN": (0.5160, 0.2181),
        "GRU4Rec": (0.6064, 0.2289),
    },
}
SOURCES: dict[int, str] = {
    1: "published: baselines by Hidasi et al. 2016; GRU4Rec by the README of the official code, "
    "with the same settings",
    4: "published: as later papers quote it (NARM, SR-GNN); their GRU4Rec is that of 2016, without "
    "extra samples",
}
SOURCES[64] = SOURCES[4]

BEST = {  # settings of GRU4Rec that reach the published figure on the whole training data
    "hidden": (100,),
    "loss": "cross-entropy",
    "embedding": "shared",
    "batch_size": 32,
    "n_sample": 2048,
    "sample_alpha": 0.5,
    "logq": 1.0,
    "dropout_hidden": 0.4,
    "lr": 0.2,
    "momentum": 0.2,
    "epochs": 10,
}
