"""Scores of linear models and neural networks."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph import Graph
from ..preprocessing.columns import Matrix
from .scores import Scores, Term


def linear(coefficients: npt.ArrayLike, intercept: npt.ArrayLike) -> Scores:
    """Return X @ coefficients.T + intercept.

    Args:
        coefficients: shape (targets, columns) or (columns,).
        intercept: shape (targets,), or a number for all targets.
    """
    weights = np.atleast_2d(np.asarray(coefficients, dtype=np.float64)).T
    offset = np.broadcast_to(np.asarray(intercept, dtype=np.float64).ravel(), weights.shape[1])
    return Scores(offset.copy(), weights=weights)


def network(graph: Graph, matrix: Matrix, model: Any) -> Scores:
    """Return the output layer of a scikit-learn perceptron, before its activation."""
    tensor = matrix.tensor
    layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    for depth, (weights, bias) in enumerate(layers):
        arranged = matrix.arrange(weights.T).T if depth == 0 else weights
        tensor = graph.add("MatMul", tensor, graph.constant(arranged))
        tensor = graph.add("Add", tensor, graph.constant(bias))
        if depth < len(layers) - 1 and model.activation != "identity":
            tensor = graph.add(ACTIVATIONS[model.activation], tensor)
    return Scores(np.zeros(len(layers[-1][1])), tensors=(Term(tensor),))


ACTIVATIONS = {"logistic": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}
