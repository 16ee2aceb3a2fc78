"""The conversion of one fitted pipeline into one ONNX graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from sklearn.base import is_classifier

from .errors import NotConvertible
from .estimators.classifiers import classify
from .estimators.regressors import regress
from .features import Feature, Task
from .graph import Graph, tensor_info
from .preprocessing.columns import CATEGORICAL, NUMERIC, Inputs, Matrix
from .preprocessing.pipeline import walk
from .preprocessing.target import invert


def to_onnx(
    pipeline: Any,
    features: Sequence[Feature],
    columns: Sequence[str],
    task: Task,
    n_classes: int,
) -> onnx.ModelProto:
    """Convert a fitted PyCaret pipeline into a graph; the same pipeline gives the same bytes.

    The graph takes `numeric`, float64 (rows, n): the numbers, booleans (0 or 1) and dates (seconds
    since 1970-01-01 UTC), NaN where missing; and `categorical`, int64 (rows, m): a category's
    index in its feature's `categories`, `len(categories)` for a value not among them and
    `len(categories) + 1` for a missing one. Both are in the order of `features`; one without
    columns is absent. It gives `prediction`, float64 (rows,); or `label`, int64 (rows,), and,
    unless the estimator has none, `probabilities`, float64 (rows, classes).

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
    inputs = graph_inputs(features)
    matrix, inverses = prepare(graph, pipeline, features, columns)
    model = pipeline.steps[-1][1]
    if task == "regression":
        scores = regress(graph, matrix, model).emit(graph, matrix)
        for step in inverses:
            scores = invert(graph, step, scores)
        graph.name_output("Squeeze", "prediction", scores, graph.constant([1], np.int64))
        return graph.model(inputs, [tensor_info("prediction", "float64")])
    if list(model.classes_) != list(range(n_classes)):
        raise NotConvertible(
            "the target", f"its classes are {list(model.classes_)}, not 0 to {n_classes - 1}"
        )
    for step in inverses:
        _require_identity(step)
    answer = classify(graph, matrix, model)
    graph.name_output("Identity", "label", answer.label)
    outputs = [tensor_info("label", "int64")]
    if answer.probabilities is not None:
        graph.name_output("Identity", "probabilities", answer.probabilities)
        outputs.append(tensor_info("probabilities", "float64", n_classes))
    return graph.model(inputs, outputs)


def thresholds(
    pipeline: Any, features: Sequence[Feature], columns: Sequence[str]
) -> dict[int, npt.NDArray[np.float64]]:
    """Return the thresholds of all trees that read the preprocessed matrix.

    Args:
        pipeline: the fitted pipeline.
        features: the features in packing order.
        columns: the name of each feature in the pipeline's frame.

    Returns:
        For each column of the preprocessed frame that a tree reads, by its position: the
        distinct thresholds, ascending.

    Raises:
        NotConvertible: as `to_onnx`.
    """
    graph = Graph()
    matrix, _ = prepare(graph, pipeline, features, columns)
    model = pipeline.steps[-1][1]
    if is_classifier(model):
        classify(graph, matrix, model)
    else:
        regress(graph, matrix, model).emit(graph, matrix)
    columns_of = np.argsort(matrix.positions)
    # XGBoost's trees read the matrix rounded to float32.
    casts = [node for node in graph.nodes if node.op_type == "Cast"]
    read_from = {matrix.tensor, *(n.output[0] for n in casts if n.input[0] == matrix.tensor)}
    splits_at: dict[int, list[npt.NDArray[np.float64]]] = {}
    for node in graph.nodes:
        if node.op_type == "TreeEnsemble" and node.input[0] in read_from:
            attributes = {attribute.name: attribute for attribute in node.attribute}
            read = columns_of[list(attributes["nodes_featureids"].ints)]
            splits = numpy_helper.to_array(attributes["nodes_splits"].t).astype(np.float64)
            for position in np.unique(read):
                splits_at.setdefault(int(position), []).append(splits[read == position])
    return {position: np.unique(np.concatenate(parts)) for position, parts in splits_at.items()}


def preprocessing(pipeline: Any) -> list[tuple[str, Any]]:
    """Return the name and the fitted transformer of each step on features."""
    return [(name, step) for name, step in _steps(pipeline) if not _is_of_target(step)]


def graph_inputs(features: Sequence[Feature]) -> list[onnx.ValueInfoProto]:
    """Describe the inputs of the graph."""
    n_categorical = sum(feature.kind == "category" for feature in features)
    n_numeric = len(features) - n_categorical
    inputs = []
    if n_numeric:
        inputs.append(tensor_info(NUMERIC, "float64", n_numeric))
    if n_categorical:
        inputs.append(tensor_info(CATEGORICAL, "int64", n_categorical))
    return inputs


def prepare(
    graph: Graph, pipeline: Any, features: Sequence[Feature], columns: Sequence[str]
) -> tuple[Matrix, list[Any]]:
    """Convert the preprocessing; also return the steps to undo on the answer, in order."""
    n_categorical = sum(feature.kind == "category" for feature in features)
    inputs = Inputs(graph, n_categorical)
    inverses = [step for _, step in reversed(_steps(pipeline)) if _is_of_target(step)]
    return walk(graph, inputs, preprocessing(pipeline), features, columns), inverses


def _steps(pipeline: Any) -> list[tuple[str, Any]]:
    """Return the steps before the estimator that run at prediction."""
    return [(name, step) for _, name, step in pipeline._iter(with_final=False)]


def _is_of_target(step: Any) -> bool:
    return hasattr(step, "inverse_transform")


def _require_identity(step: Any) -> None:
    encoded = list(step.transformer.classes_)
    if encoded != list(range(len(encoded))):
        raise NotConvertible("step 'label_encoding'", f"the target's classes are {encoded}")
