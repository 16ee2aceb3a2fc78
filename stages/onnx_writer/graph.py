"""A small builder of ONNX graphs whose bytes depend on nothing but the calls made."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from .errors import NotConvertible

OPSET = 18
ML_DOMAIN = "ai.onnx.ml"
ML_OPSET = 5
# The largest message that protobuf can write.
MAX_BYTES = 2**31 - 1
IR_VERSION = 10


class Graph:
    """Collects nodes and constants; tensors are known by their names.

    Names are counted up in the order of the calls, so the same calls give the same bytes.

    Attributes:
        complete: the tensors that never hold a missing value; trees that read one need not ask.
    """

    prefix = ""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.complete: set[str] = set()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output and return that output's name."""
        return self.add_many(op, *inputs, outputs=1, domain=domain, **attributes)[0]

    def add_many(
        self, op: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Append a node and return the names of its outputs."""
        name = f"{self.prefix}{op.lower()}_{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(op, list(inputs), names, name=name, domain=domain, **attributes)
        )
        return names

    def for_each_row(self, tensor: str, body: "RowBody") -> list[str]:
        """Run `body` for each row of a (rows, n) tensor and stack its results.

        This keeps the memory bounded where a row is compared with many training rows.
        """
        return self.add_many(
            "Scan", tensor, outputs=len(body.results), num_scan_inputs=1, body=body.graph()
        )

    def name_output(self, op: str, name: str, *inputs: str, **attributes: Any) -> None:
        """Append the node whose output is the graph's output `name`."""
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> str:
        """Return the name of a constant tensor; equal constants share one."""
        array = np.ascontiguousarray(np.asarray(values, dtype=dtype)).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self.initializers)}"
            self.initializers.append(numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]

    def model(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> onnx.ModelProto:
        """Close the graph and check it."""
        nodes = self._needed({output.name for output in outputs})
        read = {name for node in nodes for name in _reads(node)}
        constants = [tensor for tensor in self.initializers if tensor.name in read]
        graph = helper.make_graph(nodes, "model", inputs, outputs, constants)
        model = helper.make_model(
            graph,
            opset_imports=[
                helper.make_opsetid("", OPSET),
                helper.make_opsetid(ML_DOMAIN, ML_OPSET),
            ],
            ir_version=IR_VERSION,
            producer_name="stages.onnx_writer",
        )
        if model.ByteSize() > MAX_BYTES:
            raise NotConvertible(
                "the model",
                f"its graph has {model.ByteSize():,} bytes, more than the 2 GB that ONNX allows",
            )
        onnx.checker.check_model(model)
        return model

    def _needed(self, outputs: set[str]) -> list[onnx.NodeProto]:
        """Return the nodes that the outputs tensors depend on."""
        needed = []
        for node in reversed(self.nodes):
            if outputs.intersection(node.output):
                needed.append(node)
                outputs.update(_reads(node))
        return needed[::-1]


def _reads(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, those in its body included."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names |= _reads(inner)
    return names


class RowBody(Graph):
    """The body of `Graph.for_each_row`: works on `ROW`, float64 (n,), and the outer constants."""

    ROW = "row"
    prefix = "row_"

    def __init__(self, outer: Graph) -> None:
        super().__init__()
        self._outer = outer
        self.results: list[str] = []

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> str:
        """Return the name of a constant of the outer graph."""
        return self._outer.constant(values, dtype)

    def result(self, *names: str) -> None:
        """Name the tensors to return, each of shape (k,)."""
        self.results += names

    def graph(self) -> onnx.GraphProto:
        """Close the body."""
        info = helper.make_tensor_value_info
        return helper.make_graph(
            self.nodes,
            "row",
            [info(self.ROW, TensorProto.DOUBLE, [None])],
            [info(name, TensorProto.DOUBLE, [None]) for name in self.results],
        )


def tensor_info(name: str, kind: Literal["float64", "int64"], *columns: int) -> onnx.ValueInfoProto:
    """Describe a graph input or output of shape (rows, *columns)."""
    element = TensorProto.DOUBLE if kind == "float64" else TensorProto.INT64
    return helper.make_tensor_value_info(name, element, ["rows", *columns])
