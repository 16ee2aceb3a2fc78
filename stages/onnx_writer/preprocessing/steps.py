"""Nodes for the preprocessing steps that work on numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import NotConvertible
from ..graph import Graph
from .columns import Column, Inputs, Matrix, Slot, pack, spread
from .interpolation import count_edges
from .powers import yeo_johnson

SELECTORS = {
    "RemoveMulticollinearity",
    "SelectFromModel",
    "SelectKBest",
    "SequentialFeatureSelector",
    "VarianceThreshold",
}

REFUSED = {
    "DropImputer": "it drops the rows with missing values, which then get no answer",
}

Members = list[int]
Writer = Callable[[Graph, Any, Matrix, Members, str], str]
Mixer = Callable[[Graph, Any, Matrix], str]


def keeps_values(step: Any) -> bool:
    """Whether a step changes the columns' names or their layout in memory, and no value."""
    if type(step).__name__ == "CleanColumnNames":
        return True
    return getattr(step, "func", None) in (np.ascontiguousarray, pd.DataFrame.rename)


def columnwise(
    graph: Graph,
    inputs: Inputs,
    step: Any,
    columns: Sequence[Column],
    slots: Sequence[Column],
    part: str,
) -> list[Column]:
    """Apply a step that changes each column by itself, to the numeric columns.

    Args:
        graph: receives the nodes.
        inputs: the graph's inputs.
        step: the fitted transformer, one of `COLUMNWISE`.
        columns: all columns that the step reads, in its order.
        slots: those of them that are numbers in the graph; the rest is tabulated.
        part: the step, for errors.
    """
    matrix = pack(graph, inputs, slots)
    members = [columns.index(column) for column in slots]
    tensor = COLUMNWISE[type(step).__name__](graph, step, matrix, members, part)
    if matrix.tensor in graph.complete:  # arithmetic on numbers gives numbers
        graph.complete.add(tensor)
    return spread(slots, tensor, matrix)


def mix(
    graph: Graph,
    inputs: Inputs,
    step: Any,
    columns: Sequence[Column],
    part: str,
) -> list[Column]:
    """Apply a step that makes new columns out of all the columns it reads.

    Args:
        graph: receives the nodes.
        inputs: the graph's inputs.
        step: the fitted transformer.
        columns: all columns that the step reads, in its order.
        part: the step, for errors.

    Raises:
        NotConvertible: there is no exact counterpart.
    """
    writer = MIXERS.get(type(step).__name__)
    if writer is None:
        raise NotConvertible(part, "there is no exact counterpart of it")
    names = [str(name) for name in step.get_feature_names_out()]
    tensor = writer(graph, step, pack(graph, inputs, columns))
    return [Column(name, Slot(tensor, i, len(names))) for i, name in enumerate(names)]


def _impute(graph: Graph, step: Any, matrix: Matrix, members: Members, part: str) -> str:
    if step.add_indicator:
        raise NotConvertible(part, "it adds indicator columns (add_indicator)")
    fill = matrix.arrange(np.asarray(step.statistics_, dtype=np.float64)[members])
    missing = graph.add("IsNaN", matrix.tensor)
    filled = graph.add("Where", missing, graph.constant(fill), matrix.tensor)
    if np.isfinite(fill).all():
        graph.complete.add(filled)
    return filled


def _fill(graph: Graph, step: Any, matrix: Matrix, members: Members, part: str) -> str:
    """Put a date, in seconds, where there is none."""
    if getattr(step, "func", None) is not pd.DataFrame.fillna:
        raise NotConvertible(part, "the function in it is not known")
    moments = [moment.timestamp() for moment in step.kw_args["value"].values()]
    fill = matrix.arrange(np.asarray(moments)[members])
    missing = graph.add("IsNaN", matrix.tensor)
    return graph.add("Where", missing, graph.constant(fill), matrix.tensor)


def _standardise(graph: Graph, step: Any, matrix: Matrix, members: Members, part: str) -> str:
    return _shift_then_divide(graph, matrix, members, step.mean_, step.scale_)


def _robust(graph: Graph, step: Any, matrix: Matrix, members: Members, part: str) -> str:
    return _shift_then_divide(graph, matrix, members, step.center_, step.scale_)


def _max_abs(graph: Graph, step: Any, matrix: Matrix, members: Members, part: str) -> str:
    return _shift_then_divide(graph, matrix, members, None, step.scale_)


def _min_max(graph: Graph, step: Any, matrix: Matrix, members: Members, part: str) -> str:
    if step.clip:
        raise NotConvertible(part, "it clips (clip)")
    scale = graph.constant(matrix.arrange(step.scale_[members]))
    low = graph.constant(matrix.arrange(step.min_[members]))
    return graph.add("Add", graph.add("Mul", matrix.tensor, scale), low)


def _power(graph: Graph, step: Any, matrix: Matrix, members: Members, part: str) -> str:
    if step.method != "yeo-johnson" or step.standardize:
        raise NotConvertible(part, "only yeo-johnson without standardising is written")
    lambdas = np.asarray(step.lambdas_, dtype=np.float64)[members]
    return yeo_johnson(graph, matrix.tensor, matrix.arrange(lambdas))


def _bin(graph: Graph, step: Any, matrix: Matrix, members: Members, part: str) -> str:
    if step.encode != "ordinal":
        raise NotConvertible(part, f"it encodes as {step.encode}")
    edges = [np.empty(0)] * len(members)
    for member, position in zip(members, matrix.positions, strict=True):
        edges[position] = np.asarray(step.bin_edges_[member][1:-1], dtype=np.float64)
    return count_edges(graph, matrix.tensor, edges)


def _shift_then_divide(
    graph: Graph,
    matrix: Matrix,
    members: Members,
    shift: npt.NDArray[np.float64] | None,
    scale: npt.NDArray[np.float64] | None,
) -> str:
    tensor = matrix.tensor
    if shift is not None:
        tensor = graph.add("Sub", tensor, graph.constant(matrix.arrange(shift[members])))
    if scale is not None:
        tensor = graph.add("Div", tensor, graph.constant(matrix.arrange(scale[members])))
    return tensor


def _components(graph: Graph, step: Any, matrix: Matrix) -> str:
    """Project on the principal components."""
    centred = graph.add("Sub", matrix.tensor, graph.constant(matrix.arrange(step.mean_)))
    components = np.asarray(step.components_, dtype=np.float64)
    if step.whiten:
        components = components / np.sqrt(step.explained_variance_)[:, None]
    return graph.add("MatMul", centred, graph.constant(matrix.arrange(components).T))


def _polynomial(graph: Graph, step: Any, matrix: Matrix) -> str:
    """Multiply columns as the step's powers say; a column of ones fills the shorter products."""
    ones = matrix.size
    one = graph.add("Gather", matrix.tensor, graph.constant([0], np.int64), axis=1)
    zero = graph.add("Mul", graph.add("Cast", graph.add("IsNaN", one), to=11), graph.constant(0.0))
    extended = graph.add(
        "Concat", matrix.tensor, graph.add("Add", zero, graph.constant(1.0)), axis=1
    )
    factors = [
        [int(matrix.positions[c]) for c in np.repeat(np.arange(matrix.width), powers)]
        for powers in step.powers_
    ]
    degree = max(len(factor) for factor in factors)
    product = ""
    for place in range(degree):
        chosen = [factor[place] if place < len(factor) else ones for factor in factors]
        taken = graph.add("Gather", extended, graph.constant(chosen, np.int64), axis=1)
        product = graph.add("Mul", taken, product) if product else taken
    return product


COLUMNWISE: dict[str, Writer] = {
    "FunctionTransformer": _fill,
    "KBinsDiscretizer": _bin,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "PowerTransformer": _power,
    "RobustScaler": _robust,
    "SimpleImputer": _impute,
    "StandardScaler": _standardise,
}

MIXERS: dict[str, Mixer] = {
    "IncrementalPCA": _components,
    "PCA": _components,
    "PolynomialFeatures": _polynomial,
}
