"""Models that compare a row with stored training rows: nearest neighbours and kernels.

The comparison runs row by row, so that memory does not grow with rows times training rows, and
takes differences before it squares them, as the fitted models do.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import NotConvertible
from ..graph import Graph, RowBody
from ..preprocessing.columns import Matrix


def neighbours(graph: Graph, matrix: Matrix, model: Any, values: npt.ArrayLike, part: str) -> str:
    """Average a value over the nearest training rows.

    Args:
        graph: receives the nodes.
        matrix: the columns.
        model: the fitted scikit-learn neighbours model.
        values: shape (training rows, targets).
        part: the estimator, for errors.

    Returns:
        The name of a float64 tensor of shape (rows, targets).
    """
    if model.weights not in ("uniform", "distance"):
        raise NotConvertible(part, "its weights are a function")
    if model.effective_metric_ not in ("euclidean", "manhattan"):
        raise NotConvertible(part, f"its metric is {model.effective_metric_}")
    body = RowBody(graph)
    gap = body.add("Sub", body.constant(model._fit_X), body.ROW)
    # Summed column by column, the order in which the fitted model's search sums.
    reduce = "ReduceSumSquare" if model.effective_metric_ == "euclidean" else "ReduceL1"
    distance = body.add(reduce, gap, body.constant([1], np.int64), keepdims=0)
    count = body.constant([model.n_neighbors], np.int64)
    nearest, index = body.add_many("TopK", distance, count, outputs=2, largest=0)
    taken = body.add("Gather", body.constant(values), index)
    axis = body.constant([0], np.int64)
    if model.weights == "uniform":
        mean = body.add("ReduceMean", taken, axis, keepdims=0)
    else:
        weights = _inverse(body, nearest, squared=model.effective_metric_ == "euclidean")
        column = body.add("Unsqueeze", weights, body.constant([1], np.int64))
        weighted = body.add("ReduceSum", body.add("Mul", taken, column), axis, keepdims=0)
        mean = body.add("Div", weighted, body.add("ReduceSum", weights, axis, keepdims=1))
    body.result(mean)
    return graph.for_each_row(matrix.ordered(graph), body)[0]


DISTANCES = {"rbf": "ReduceSumSquare", "laplacian": "ReduceL1"}


def kernel_sum(
    graph: Graph,
    matrix: Matrix,
    kernel: str,
    vectors: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    parameters: tuple[float, float, int],
    part: str,
) -> str:
    """Sum kernel values over stored vectors.

    Args:
        graph: receives the nodes.
        matrix: the columns.
        kernel: rbf, laplacian, linear, poly or sigmoid.
        vectors: shape (vectors, columns).
        weights: shape (vectors, targets).
        parameters: gamma, coef0 and degree.
        part: the estimator, for errors.

    Returns:
        The name of a float64 tensor of shape (rows, targets).
    """
    gamma, coef0, degree = parameters
    body = RowBody(graph)
    if kernel in DISTANCES:
        gap = body.add("Sub", body.constant(vectors), body.ROW)
        distance = body.add(DISTANCES[kernel], gap, body.constant([1], np.int64), keepdims=0)
        values = body.add("Exp", body.add("Mul", distance, body.constant(-gamma)))
    elif kernel in ("linear", "poly", "polynomial", "sigmoid"):
        values = body.add("MatMul", body.constant(vectors), body.ROW)
        if kernel != "linear":
            values = body.add("Mul", values, body.constant(gamma))
            values = body.add("Add", values, body.constant(coef0))
        if kernel.startswith("poly"):
            values = body.add("Pow", values, body.constant(float(degree)))
        elif kernel == "sigmoid":
            values = body.add("Tanh", values)
    else:
        raise NotConvertible(part, f"its kernel is {kernel}")
    body.result(body.add("MatMul", values, body.constant(weights)))
    return graph.for_each_row(matrix.ordered(graph), body)[0]


def _inverse(body: RowBody, nearest: str, squared: bool) -> str:
    """Weigh by inverse distance; training rows at distance zero, if any, count alone."""
    distance = body.add("Sqrt", nearest) if squared else nearest
    zero = body.constant(0.0)
    touching = body.add("Cast", body.add("Equal", distance, zero), to=11)
    any_touching = body.add("Greater", body.add("ReduceMax", touching, keepdims=1), zero)
    return body.add("Where", any_touching, touching, body.add("Reciprocal", distance))
