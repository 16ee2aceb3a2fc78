"""The conversion of one fitted pipeline into one ONNX graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from app.manifest import Feature, Task
from stages.export.columns import CATEGORICAL, NUMERIC, Inputs
from stages.export.graph import Graph, tensor_info
from stages.export.regressors import regress
from stages.export.walk import walk


def to_onnx(
    pipeline: Any,
    features: Sequence[Feature],
    columns: Sequence[str],
    task: Task,
    n_classes: int,
) -> onnx.ModelProto:
    """Convert a fitted PyCaret pipeline into a graph as `app.manifest` describes it.

    The same pipeline gives the same bytes.

    Args:
        pipeline: as `finalize_model` returns it, fitted on classes 0 to n_classes - 1.
        features: the features in packing order.
        columns: the name of each feature in the pipeline's frame.
        task: what the pipeline predicts.
        n_classes: number of classes; 0 for a regression.

    Raises:
        NotConvertible: a step or the estimator has no exact counterpart.
    """
    graph = Graph()
    n_categorical = sum(feature.kind == "category" for feature in features)
    n_numeric = len(features) - n_categorical
    inputs = []
    if n_numeric:
        inputs.append(tensor_info(NUMERIC, np.float64, n_numeric))
    if n_categorical:
        inputs.append(tensor_info(CATEGORICAL, np.int64, n_categorical))
    steps = [(name, step) for _, name, step in pipeline._iter(with_final=False)]
    matrix = walk(graph, Inputs(graph, n_categorical), steps, features, columns)
    scores = regress(graph, matrix, pipeline.steps[-1][1]).emit(graph, matrix)
    graph.name_output("Squeeze", "prediction", scores, graph.constant([1], np.int64))
    return graph.model(inputs, [tensor_info("prediction", np.float64)])
