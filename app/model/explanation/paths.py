"""Takes trees apart into groups of leaves that are explained together.

A leaf gives its value to the rows that pass the tests on its path. Two tests of one column are
one interval, and what a path asks of a feature is one bit: the conjunction of its intervals. The
leaves below one node share what is asked above it; so they are taken together, with one test for
each feature asked above, and one for each node below, as long as these are few.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.model.explanation.intervals import MAX_THRESHOLDS, Columns, Intervals
from app.model.explanation.terms import Bits, Ints, Terms

# Tests of a group: the bits of a byte. A table over their outcomes holds 2 to the power of them.
MAX_TESTS = 8


@dataclass(frozen=True)
class Groups:
    """Leaves below one node each. Arrays over the tests, the leaves' features, the leaves.

    Attributes:
        tests: one after the other, group by group.
        test_feature: the feature of each test.
        first_test: of each group, and one more.
        leaf: the leaves of all groups.
        leaf_group: the group of each.
        slot_leaf: for each leaf and feature on its path: which of `leaf`, ascending.
        slot_feature: the feature.
        slot_masks: the group's tests, as bits, that the path asks of it.
        slot_passed: those of them that must pass; the others must not.
    """

    tests: Intervals
    test_feature: Ints
    first_test: Ints
    leaf: Ints
    leaf_group: Ints
    slot_leaf: Ints
    slot_feature: Ints
    slot_masks: Ints
    slot_passed: Ints

    @property
    def tests_of(self) -> Ints:
        """The number of tests of each group."""
        return np.diff(self.first_test)

    @property
    def first_leaf(self) -> Ints:
        """One of `leaf` for each group."""
        return np.unique(self.leaf_group, return_index=True)[1]


@dataclass(frozen=True)
class Alone:
    """Leaves whose paths ask too many features for a table, all of them equally many.

    Attributes:
        target: the one that they add to.
        leaf: shape (leaves,).
        tests: one interval for each feature on each path, shape (width, leaves).
        feature: the feature of each.
    """

    target: int
    leaf: Ints
    tests: Intervals
    feature: Ints


class Paths:
    """Every node and leaf of the trees, and the way to it.

    Items are the inner nodes, and then the leaves.

    Attributes:
        columns: what the tests read.
        tops: the items below which leaves are taken together, ascending.
        asking: the leaves that ask anything, ascending.
    """

    def __init__(self, terms: Terms) -> None:
        self.columns = Columns(terms)
        self._terms = terms
        nodes, leaves = len(terms.column), len(terms.leaf)
        self._nodes = nodes
        self._parent = np.full(nodes + leaves, -1)
        self._is_left = np.zeros(nodes + leaves, dtype=bool)
        for child, side in ((terms.left, True), (terms.right, False)):
            place = np.where(child >= 0, child, nodes + ~child)
            self._parent[place], self._is_left[place] = np.arange(nodes), side
        self._item, self._node, self._left = self._ways()
        owner = terms.owner[terms.column[self._node]]
        features = np.bincount(_pairs(self._item, owner)[0], minlength=nodes + leaves)
        inner = np.bincount(self._node[self._item < nodes], minlength=nodes + leaves)
        inner[:nodes] += 1
        tests = features + inner
        fits = (tests > 0) & (tests <= MAX_TESTS)  # a tree of one leaf asks nothing
        above = (self._parent >= 0) & fits[self._parent]
        self._asked = features
        self.tops = np.flatnonzero(fits & ~above)
        self.asking = np.flatnonzero(features[nodes:] > 0)

    def _ways(self) -> tuple[Ints, Ints, Bits]:
        """For each item and node above it: the item, the node, whether the way goes left."""
        item = below = np.arange(len(self._parent))
        steps = [(item[:0], item[:0])]
        while len(item):
            inside = self._parent[below] >= 0
            item, below = item[inside], below[inside]
            steps.append((item, below))
            below = self._parent[below]
        items = np.concatenate([step[0] for step in steps])
        belows = np.concatenate([step[1] for step in steps])
        return items, self._parent[belows], self._is_left[belows]

    def _asked_above(self, items: Bits) -> tuple[Ints, Ints, Intervals]:
        """What is asked on the way to some items: the item, the feature, the test."""
        terms = self._terms
        chosen = items[self._item]
        item, node, left = self._item[chosen], self._node[chosen], self._left[chosen]
        order = np.lexsort((terms.column[node], item))
        item, node, left = item[order], node[order], left[order]
        column, rank = terms.column[node], self.columns.rank[node]
        start = _starts(item, column)
        low = _reduced(np.maximum, np.where(left, 0, rank + 1), start)
        high = _reduced(np.minimum, np.where(left, rank, MAX_THRESHOLDS), start)
        missing = _reduced(np.logical_and, terms.missing_left[node] == left, start)
        item, column = item[start], column[start]
        tests = Intervals.between(column, low, high, missing)
        owner = terms.owner[column]
        order = np.lexsort((column, owner, item))
        item, owner, tests = item[order], owner[order], tests[order]
        start = _starts(item, owner)
        return item[start], owner[start], self.columns.joined(tests, start)

    def groups(self, tops: Ints) -> Groups:
        """Take the leaves below each of some tops together."""
        terms, nodes = self._terms, self._nodes
        number = np.full(len(self._parent), -1)
        number[tops] = np.arange(len(tops))
        group = number.copy()  # of each item
        below = number[self._node] >= 0
        group[self._item[below]] = number[self._node[below]]
        is_top = number >= 0
        item, above_feature, above = self._asked_above(is_top)
        inner = np.flatnonzero(group[:nodes] >= 0)
        splits = Intervals.between(
            terms.column[inner],
            np.zeros(len(inner), np.int64),
            self.columns.rank[inner],
            terms.missing_left[inner],
        )
        of_group = np.concatenate([group[item], group[inner]])
        order = np.argsort(of_group, kind="stable")
        count = np.bincount(of_group, minlength=len(tops))
        first_test = np.concatenate([[0], np.cumsum(count)])
        bit = np.empty(len(of_group), np.int64)
        bit[order] = 1 << (np.arange(len(of_group)) - first_test[of_group[order]])
        feature = np.concatenate([above_feature, terms.owner[terms.column[inner]]])
        # What each leaf asks: all that is asked above the top, and of the nodes on its way.
        leaf = np.flatnonzero(group[nodes:] >= 0)
        place = np.full(len(self._parent), -1)
        place[nodes + leaf] = np.arange(len(leaf))
        bit_of_node = np.zeros(nodes, np.int64)
        bit_of_node[inner] = bit[len(item) :]
        inside = (place[self._item] >= 0) & (bit_of_node[self._node] > 0)
        on_way, node, left = self._item[inside], self._node[inside], self._left[inside]
        shared_leaf, shared_test = _matched(group[nodes + leaf], group[item], len(tops))
        asks = np.concatenate([shared_leaf, place[on_way]])
        of_feature = np.concatenate([above_feature[shared_test], terms.owner[terms.column[node]]])
        masks = np.concatenate([bit[: len(item)][shared_test], bit_of_node[node]])
        passed = np.concatenate([bit[: len(item)][shared_test], bit_of_node[node] * left])
        sort = np.lexsort((of_feature, asks))
        start = _starts(asks[sort], of_feature[sort])
        return Groups(
            tests=above.followed_by(splits)[order],
            test_feature=feature[order],
            first_test=first_test,
            leaf=leaf,
            leaf_group=group[nodes + leaf],
            slot_leaf=asks[sort][start],
            slot_feature=of_feature[sort][start],
            slot_masks=_reduced(np.bitwise_or, masks[sort], start),
            slot_passed=_reduced(np.bitwise_or, passed[sort], start),
        )

    def alone(self, leaves: Ints) -> list[Alone]:
        """Take leaves by themselves, in groups of one target and equally many features."""
        items = np.zeros(len(self._parent), dtype=bool)
        items[self._nodes + leaves] = True
        item, feature, tests = self._asked_above(items)
        width, target = self._asked[item], self._terms.target[item - self._nodes]
        result = []
        for one_target, one in np.unique(np.stack([target, width]), axis=1).T.tolist():
            chosen = np.flatnonzero((target == one_target) & (width == one))
            chosen = np.ascontiguousarray(chosen.reshape(-1, one).T)
            leaf = item[chosen[0]] - self._nodes
            result.append(Alone(one_target, leaf, tests[chosen], feature[chosen]))
        return result


def _starts(first: Ints, second: Ints) -> Ints:
    """Where a pair of values differs from the one before."""
    return np.flatnonzero(np.diff(first, prepend=-1) | np.diff(second, prepend=-1))


def _pairs(first: Ints, second: Ints) -> tuple[Ints, Ints]:
    """The distinct pairs of two arrays of numbers from 0."""
    base = int(second.max(initial=0)) + 1
    distinct = np.unique(first * base + second)
    return distinct // base, distinct % base


def _reduced(operation: np.ufunc, values: npt.NDArray[Any], start: Ints) -> npt.NDArray[Any]:
    """Reduce the values of each run; an empty array stays empty."""
    if not len(start):
        return values
    reduced: npt.NDArray[Any] = operation.reduceat(values, start)
    return reduced


def _matched(group: Ints, sorted_group: Ints, groups: int) -> tuple[Ints, Ints]:
    """All pairs of places in two arrays where the group is the same; the second is ascending."""
    count = np.bincount(sorted_group, minlength=groups)
    first = np.cumsum(count) - count
    times = count[group]
    one = np.repeat(np.arange(len(group)), times)
    within = np.arange(len(one)) - np.repeat(np.cumsum(times) - times, times)
    return one, np.repeat(first[group], times) + within
