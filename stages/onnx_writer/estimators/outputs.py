"""What a classifier answers, and the links from scores to it."""

from dataclasses import dataclass

import numpy as np

from ..graph import Graph
from .scores import Scores

INT64 = 7
DOUBLE = 11


@dataclass(frozen=True)
class Answer:
    """Names of graph tensors.

    Attributes:
        label: int64 (rows,), an index into the classes.
        probabilities: float64 (rows, classes); None where the classifier has none.
        decision: float64 (rows, 1) for two classes, else (rows, classes): the classifier's
            `decision_function`; None where it has none.
        margin: what the sigmoid or softmax turns into probabilities, as a sum of trees and
            linear terms, shape as `decision`; None where it is no such sum.
        share: the probabilities themselves (for two classes the second one's) as such a sum,
            of a classifier without a margin; or None.
    """

    label: str
    probabilities: str | None = None
    decision: str | None = None
    margin: Scores | None = None
    share: Scores | None = None


def largest(graph: Graph, tensor: str) -> str:
    """Return the index of each row's largest value, the first of equals."""
    return graph.add("ArgMax", tensor, axis=1, keepdims=0)


def positive(graph: Graph, decision: str, n_classes: int, or_zero: bool = False) -> str:
    """Return the label that a decision function means; for two classes, its sign."""
    if n_classes > 2:
        return largest(graph, decision)
    flat = graph.add("Squeeze", decision, graph.constant([1], np.int64))
    compare = "GreaterOrEqual" if or_zero else "Greater"
    return graph.add("Cast", graph.add(compare, flat, graph.constant(0.0)), to=INT64)


def both(graph: Graph, probability: str) -> str:
    """Return (1 - p, p) for the second class's probability of shape (rows, 1)."""
    return graph.add(
        "Concat", graph.add("Sub", graph.constant(1.0), probability), probability, axis=1
    )


def logistic(graph: Graph, decision: str, n_classes: int) -> str:
    """Return probabilities: the sigmoid for two classes, the softmax for more."""
    if n_classes == 2:
        return both(graph, graph.add("Sigmoid", decision))
    return graph.add("Softmax", decision, axis=1)


def one_against_rest(graph: Graph, decision: str, n_classes: int) -> str:
    """Return the sigmoid of each class's decision, made to sum to one."""
    each = graph.add("Sigmoid", decision)
    if n_classes == 2:
        return both(graph, each)
    return graph.add("Div", each, row_sum(graph, each))


def row_sum(graph: Graph, tensor: str) -> str:
    """Sum each row; shape (rows, 1)."""
    return graph.add("ReduceSum", tensor, graph.constant([1], np.int64), keepdims=1)


def mean(graph: Graph, tensors: list[str], weights: list[float]) -> str:
    """Return the weighted mean of tensors of one shape, summed before it is divided.

    In this order exact ties of votes stay exact.
    """
    total = ""
    for tensor, weight in zip(tensors, weights, strict=True):
        term = tensor if weight == 1 else graph.add("Mul", tensor, graph.constant(weight))
        total = graph.add("Add", total, term) if total else term
    return graph.add("Div", total, graph.constant(sum(weights)))
