"""A model that is a sum of trees and linear terms, taken apart into its leaves.

A leaf gives its value to the rows that satisfy the tests on its path. Two tests of one column
are one interval, so a path is at most one interval for each column; and what a raw feature has
to satisfy is one bit, the conjunction of the intervals of the columns computed from it.

Values are compared as ranks: how many of the thresholds that any tree has for the column lie
below. So a test is a subtraction and a comparison of small integers, many in one instruction.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.uint16]

MISSING = np.uint16(65_535)  # the rank of a missing value
MAX_THRESHOLDS = 65_534  # of one column


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


@dataclass(frozen=True)
class Intervals:
    """Tests `low <= rank <= low + span`; a missing value passes where `missing` says so.

    Attributes:
        column: the column that each reads; any shape, here called (tests).
        low: shape (tests, 1).
        span: shape (tests, 1).
        missing: shape (tests, 1).
    """

    column: Ints
    low: Ranks
    span: Ranks
    missing: Bits

    def __getitem__(self, chosen: Any) -> "Intervals":
        return Intervals(
            self.column[chosen], self.low[chosen], self.span[chosen], self.missing[chosen]
        )

    def passed(self, ranks: Ranks) -> Bits:
        """Test rows.

        Args:
            ranks: of each column's values, shape (columns, rows).

        Returns:
            Shape (tests, rows).
        """
        values = ranks.take(self.column, axis=0)
        missing = values == MISSING if (ranks == MISSING).any() else None
        values -= self.low  # what is below wraps around to large numbers
        passed: Bits = values <= self.span
        if missing is not None:
            passed |= missing & self.missing
        return passed


@dataclass(frozen=True)
class Joint:
    """Conjunctions of several intervals, of features that more than one column comes from.

    Attributes:
        tests: the intervals, those of a conjunction side by side.
        start: the first interval of each conjunction.
    """

    tests: Intervals
    start: Ints


@dataclass(frozen=True)
class Leaves:
    """Leaves that add to one target and whose paths ask the same number of features.

    Attributes:
        target: the target.
        width: how many features each path asks; at least 1.
        value: shape (leaves,).
        tests: one interval for each feature on each path, shape (width, leaves).
        feature: the feature of each.
    """

    target: int
    width: int
    value: Floats
    tests: Intervals
    feature: Ints

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True)
class Paths:
    """The paths of all trees.

    Attributes:
        edges: of each column, the thresholds in ascending order.
        joint: the features that more than one column comes from.
        groups: leaves that are alike; a tree of one leaf has no path.
    """

    edges: list[Floats]
    joint: Joint
    groups: list[Leaves]

    def ranks(self, matrix: Floats) -> Ranks:
        """Prepare rows for the tests.

        Args:
            matrix: shape (rows, columns).

        Returns:
            The ranks of the columns, then 0 or 1 for each conjunction; shape (columns, rows).
        """
        columns = len(self.edges)
        ranks = np.empty((columns + len(self.joint.start), len(matrix)), dtype=np.uint16)
        for column, edges in enumerate(self.edges):
            values = matrix[:, column]
            ranks[column] = edges.searchsorted(values)
            ranks[column][np.isnan(values)] = MISSING
        if len(self.joint.start):
            passed = self.joint.tests.passed(ranks[:columns])
            ranks[columns:] = np.logical_and.reduceat(passed, self.joint.start, axis=0)
        return ranks


def take_apart(terms: Terms) -> Paths:
    """Turn trees into the paths of their leaves.

    Raises:
        ValueError: a column has more thresholds than ranks.
    """
    edges = [np.unique(terms.threshold[terms.column == c]) for c in range(len(terms.owner))]
    if max(len(values) for values in edges) > MAX_THRESHOLDS:
        raise ValueError(f"a column has more than {MAX_THRESHOLDS:,} thresholds")
    leaf, tests = _tests(terms, edges)
    owner = terms.owner[tests.column]
    # They are sorted by leaf and column; now a leaf's tests of one feature side by side.
    order = np.lexsort((tests.column, owner, leaf))
    leaf, owner, tests = leaf[order], owner[order], tests[order]
    start = _starts(leaf, owner)
    joint, tests = _join(tests, start, len(terms.owner))
    leaf, feature = leaf[start], owner[start]
    width = np.bincount(leaf, minlength=len(terms.leaf))[leaf]
    target = terms.target[leaf]
    groups = []
    for one_target in range(len(terms.offset)):
        for one_width in np.unique(width[target == one_target]).tolist():
            chosen = np.flatnonzero((target == one_target) & (width == one_width))
            value = terms.leaf[leaf[chosen[::one_width]]]
            chosen = np.ascontiguousarray(chosen.reshape(-1, one_width).T)
            groups.append(Leaves(one_target, one_width, value, tests[chosen], feature[chosen]))
    return Paths(edges, joint, groups)


def _tests(terms: Terms, edges: list[Floats]) -> tuple[Ints, Intervals]:
    """Return the leaf of each test, and the tests, sorted by leaf and column."""
    rank = np.empty(len(terms.column), dtype=np.int64)  # the last one that goes left
    for column, values in enumerate(edges):
        chosen = terms.column == column
        rank[chosen] = values.searchsorted(terms.threshold[chosen])
    leaf, node, left = _conditions(terms)
    order = np.lexsort((terms.column[node], leaf))
    leaf, node, left = leaf[order], node[order], left[order]
    start = _starts(leaf, terms.column[node])
    if not len(start):
        nothing = np.empty((0, 1), dtype=np.uint16)
        return leaf, Intervals(leaf, nothing, nothing, nothing.astype(bool))
    low = np.maximum.reduceat(np.where(left, 0, rank[node] + 1), start)
    high = np.minimum.reduceat(np.where(left, rank[node], MAX_THRESHOLDS), start)
    missing = np.logical_and.reduceat(terms.missing_left[node] == left, start)
    # A path that no number can take, but a missing value perhaps: no rank is in the interval.
    low, high = np.where(low > high, MISSING - 1, low), np.where(low > high, MISSING - 1, high)
    return leaf[start], Intervals(
        terms.column[node[start]],
        low.astype(np.uint16)[:, None],
        (high - low).astype(np.uint16)[:, None],
        missing[:, None],
    )


def _conditions(terms: Terms) -> tuple[Ints, Ints, Bits]:
    """Return, for each leaf and node above it: the leaf, the node, whether the path goes left."""
    nodes, leaves = len(terms.column), len(terms.leaf)
    parent = np.full(nodes + leaves, -1)  # of the inner nodes, then of the leaves
    is_left = np.zeros(nodes + leaves, dtype=bool)
    for child, side in ((terms.left, True), (terms.right, False)):
        place = np.where(child >= 0, child, nodes + ~child)
        parent[place], is_left[place] = np.arange(nodes), side
    leaf = np.arange(leaves)
    below = nodes + leaf
    steps: list[tuple[Ints, Ints]] = [(leaf[:0], below[:0])]
    while len(leaf):
        inside = parent[below] >= 0
        leaf, below = leaf[inside], below[inside]
        steps.append((leaf, below))
        below = parent[below]
    all_below = np.concatenate([step[1] for step in steps])
    return np.concatenate([step[0] for step in steps]), parent[all_below], is_left[all_below]


def _join(tests: Intervals, start: Ints, columns: int) -> tuple[Joint, Intervals]:
    """Replace each group of tests by one: its own, or one of a conjunction's column."""
    size = np.diff(start, append=len(tests.column))
    chosen = tests[start]
    members: list[Ints] = []
    number: dict[tuple[bytes, ...], int] = {}
    for group in np.flatnonzero(size > 1).tolist():
        inside = np.arange(start[group], start[group] + size[group])
        alike = tests[inside]
        key = tuple(part.tobytes() for part in (alike.column, alike.low, alike.span, alike.missing))
        if key not in number:
            number[key] = len(members)
            members.append(inside)
        chosen.column[group] = columns + number[key]
        chosen.low[group], chosen.span[group], chosen.missing[group] = 1, 0, False
    sizes = [0, *(len(inside) for inside in members)]
    together = np.concatenate([start[:0], *members])
    return Joint(tests[together], np.cumsum(sizes)[:-1]), chosen


def _starts(first: Ints, second: Ints) -> Ints:
    """Return where a pair of values differs from the one before."""
    return np.flatnonzero(np.diff(first, prepend=-1) | np.diff(second, prepend=-1))
