"""Reads the trees of scikit-learn's estimators."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import NotConvertible
from .boosters import constant_tree, renumber
from .trees import Tree, at_most_float32

Floats = npt.NDArray[np.float64]


def leaf_values(tree: Any) -> Floats:
    """Return the values of all nodes of a fitted tree, shape (nodes, outputs)."""
    values = tree.tree_.value
    return np.asarray(values[:, 0, :], dtype=np.float64)


def sklearn_tree(tree: Any, values: Floats, target: int = 0) -> Tree:
    """Read one fitted tree.

    Args:
        tree: the fitted decision tree.
        values: the value of each node (nodes,), of which the leaves' are taken.
        target: the column of the result that the tree adds to.
    """
    nodes = tree.tree_
    inner, number = renumber(nodes.children_left < 0)
    if not inner.any():
        return constant_tree(values, target)
    return Tree(
        feature=nodes.feature[inner].astype(np.int64),
        threshold=at_most_float32(nodes.threshold[inner]),
        left=number[nodes.children_left[inner]],
        right=number[nodes.children_right[inner]],
        missing_left=nodes.missing_go_to_left[inner].astype(bool),
        leaf=values[~inner],
        target=target,
    )


def vector_trees(tree: Any, values: Floats) -> tuple[Tree, ...]:
    """Read a tree whose leaves hold one value for each target, as one tree per target.

    Args:
        tree: the fitted decision tree.
        values: shape (nodes, targets).
    """
    return tuple(sklearn_tree(tree, values[:, k], k) for k in range(values.shape[1]))


def boosting_start(model: Any, part: str) -> Floats:
    """Return the constant with which scikit-learn's gradient boosting starts, per target."""
    if model.init_ != "zero" and type(model.init_).__name__ not in (
        "DummyClassifier",
        "DummyRegressor",
    ):
        raise NotConvertible(part, "it starts from another estimator (init)")
    any_row = np.zeros((1, model.n_features_in_), dtype=np.float32)
    start: Floats = model._raw_predict_init(any_row)[0].astype(np.float64)
    return start
