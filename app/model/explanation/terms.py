"""The terms of a model that is a sum of trees and linear terms, as plain arrays."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Terms:
    """Scores of shape (rows, targets): offset + columns @ weights + trees.

    The trees stand one after the other. A child is the number of an inner node, or `~leaf`.

    Attributes:
        owner: for each column of the preprocessed matrix, the feature it is computed from.
        offset: shape (targets,).
        weights: shape (columns, targets).
        root: first node of each tree, or `~leaf` where it has none.
        column: the column that a node reads.
        threshold: a node takes `left` where the value is at most this.
        left: child taken where the comparison holds.
        right: child taken where it does not.
        missing_left: whether a missing value takes `left`.
        leaf: values over the leaves.
        target: of each leaf, the target that it adds to.
    """

    owner: Ints
    offset: Floats
    weights: Floats
    root: Ints
    column: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing_left: Bits
    leaf: Floats
    target: Ints

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
