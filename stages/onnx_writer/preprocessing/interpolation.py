"""Piecewise linear functions: the interval is found by a search tree, as in an estimator."""

from collections.abc import Sequence

import numpy as np

from ..estimators.trees import Floats, Tree, write
from ..graph import Graph
from .columns import Matrix


def search_tree(column: int, edges: Floats, values: Floats, target: int) -> Tree:
    """Build a balanced tree that maps x to values[i], i the number of edges below x.

    Args:
        column: the column searched.
        edges: ascending, shape (n,); an x equal to an edge is not above it.
        values: shape (n + 1,).
        target: the column of the result.
    """
    left: list[int] = []
    right: list[int] = []
    middle: list[int] = []

    def grow(low: int, high: int) -> int:
        # Leaves low to high: split at the edge between the halves.
        if low == high:
            return ~low
        node = len(middle)
        half = (low + high) // 2
        middle.append(half)
        left.append(0)
        right.append(0)
        left[node] = grow(low, half)
        right[node] = grow(half + 1, high)
        return node

    grow(0, len(edges))
    return Tree(
        feature=np.full(len(middle), column),
        threshold=edges[middle],
        left=np.array(left, dtype=np.int64),
        right=np.array(right, dtype=np.int64),
        missing_left=np.zeros(len(middle), dtype=bool),
        leaf=values,
        target=target,
    )


def interpolate(graph: Graph, tensor: str, knots: Sequence[tuple[Floats, Floats]]) -> str:
    """Interpolate each column between its own knots, constant outside, as numpy.interp does.

    Args:
        graph: receives the nodes.
        tensor: float64 (rows, columns).
        knots: for each column, x strictly ascending and y.

    Returns:
        The name of a tensor of the same shape.
    """
    width = len(knots)
    trees = []
    for column, (x, y) in enumerate(knots):
        # numpy.interp starts an interval at its left knot, so the edge lies just below it.
        edges = np.nextafter(x, -np.inf)
        starts = np.concatenate([x[:1], x])
        levels = np.concatenate([y[:1], y])
        slopes = np.concatenate([[0.0], np.diff(y) / np.diff(x), [0.0]])
        for part, values in enumerate((starts, levels, slopes)):
            trees.append(search_tree(column, edges, values, part * width + column))
    matrix = Matrix(tensor, np.arange(width), width)
    start, level, slope_of = graph.add_many(
        "Split", write(graph, matrix, trees, 3 * width), outputs=3, axis=1, num_outputs=3
    )
    distance = graph.add("Sub", tensor, start)
    return graph.add("Add", graph.add("Mul", slope_of, distance), level)


def count_edges(graph: Graph, tensor: str, edges: Sequence[Floats]) -> str:
    """Count, for each column, the edges at or below the value (numpy.searchsorted, right)."""
    matrix = Matrix(tensor, np.arange(len(edges)), len(edges))
    trees = [
        search_tree(
            column, np.nextafter(cuts, -np.inf), np.arange(len(cuts) + 1, dtype=np.float64), column
        )
        for column, cuts in enumerate(edges)
    ]
    return write(graph, matrix, trees, len(edges))
