"""Turns a fitted PyCaret pipeline into one ONNX graph, exactly.

`to_onnx` converts or raises `NotConvertible`; `edge_rows` are rows to prove it on.
"""

from .convert import to_onnx
from .edge_rows import edge_rows
from .errors import NotConvertible

__all__ = ["NotConvertible", "edge_rows", "to_onnx"]
