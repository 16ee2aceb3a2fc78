"""Nodes for the preprocessing steps that work on numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stages.export.columns import Column, Inputs, Matrix, Slot, pack, spread
from stages.export.errors import NotConvertible
from stages.export.graph import Graph

RENAMERS = {"CleanColumnNames"}
SELECTORS = {
    "RemoveMulticollinearity",
    "SelectFromModel",
    "SelectKBest",
    "SequentialFeatureSelector",
    "VarianceThreshold",
}
DATES = {"ExtractDateTimeFeatures"}

Writer = Callable[[Graph, Any, Matrix, list[int]], str]


def columnwise(
    graph: Graph,
    inputs: Inputs,
    step: Any,
    given: Sequence[Column],
    slots: Sequence[Column],
    part: str,
) -> list[Column] | None:
    """Apply a step that changes each column by itself, to the numeric columns.

    Args:
        graph: receives the nodes.
        inputs: the graph's inputs.
        step: the fitted transformer.
        given: all columns that the step reads, in its order.
        slots: those of them that are numbers in the graph; the rest is tabulated.
        part: the step, for errors.

    Returns:
        The changed columns, or None if this is not such a step.
    """
    writer = COLUMNWISE.get(type(step).__name__)
    if writer is None:
        return None
    matrix = pack(graph, inputs, slots)
    members = [given.index(column) for column in slots]
    return spread(slots, writer(graph, step, matrix, members), matrix.positions)


def mix(
    graph: Graph, inputs: Inputs, step: Any, given: Sequence[Column], part: str
) -> list[Column]:
    """Apply a step that makes new columns out of all columns it reads."""
    raise NotConvertible(part, "there is no exact counterpart of it")


def dates(
    graph: Graph, inputs: Inputs, step: Any, given: Sequence[Column], part: str
) -> list[Column]:
    """Take dates, as seconds since 1970, apart."""
    raise NotConvertible(part, "there is no exact counterpart of it")


def _impute(graph: Graph, step: Any, matrix: Matrix, members: list[int]) -> str:
    if step.add_indicator:
        raise NotConvertible("SimpleImputer", "it adds indicator columns (add_indicator)")
    fill = matrix.arrange(np.asarray(step.statistics_, dtype=np.float64)[members])
    missing = graph.add("IsNaN", matrix.tensor)
    return graph.add("Where", missing, graph.constant(fill), matrix.tensor)


COLUMNWISE: dict[str, Writer] = {
    "SimpleImputer": _impute,
}

__all__ = ["DATES", "RENAMERS", "SELECTORS", "Slot", "columnwise", "dates", "mix"]
