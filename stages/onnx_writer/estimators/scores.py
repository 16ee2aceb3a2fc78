"""Sums of trees and linear terms, kept symbolic so that a whole blend becomes one node."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..graph import Graph
from ..preprocessing.columns import Matrix
from .trees import Tree, write


@dataclass(frozen=True)
class Term:
    """A graph tensor of shape (rows, targets).

    Attributes:
        tensor: its name.
        factor: what it counts for.
        equal: the same scores as a sum of trees and linear terms, but for rounding; None where
            they are no such sum.
    """

    tensor: str
    factor: float = 1.0
    equal: "Scores | None" = None


@dataclass(frozen=True)
class Scores:
    """One or more numbers for each row: offset + X @ weights + trees + tensors.

    Attributes:
        offset: shape (targets,).
        trees: each adds to its target.
        weights: shape (columns, targets), or None.
        tensors: terms that are in the graph already.
    """

    offset: npt.NDArray[np.float64]
    trees: tuple[Tree, ...] = ()
    weights: npt.NDArray[np.float64] | None = None
    tensors: tuple[Term, ...] = ()

    def scaled(self, factor: float) -> "Scores":
        """Return these scores times a factor."""
        return Scores(
            self.offset * factor,
            tuple(tree.scaled(factor) for tree in self.trees),
            None if self.weights is None else self.weights * factor,
            tuple(replace(term, factor=term.factor * factor) for term in self.tensors),
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

    def additive(self) -> "Scores | None":
        """Return these scores without tensors; None where they are no sum of trees and lines."""
        result = replace(self, tensors=())
        for term in self.tensors:
            inner = term.equal.additive() if term.equal else None
            if inner is None:
                return None
            result = result.plus(inner.scaled(term.factor))
        return result

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
        for term in self.tensors:
            scaled = term.tensor
            if term.factor != 1:
                scaled = graph.add("Mul", term.tensor, graph.constant(term.factor))
            terms.append(scaled)
        if not terms:
            # A constant answer still needs one row for each row of the input.
            first = graph.add("Gather", matrix.tensor, graph.constant([0], np.int64), axis=1)
            zero = graph.add("Sub", graph.constant(np.zeros(targets)), graph.constant(np.zeros(1)))
            terms.append(graph.add("Where", graph.add("IsNaN", first), zero, zero))
        total = terms[0]
        for tensor in terms[1:]:
            total = graph.add("Add", total, tensor)
        return graph.add("Add", total, graph.constant(offset)) if offset.any() else total


def total(parts: Sequence[Scores]) -> Scores:
    """Return the sum of at least one."""
    result = parts[0]
    for part in parts[1:]:
        result = result.plus(part)
    return result
