"""Turns a fitted PyCaret pipeline into one ONNX graph, exactly, and proves it.

`to_onnx` converts or raises `NotConvertible`; `edge_rows` and `parity` are for the proof.
"""

from .convert import to_onnx
from .edge_rows import edge_rows, parity
from .errors import NotConvertible

__all__ = ["NotConvertible", "edge_rows", "parity", "to_onnx"]
