"""A step of GRU4Rec as an ONNX graph, for whatever serves ONNX: a click in, the best items out.

    inputs    item (B,) int64                  code of the item that each of B visitors clicks on
              state_0, state_1 … (B, H) float  one for each layer, zeros before the first click
    outputs   items (B, k) int64, scores (B, k) float    codes of the best next items, best first
              next_state_0 … (B, H) float      the states to come back with at the next click

B is free, k is fixed when the graph is written.  The metadata `item_ids` is a JSON list: the raw
ids of the codes 0, 1, 2 …  The weights are in the file; running it needs nothing of nnlib.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from nnlib.array import Array, to_host
from nnlib.layers.gru_step import GRUStep
from nnlib.models.session.gru4rec import GRU4Rec
from nnlib.models.session.gru4rec_network import GRU4RecNetwork
from nnlib.storage import replacing

OPSET, IR_VERSION = 17, 8  # of 2022: no operator here is newer, and older runtimes read it
LIMIT = 2**31 - 2**20  # bytes of a file, which is one protobuf message


def export_onnx(model: GRU4Rec, path: str | Path, k: int = 20) -> None:
    """Write one step of a fitted GRU4Rec as an ONNX file.

    Arguments
        k: how many items the graph gives, ≥ 1; all of them if there are fewer
    Raises
        ImportError: the package onnx is missing.
        ValueError: `k` is below 1, the model is another than GRU4Rec itself, or larger than an
            ONNX file can be.
    """
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        raise ImportError("onnx is not installed: pip install 'nnlib[export]'") from error

    model._check_fitted()
    net = model.net_
    if type(net) is not GRU4RecNetwork:
        raise ValueError(f"a {type(model).__name__} cannot be exported: only GRU4Rec can")
    if k < 1:
        raise ValueError(f"k={k}: the graph must give at least one item")
    if (size := sum(p.value.nbytes for p in net.parameters())) > LIMIT:
        raise ValueError(f"{size / 1e9:.1f} GB of weights: an ONNX file holds at most 2 GB")

    graph = Graph()
    states = [f"state_{i}" for i in range(len(net.cells))]
    new = graph.step(net, "item", states)
    scores = graph.op("Gemm", new[-1], graph.weight("W", net.W), graph.weight("b", net.b), transB=1)
    n_best = graph.constant("k", np.array([min(k, len(model.item_ids_))]))
    graph.op("TopK", scores, n_best, outputs=("scores", "items"))
    for i, h in enumerate(new):
        graph.op("Identity", h, outputs=(f"next_state_{i}",))

    real, whole = TensorProto.FLOAT, TensorProto.INT64
    describe = helper.make_tensor_value_info
    widths = list(zip(states, model.hidden, strict=True))
    inputs = [describe("item", whole, ["B"])]
    inputs += [describe(name, real, ["B", n]) for name, n in widths]
    outputs = [describe("items", whole, ["B", "k"]), describe("scores", real, ["B", "k"])]
    outputs += [describe(f"next_{name}", real, ["B", n]) for name, n in widths]
    proto = helper.make_model(
        helper.make_graph(graph.nodes, "GRU4Rec", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="nnlib",
    )
    helper.set_model_props(proto, {"item_ids": json.dumps(model.item_ids_.tolist())})
    onnx.checker.check_model(proto)
    with replacing(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())


class Graph:
    """Nodes and weights of an ONNX graph; values go by names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._known: set[str] = set()

    def op(self, kind: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes: Any) -> str:
        """A node; the name of its first output, made up unless it is given."""
        from onnx import helper

        outputs = outputs or (f"{kind.lower()}_{len(self.nodes)}",)
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def split(self, x: str, n: int) -> tuple[str, ...]:
        """The columns of x in `n` equal parts."""
        parts = tuple(f"part_{len(self.nodes)}_{i}" for i in range(n))
        self.op("Split", x, outputs=parts, axis=1)
        return parts

    def constant(self, name: str, value: Array) -> str:
        """A constant array, written once however often it is asked for."""
        from onnx import numpy_helper

        if name not in self._known:
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
            self._known.add(name)
        return name

    def weight(self, name: str, p: Any, columns: slice = slice(None)) -> str:
        """A parameter, or some of its columns."""
        return self.constant(name, to_host(p.value)[..., columns].astype(np.float32, copy=False))

    def step(self, net: GRU4RecNetwork, item: str, states: list[str]) -> list[str]:
        """`net.read`: the states after one more item."""
        x, new = item, []
        if net.shared:
            x = self.op("Gather", self.weight("W", net.W), item)
        elif net.embed is not None:
            x = self.op("Gather", self.weight("E", net.embed.E), item)
        for i, (enter, cell, h) in enumerate(zip(net.inputs, net.cells, states, strict=True)):
            ((name, table),) = enter.named_parameters()
            weight = self.weight(f"{name}_{i}", table)
            v = self.op("Gather", weight, x) if x == item else self.op("MatMul", x, weight)
            x = self.cell(cell, i, v, h)
            new.append(x)
        return new

    def cell(self, cell: GRUStep, i: int, v: str, h: str) -> str:
        """One GRU step; functional/gru_step.py has the equations and their numbers."""
        H = cell.n_hidden
        a_r, a_z, a_c = self.split(self.op("Add", v, self.weight(f"b_{i}", cell.b)), 3)
        if cell.b_h is None:
            U_rz = self.weight(f"U_rz_{i}", cell.U, slice(0, 2 * H))
            m_r, m_z = self.split(self.op("MatMul", h, U_rz), 2)
        else:
            U, b_h = self.weight(f"U_{i}", cell.U), self.weight(f"b_h_{i}", cell.b_h)
            m_r, m_z, m_c = self.split(self.op("Gemm", h, U, b_h), 3)
        r = self.op("Sigmoid", self.op("Add", a_r, m_r))
        z = self.op("Sigmoid", self.op("Add", a_z, m_z))
        if cell.b_h is None:
            U_c = self.weight(f"U_c_{i}", cell.U, slice(2 * H, None))
            inner = self.op("MatMul", self.op("Mul", r, h), U_c)
        else:
            inner = self.op("Mul", r, m_c)
        c = self.op("Tanh", self.op("Add", a_c, inner))
        return self.op("Add", h, self.op("Mul", z, self.op("Sub", c, h)))
