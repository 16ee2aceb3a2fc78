"""Runs a graph under construction, and imports PyCaret quietly."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from stages.onnx_writer.graph import Graph, tensor_info
from stages.onnx_writer.preprocessing.columns import Matrix

Array = npt.NDArray[Any]
Run = Callable[[Graph, str, Array], Array]


@dataclass(frozen=True)
class PyCaret:
    """The parts of PyCaret that the tests build pipelines of."""

    pipeline: Any
    wrapper: Any
    dates: Any


@pytest.fixture(scope="session")
def pycaret() -> PyCaret:
    """Import PyCaret, which takes seconds and warns of its dependencies' deprecations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pycaret.internal.pipeline import Pipeline
        from pycaret.internal.preprocess import transformers

    return PyCaret(Pipeline, transformers.TransformerWrapper, transformers.ExtractDateTimeFeatures)


@pytest.fixture
def run() -> Run:
    """Return a function that computes one tensor of a graph from its `numeric` input."""

    def compute(graph: Graph, tensor: str, numeric: Array) -> Array:
        graph.name_output("Identity", "result", tensor)
        model = graph.model(
            [tensor_info("numeric", "float64", numeric.shape[1])],
            [tensor_info("result", "float64", 1)],
        )
        # The width of the result is whatever the test makes it.
        model.graph.output[0].type.tensor_type.ClearField("shape")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        result: Array = session.run(None, {"numeric": numeric})[0]
        return result

    return compute


def whole(columns: int) -> Matrix:
    """Return the numeric input itself as a matrix."""
    return Matrix("numeric", np.arange(columns), columns)
