"""Decision trees in one canonical form, and the writer that turns them into one graph node.

Every library's trees become `x <= threshold` in float64. Where a library rounds x to float32
before it compares, the threshold moves to the last float64 that rounds to the same side, so the
graph needs no cast, and the trees of several libraries can share one node. Only XGBoost, which
also sums in float32, keeps a node in float32, to sum the same numbers in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper

from ..graph import ML_DOMAIN, Graph
from ..preprocessing.columns import Matrix

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """One tree that adds to one target.

    Arrays over the inner nodes, node 0 is the root. A child is the index of an inner node,
    or `~leaf`, a negative number, for a leaf. A tree without inner nodes is its leaf 0.

    Attributes:
        feature: the column that the node reads.
        threshold: the node takes `left` where the value is at most this.
        left: child taken where the comparison holds.
        right: child taken where it does not.
        missing_left: whether a missing value takes `left`.
        leaf: values over the leaves.
        target: the column of the result that the tree adds to.
    """

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing_left: npt.NDArray[np.bool_]
    leaf: Floats
    target: int = 0

    def scaled(self, factor: float) -> "Tree":
        """Return the tree with its leaves multiplied."""
        return replace(self, leaf=self.leaf * factor)

    def raised(self, value: float) -> "Tree":
        """Return the tree with a number added to each of its leaves."""
        return replace(self, leaf=self.leaf + value)


def below_float32(bound: npt.NDArray[np.float32]) -> Floats:
    """Return the largest float64 x for which float32(x) < bound holds."""
    with np.errstate(over="ignore"):
        previous = np.nextafter(bound, np.float32(-np.inf))
        middle = (_extended(previous) + _extended(bound)) / 2
        # The middle rounds to the even neighbour, which is the bound itself half the time.
        is_below = middle.astype(np.float32) < bound
    return np.where(is_below, middle, np.nextafter(middle, -np.inf))


def at_most_float32(bound: Floats) -> Floats:
    """Return the largest float64 x for which float32(x) <= bound holds."""
    with np.errstate(over="ignore"):
        nearest = bound.astype(np.float32)
        floor = np.where(nearest > bound, np.nextafter(nearest, np.float32(-np.inf)), nearest)
        above = np.nextafter(floor, np.float32(np.inf))
    return np.where(np.isinf(bound), bound, below_float32(above))


def _extended(values: npt.NDArray[np.float32]) -> Floats:
    """Return float64 values, with infinity where float32 would continue if it could."""
    return np.clip(values.astype(np.float64), -(2.0**128), 2.0**128)


def write(graph: Graph, matrix: Matrix, trees: Sequence[Tree], targets: int) -> str:
    """Add the node that sums the trees' leaves.

    Args:
        graph: receives the node.
        matrix: the columns that the trees read.
        trees: each with at least one inner node.
        targets: number of columns of the result.

    Returns:
        The name of a float64 tensor of shape (rows, targets).
    """
    return _write(graph, matrix, trees, targets, np.float64)


def write_float32(
    graph: Graph, matrix: Matrix, trees: Sequence[Tree], start: npt.NDArray[np.float32]
) -> str:
    """Add the nodes that sum the trees' leaves in float32, one after the other.

    Args:
        graph: receives the nodes.
        matrix: the columns that the trees read.
        trees: with leaves that are float32 numbers.
        start: what the sum of each target starts from, shape (targets,).

    Returns:
        The name of a float64 tensor of shape (rows, targets).
    """
    constants = [_stump(float(value), target) for target, value in enumerate(start)]
    steps = [tree if len(tree.feature) else _stump(tree.leaf[0], tree.target) for tree in trees]
    rounded = graph.add("Cast", matrix.tensor, to=TensorProto.FLOAT)
    if matrix.tensor in graph.complete:
        graph.complete.add(rounded)
    # The threshold that is the last float64 on its side rounds to the last float32 on it.
    rounded_matrix = Matrix(rounded, matrix.positions, matrix.size)
    summed = _write(graph, rounded_matrix, [*constants, *steps], len(start), np.float32)
    return graph.add("Cast", summed, to=TensorProto.DOUBLE)


def _stump(value: float, target: int) -> Tree:
    """Return a tree that asks something and answers the same either way."""
    leaf = np.array([~0])
    return Tree(
        feature=np.array([0]),
        threshold=np.zeros(1),
        left=leaf,
        right=leaf,
        missing_left=np.zeros(1, dtype=bool),
        leaf=np.array([value]),
        target=target,
    )


def _write(
    graph: Graph, matrix: Matrix, trees: Sequence[Tree], targets: int, dtype: npt.DTypeLike
) -> str:
    nodes = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    leaves = np.cumsum([0, *(len(tree.leaf) for tree in trees)])

    def children(sides: list[Ints]) -> Ints:
        return np.concatenate(
            [
                np.where(side >= 0, side + first_node, ~side + first_leaf)
                for side, first_node, first_leaf in zip(sides, nodes, leaves, strict=False)
            ]
        )

    left, right = [tree.left for tree in trees], [tree.right for tree in trees]
    missing_left = np.concatenate([tree.missing_left for tree in trees])
    if matrix.tensor in graph.complete:
        # ONNX Runtime looks for missing values only where some node takes them to the left.
        missing_left = np.zeros_like(missing_left)
    attributes: dict[str, npt.NDArray[Any]] = {
        "tree_roots": nodes[:-1],
        "nodes_featureids": matrix.positions[np.concatenate([tree.feature for tree in trees])],
        "nodes_truenodeids": children(left),
        "nodes_falsenodeids": children(right),
        "nodes_trueleafs": np.concatenate(left) < 0,
        "nodes_falseleafs": np.concatenate(right) < 0,
        "nodes_missing_value_tracks_true": missing_left,
        "leaf_targetids": np.repeat([tree.target for tree in trees], np.diff(leaves)),
    }
    tensors = {
        "nodes_splits": np.concatenate([tree.threshold for tree in trees]).astype(dtype),
        "nodes_modes": np.zeros(nodes[-1], dtype=np.uint8),
        "leaf_weights": np.concatenate([tree.leaf for tree in trees]).astype(dtype),
    }
    return graph.add(
        "TreeEnsemble",
        matrix.tensor,
        domain=ML_DOMAIN,
        n_targets=targets,
        aggregate_function=1,
        post_transform=0,
        **{name: values.astype(np.int64).tolist() for name, values in attributes.items()},
        **{name: numpy_helper.from_array(values) for name, values in tensors.items()},
    )
