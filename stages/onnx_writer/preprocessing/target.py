"""Undoes a transformation of the target on the predictions."""

from typing import Any

from ..errors import NotConvertible
from ..graph import Graph
from .powers import inverse_yeo_johnson


def invert(graph: Graph, step: Any, predictions: str) -> str:
    """Undo one step of PyCaret's target transformation.

    Args:
        graph: receives the nodes.
        step: the fitted step.
        predictions: float64 (rows, 1).

    Raises:
        NotConvertible: the transformation's inverse has no exact counterpart.
    """
    inner = step.transformer.estimator
    part = f"step 'target_transformation' ({type(inner).__name__})"
    if type(inner).__name__ != "PowerTransformer" or inner.method != "yeo-johnson":
        raise NotConvertible(part, "its inverse needs an error function in float64")
    if inner.standardize:
        raise NotConvertible(part, "it standardises the target")
    return inverse_yeo_johnson(graph, predictions, float(inner.lambdas_[0]))
