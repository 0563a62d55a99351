"""Follow the official PyTorch GRU4Rec step by step: same weights, same batches, same samples.

    python tests/benchmarks/follow_author.py AUTHOR TRAIN.tsv [--steps 100] [--lr 0.02]

AUTHOR is a checkout of the official PyTorch implementation, with the one-line mendings that
tests/benchmarks/README.md lists.  Both sides start from the author's weights and see the author's
batches and samples, dropout off; the script prints the largest relative difference of the loss over
the steps.  Float32 rounding is amplified by training: at high learning rates the two drift apart
after a while, though every step is right, which is why the default rate is small.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from author import CONFIGS, load_author, ours

from nnlib.compiled import compiled_kernels
from nnlib.optim import Adagrad


def copy_weights(author: Any, net: Any) -> None:
    """The author's initial weights into our network: other layouts, and torch's z is 1 − our z."""
    state = {name: value.numpy() for name, value in author.state_dict().items()}
    H = net.cells[0].n_hidden
    flip = np.ones(3 * H, np.float32)
    if "GE.Wx0.weight" in state:  # columns candidate | r | z, our z
        r_z_c = np.r_[H : 3 * H, 0:H]
        net.inputs[0].E.value[...] = state["GE.Wx0.weight"][:, r_z_c]
        net.cells[0].U.value[...] = np.hstack([state["GE.Wrz0"], state["GE.Wh0"]])
        net.cells[0].b.value[...] = state["GE.Bh0"][r_z_c]
    else:  # rows r | z | candidate, torch's z
        flip[H : 2 * H] = -1
        net.inputs[0].W.value[...] = state["G.0.weight_ih"].T * flip
        net.cells[0].U.value[...] = state["G.0.weight_hh"].T * flip
        net.cells[0].b.value[...] = state["G.0.bias_ih"] * flip
        net.cells[0].b_h.value[...] = state["G.0.bias_hh"] * flip
    if "E.weight" in state:
        net.embed.E.value[...] = state["E.weight"]
    net.W.value[...] = state["Wy.weight"]
    net.b.value[...] = state["By.weight"][:, 0]


def follow(author: Any, train: Any, config: dict[str, Any], lr: float, steps: int) -> float:
    """The largest relative difference of the loss over `steps` steps."""
    import torch

    torch.manual_seed(1)
    cpu = torch.device("cpu")
    theirs = author.GRU4Rec(**{"logq": 0.0, **config}, learning_rate=lr, device=cpu)
    data = author.SessionDataIterator(
        train, theirs.batch_size, n_sample=theirs.n_sample, sample_alpha=theirs.sample_alpha,
        sample_cache_max_size=100 * max(theirs.n_sample, 1), device=cpu,
    )  # fmt: skip
    support = train.groupby("ItemId").size()[data.itemidmap.index.values].to_numpy()
    theirs.P0 = torch.tensor(support, dtype=torch.float32)
    model = author.GRU4RecModel(
        data.n_items, theirs.layers, 0.0, 0.0, theirs.embedding, theirs.constrained_embedding
    )
    model._reset_weights_to_compatibility_mode()
    their_optimizer = author.IndexedAdagradM(model.parameters(), lr, theirs.momentum)

    mine = ours(config, lr)
    net = mine._build(data.n_items)
    copy_weights(model, net)
    optimizer = Adagrad(net.parameters(), lr, momentum=mine.momentum, initial=1e-6, eps=0.0)
    objective = mine._objective(support)

    B = theirs.batch_size
    their_state = [torch.zeros((B, theirs.layers[0]))]
    state = np.zeros((B, theirs.layers[0]), np.float32)  # in the order of the author's lanes
    fresh = np.ones(B, bool)

    def reset(n_valid: int, finished: Any, valid: Any) -> bool:
        fresh[:] = finished
        return bool(theirs._adjust_hidden(n_valid, finished, valid, their_state))

    worst = 0.0
    batches = data(enable_neg_samples=theirs.n_sample > 0, reset_hook=reset)
    for _, (x, y) in zip(range(steps), batches, strict=False):
        their_state[0].detach_()
        model.zero_grad()
        loss = theirs.loss_function(model.forward(x, their_state, y, training=True), y, B) / B
        loss.backward()
        their_optimizer.step()

        order = np.argsort(fresh, kind="stable")  # rows that carry a state come first
        carried = int((~fresh).sum())
        item, target = x.numpy()[order], y.numpy()[:B][order]
        negative = y.numpy()[B:]
        block = net.block(item, target, negative)
        (value, (h,)), backward = net(block, [state[order[:carried]]], objective)
        backward()
        optimizer.step()
        state[order] = h
        fresh[:] = False
        worst = max(worst, abs(float(value) / loss.item() - 1))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("author", type=Path, help="checkout of the official PyTorch GRU4Rec")
    parser.add_argument("train", type=Path, help="TSV with SessionId, ItemId, Time")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--config", choices=sorted(CONFIGS), action="append")
    options = parser.parse_args()

    import pandas as pd

    author = load_author(options.author)
    train = pd.read_csv(options.train, sep="\t", dtype={"ItemId": str})
    for name in options.config or CONFIGS:
        config = dict(CONFIGS[name], dropout_p_embed=0.0, dropout_p_hidden=0.0)
        with compiled_kernels():  # as in `fit`
            worst = follow(author, train.copy(), config, options.lr, options.steps)
        print(f"{name}: largest relative difference over {options.steps} steps {worst:.1e}")


if __name__ == "__main__":
    main()
