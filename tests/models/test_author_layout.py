"""The author's checkpoint layout against torch modules that have its names, nothing trained."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nnlib.data import Histories, Interactions
from nnlib.models import GRU4Rec
from nnlib.models.session.author_layout import (
    from_author,
    load_author_layout,
    save_author_layout,
    to_author,
)
from nnlib.storage import write_safetensors

N = 11
IDS = [100 + 7 * i for i in range(N)]
MODELS = [
    *(GRU4Rec(hidden=(4,), embedding=e) for e in ("shared", "separate", 5, None)),
    GRU4Rec(hidden=(4, 3), embedding="shared"),
    GRU4Rec(hidden=(4, 3), embedding=5),
    GRU4Rec(hidden=(4, 3), embedding=None),
]
models = pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{m.embedding}-{len(m.hidden)}")


def untrained(model, seed=0):
    """`model` with random weights everywhere: biases start at 0, where errors hide."""
    rng = np.random.default_rng(seed)
    model = replace(model)
    model.item_ids_, model.losses_, model.net_ = np.array(IDS), [], model._build(N)
    for p in model.net_.parameters():
        p.value[...] = rng.normal(0, 0.7, p.value.shape)
    return model


def some_histories():
    rng = np.random.default_rng(1)
    stop = np.cumsum(rng.integers(1, 7, 20))
    return Histories(rng.integers(0, N, stop[-1]), np.concatenate([[0], stop[:-1]]), stop)


@models
def test_there_and_back(model, tmp_path):
    path = tmp_path / "author.safetensors"
    model = untrained(replace(model, lr=0.2, logq=1.0, elu=0.0, dropout_hidden=0.4))
    save_author_layout(model, path)
    again = load_author_layout(path)
    assert replace(again, embedding=model.embedding) == model
    assert again.item_ids_.tolist() == IDS
    for (name, p), (_, q) in zip(
        model.net_.named_parameters(), again.net_.named_parameters(), strict=True
    ):
        np.testing.assert_array_equal(p.value, q.value, err_msg=name)


def test_a_loaded_model_is_like_any_other(tmp_path):
    path = tmp_path / "author.safetensors"
    model = untrained(MODELS[0])
    save_author_layout(model, path)
    again = load_author_layout(path)
    assert again.recommend(IDS[:3], 5) == model.recommend(IDS[:3], 5)
    again.save(tmp_path / "ours.safetensors")
    log = Interactions.from_arrays(np.repeat(np.arange(30), 2), np.resize(IDS, 60))
    replace(again, epochs=1).fit(log)


def test_text_ids_and_missing_settings():
    model = from_author(to_author(untrained(MODELS[1])), [f"item {i}" for i in range(N)])
    assert model.recommend(["item 3"], 1)[0][0].startswith("item ")
    assert (model.hidden, model.embedding, model.lr) == ((4,), 4, GRU4Rec.lr)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("By.weight"), r"By.weight is missing, .* \(11, 1\)"),
        (lambda a: a.pop("G.0.weight_hh"), "no G.0.weight_hh"),
        (lambda a: a.update({"D.0": np.zeros(3)}), "D.0 has no place"),
        (lambda a: a.update({"Wy.weight": np.zeros((N + 1, 4))}), "Wy.weight is"),
        (lambda a: a.update({"G.0.bias_ih": np.zeros(9)}), r"G.0.bias_ih is \(9,\)"),
    ],
)
def test_arrays_that_do_not_fit(change, message):
    arrays = to_author(untrained(MODELS[0]))
    change(arrays)
    with pytest.raises(ValueError, match=message):
        from_author(arrays, IDS)


def test_items_that_do_not_fit(tmp_path):
    arrays = to_author(untrained(MODELS[0]))
    with pytest.raises(ValueError, match="where the items"):
        from_author(arrays, IDS[:-1])
    with pytest.raises(ValueError, match="comes twice"):
        from_author(arrays, [*IDS[:-1], IDS[0]])
    path = tmp_path / "author.safetensors"
    write_safetensors(path, arrays, "other", "{}")
    with pytest.raises(ValueError, match=r"author.safetensors: its metadata must have 'gru4rec'"):
        load_author_layout(path)
    write_safetensors(path, arrays, "gru4rec", json.dumps({"item_ids": IDS[:5]}))
    with pytest.raises(ValueError, match=r"author.safetensors: .* where the items"):
        load_author_layout(path)


@pytest.mark.parametrize(("embedding", "reset"), [("shared", "before"), (None, "after")])
def test_a_model_that_the_author_does_not_have(embedding, reset):
    model = untrained(GRU4Rec(hidden=(4,), embedding=embedding, reset=reset))
    with pytest.raises(ValueError, match="train with reset=None"):
        to_author(model)


def test_the_documented_three_lines(tmp_path, monkeypatch):
    """What the module's docstring says about a pickled checkpoint, run on a stand-in for one."""
    torch = pytest.importorskip("torch", reason="the pickled side is torch's")
    pd = pytest.importorskip("pandas")
    from nnlib.models.session import author_layout

    model = untrained(MODELS[0])
    lines = [line.strip() for line in author_layout.__doc__.splitlines()]
    first = lines.index("import json, torch; from safetensors.torch import save_file")
    code = "\n".join(lines[first : first + 4])

    stand_in = type("GRU", (), {})()
    stand_in.model, stand_in.loss, stand_in.data_iterator = (
        torch_network(torch, model),
        "bpr-max",
        stand_in,
    )
    stand_in.itemidmap = pd.Series(np.arange(N), index=IDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "load", lambda path, **options: stand_in)
    exec(code, {})
    loaded = load_author_layout("gru.safetensors")
    assert loaded.loss == "bpr-max"
    assert loaded.item_ids_.tolist() == IDS


def torch_network(torch, model):
    """Torch modules with the parameter names of the official GRU4RecModel, from its description."""
    nn, H = torch.nn, model.hidden
    one_hot, shared = model.embedding is None, model.embedding == "shared"

    class OneHotGRU(nn.Module):
        def __init__(self):
            super().__init__()
            self.Wx0 = nn.Embedding(N, 3 * H[0])
            self.Wrz0 = nn.Parameter(torch.randn(H[0], 2 * H[0]))
            self.Wh0 = nn.Parameter(torch.randn(H[0], H[0]))
            self.Bh0 = nn.Parameter(torch.randn(3 * H[0]))

        def forward(self, item, h):
            v_c, v_r, v_z = (self.Wx0(item) + self.Bh0).chunk(3, 1)
            u_r, u_z = (h @ self.Wrz0).chunk(2, 1)
            r, z = torch.sigmoid(v_r + u_r), torch.sigmoid(v_z + u_z)
            return (1 - z) * h + z * torch.tanh(v_c + (r * h) @ self.Wh0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [*H]
            if one_hot:
                self.GE = OneHotGRU()
            elif shared:
                sizes.insert(0, H[-1])
            else:
                D = H[0] if model.embedding == "separate" else model.embedding
                self.E = nn.Embedding(N, D)
                sizes.insert(0, D)
            self.G = nn.ModuleList([nn.GRUCell(n, m) for n, m in pairwise(sizes)])
            self.Wy, self.By = nn.Embedding(N, H[-1]), nn.Embedding(N, 1)

        def forward(self, items):
            """Scores of all items after the items of one session."""
            states = [torch.zeros(1, n) for n in H]
            for item in items:
                if one_hot:
                    x = states[0] = self.GE(item[None], states[0])
                else:
                    x = (self.Wy if shared else self.E)(item[None])
                for i, cell in enumerate(self.G, start=int(one_hot)):
                    x = states[i] = cell(x, states[i])
            return (x @ self.Wy.weight.T + self.By.weight.T)[0]

    return Net()


def torch_scores(torch, net, histories):
    with torch.no_grad():
        rows = [net(torch.tensor(histories.row(b))) for b in range(len(histories))]
    return torch.stack(rows).numpy()


@pytest.mark.oracle
@models
def test_our_weights_in_torch(model):
    torch = pytest.importorskip("torch", reason="the oracle is torch")
    model, histories = untrained(model), some_histories()
    net = torch_network(torch, model)
    net.load_state_dict({k: torch.tensor(v) for k, v in to_author(model).items()}, strict=True)
    expected = torch_scores(torch, net, histories)
    np.testing.assert_allclose(model.scores(histories), expected, rtol=0, atol=1e-5)


@pytest.mark.oracle
@models
def test_torch_weights_in_ours(model):
    torch = pytest.importorskip("torch", reason="the oracle is torch")
    torch.manual_seed(3)
    net, histories = torch_network(torch, model), some_histories()
    state = {k: v.numpy() for k, v in net.state_dict().items()}
    loaded = from_author(state, IDS)
    assert loaded.hidden == model.hidden
    expected = torch_scores(torch, net, histories)
    np.testing.assert_allclose(loaded.scores(histories), expected, rtol=0, atol=1e-5)
