"""A fitted pipeline as the file that the server opens, and the interface of that file."""

import hashlib
import pickle
from typing import Any

from app.model.manifest import Interface
from stages.onnx_writer import to_onnx
from stages.params import Params
from stages.schema import Schema
from stages.training.repairs import anonymous

FILES = {"onnx": "model.onnx", "pycaret": "model.pkl"}


def convert(pipeline: Any, schema: Schema, runtime: str) -> bytes:
    """The fitted pipeline as the server opens it: an ONNX graph, or a pickle for `pycaret`.

    Raises:
        NotConvertible: a step or the estimator has no exact counterpart in ONNX.
    """
    if runtime == "pycaret":
        with anonymous(pipeline):
            return pickle.dumps({"pipeline": pipeline, "columns": schema.columns}, protocol=5)
    graph = to_onnx(pipeline, schema.features, schema.columns, schema.task, len(schema.classes))
    return bytes(graph.SerializeToString(deterministic=True))


def describe(content: bytes, schema: Schema, params: Params) -> Interface:
    """What goes into the converted file and what comes out."""
    base, runtime = params.base, params.deploy.runtime
    return Interface(
        name=base.name,
        task=base.task,
        target=base.target,
        classes=schema.classes,
        features=schema.features,
        missing_values=schema.missing_values,
        runtime=runtime,
        file=FILES[runtime],
        sha256=hashlib.sha256(content).hexdigest(),
    )
