"""Sums of trees and linear terms, kept symbolic so that a whole blend becomes one node."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..graph import Graph
from ..preprocessing.columns import Matrix
from .trees import Tree, write


@dataclass(frozen=True)
class Scores:
    """One or more numbers for each row: offset + X @ weights + trees + tensors.

    Attributes:
        offset: shape (targets,).
        trees: each adds to its target.
        weights: shape (columns, targets), or None.
        tensors: names of graph tensors of shape (rows, targets), with their factors.
    """

    offset: npt.NDArray[np.float64]
    trees: tuple[Tree, ...] = ()
    weights: npt.NDArray[np.float64] | None = None
    tensors: tuple[tuple[str, float], ...] = ()

    def scaled(self, factor: float) -> "Scores":
        """Return these scores times a factor."""
        return Scores(
            self.offset * factor,
            tuple(tree.scaled(factor) for tree in self.trees),
            None if self.weights is None else self.weights * factor,
            tuple((name, weight * factor) for name, weight in self.tensors),
        )

    def plus(self, other: "Scores") -> "Scores":
        """Return the sum."""
        weights = self.weights
        if other.weights is not None:
            weights = other.weights if weights is None else weights + other.weights
        return Scores(
            self.offset + other.offset,
            self.trees + other.trees,
            weights,
            self.tensors + other.tensors,
        )

    def emit(self, graph: Graph, matrix: Matrix) -> str:
        """Write the nodes; returns a float64 tensor of shape (rows, targets)."""
        targets = len(self.offset)
        offset = self.offset.copy()
        terms = []
        branching = []
        for tree in self.trees:
            if len(tree.feature):
                branching.append(tree)
            else:
                offset[tree.target] += tree.leaf[0]
        for place, tree in enumerate(branching):
            # The offset rides on a tree; a node of its own would cost as much as a hundred.
            branching[place] = tree.raised(offset[tree.target])
            offset[tree.target] = 0
        if branching:
            terms.append(write(graph, matrix, branching, targets))
        if self.weights is not None:
            weights = matrix.arrange(self.weights.T).T
            terms.append(graph.add("MatMul", matrix.tensor, graph.constant(weights)))
        for name, factor in self.tensors:
            terms.append(name if factor == 1 else graph.add("Mul", name, graph.constant(factor)))
        if not terms:
            # A constant answer still needs one row for each row of the input.
            first = graph.add("Gather", matrix.tensor, graph.constant([0], np.int64), axis=1)
            zero = graph.add("Sub", graph.constant(np.zeros(targets)), graph.constant(np.zeros(1)))
            terms.append(graph.add("Where", graph.add("IsNaN", first), zero, zero))
        total = terms[0]
        for term in terms[1:]:
            total = graph.add("Add", total, term)
        return graph.add("Add", total, graph.constant(offset)) if offset.any() else total


def total(parts: Sequence[Scores]) -> Scores:
    """Return the sum of at least one."""
    result = parts[0]
    for part in parts[1:]:
        result = result.plus(part)
    return result
