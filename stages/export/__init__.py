"""Turns a fitted PyCaret pipeline into one ONNX graph, exactly, and proves it.

`to_onnx` converts or raises `NotConvertible`; `edge_rows` and `parity` are for the proof.
"""

from stages.export.convert import to_onnx
from stages.export.errors import NotConvertible
from stages.export.proof import edge_rows, parity

__all__ = ["NotConvertible", "edge_rows", "parity", "to_onnx"]
