"""A model taken apart into what can be explained exactly: sums over columns of one feature each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import onnx

from .convert import graph_inputs, prepare
from .estimators.classifiers import classify
from .estimators.regressors import regress
from .estimators.scores import Scores
from .features import Feature, Task
from .graph import Graph, tensor_info


@dataclass(frozen=True)
class Parts:
    """A model taken apart: what its preprocessing gives, and the sums that its estimator makes.

    Attributes:
        graph: from the inputs of `to_onnx` to `matrix`, float64 (rows, columns).
        features: of each column of the matrix, the place of the one feature it is computed from.
        scores: sums of trees and linear terms over the matrix' columns, whose order they use.
        kind: what the scores are: the `prediction` of a regression; of a classification the
            `margin`, from which a sigmoid or softmax makes the probabilities, or the
            `probability` itself. With two classes they are the second one's alone.
    """

    graph: onnx.ModelProto
    features: tuple[int, ...]
    scores: Scores
    kind: Literal["prediction", "margin", "probability"]


def take_apart(
    pipeline: Any, features: Sequence[Feature], columns: Sequence[str], task: Task
) -> Parts | None:
    """Return the parts of a pipeline that `to_onnx` converts, where it is such a sum.

    It is not where a step mixes features, where the estimator is no tree, no linear model and
    no sum of those, or where the target is transformed.

    Args:
        pipeline: the fitted pipeline.
        features: the features in packing order.
        columns: the name of each feature in the pipeline's frame.
        task: what the pipeline predicts.

    Raises:
        NotConvertible: as `to_onnx`.
    """
    graph = Graph()
    matrix, inverses = prepare(graph, pipeline, features, columns)
    model = pipeline.steps[-1][1]
    kind: Literal["prediction", "margin", "probability"] = "prediction"
    if task == "regression":
        scores = None if inverses else regress(graph, matrix, model)
    else:
        answer = classify(graph, matrix, model)
        kind = "margin" if answer.margin else "probability"
        scores = answer.margin or answer.share
    scores = scores and scores.additive()
    origins = [feature for feature in matrix.features if feature is not None]
    if scores is None or len(origins) < matrix.width:
        return None
    trees = [replace(tree, feature=matrix.positions[tree.feature]) for tree in scores.trees]
    weights = scores.weights if scores.weights is None else matrix.arrange(scores.weights.T).T
    graph.name_output("Identity", "matrix", matrix.tensor)
    return Parts(
        graph.model(graph_inputs(features), [tensor_info("matrix", "float64", matrix.size)]),
        tuple(matrix.arrange(origins).astype(int).tolist()),
        replace(scores, trees=tuple(trees), weights=weights),
        kind,
    )
