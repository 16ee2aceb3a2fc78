"""Turns a fitted PyCaret pipeline into one ONNX graph, exactly."""

from stages.export.convert import to_onnx
from stages.export.errors import NotConvertible

__all__ = ["NotConvertible", "to_onnx"]
