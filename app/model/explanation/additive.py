"""Exact Shapley values of a sum of trees and linear terms.

The game is the interventional one, with the raw features as players: what a coalition is worth
is the mean score over the background rows, with the coalition's features taken from the row
that is explained.

A leaf's value reaches the mixed row exactly where every feature on its path passes, each in
the row that it is taken from. So with `x` and `b`, the bits of the explained and the background
row, the features that pass in `x` alone (`p` of them) must all be in the coalition, and those
that pass in `b` alone (`q`) must all be out of it; a feature that passes in neither makes the
leaf worth nothing. The Shapley value of such a game has a closed form: `(p-1)! q! / (p+q)!` for
each of the first, `-p! (q-1)! / (p+q)!` for each of the second. It depends on a row through as
many bits as the path has features: for short paths it is tabulated over all of them, summed
over the background.

Source: Lundberg et al., "From local explanations to global understanding with explainable AI
for trees", Nature Machine Intelligence 2 (2020), for the closed form; Nadel and Wettenstein,
"From decision trees to boolean logic: a fast and unified SHAP algorithm" (2025), for the tables.
"""

from abc import ABC, abstractmethod
from functools import cache
from math import factorial

import numpy as np
import numpy.typing as npt

from app.model.explanation.terms import Bits, Floats, Ints, Leaves, Ranks, Terms, take_apart

Codes = npt.NDArray[np.uint8]

# Tables hold at most this many numbers, 8 bytes each; longer paths are computed row by row.
TABLE_NUMBERS = 4_000_000
MAX_TABLE_WIDTH = 8  # bits of a byte
ROWS = 256  # rows that are explained together: enough for vectors, few enough for the caches
NUMBERS = 65_536  # bits that are looked at together, 8 bytes for each


class Additive:
    """Explains one model against one background.

    Attributes:
        base: the mean score over the background, shape (targets,).
    """

    def __init__(self, terms: Terms, background: Floats, features: int) -> None:
        """Prepare the tables.

        Args:
            terms: the model.
            background: the preprocessed background rows, shape (rows, columns).
            features: number of raw features.
        """
        self._features = features
        # What trees read may be missing; what linear terms read is not.
        self._linear = np.flatnonzero(terms.weights.any(axis=1))
        self._weights = terms.weights[self._linear]
        self._of_feature = np.eye(features)[terms.owner[self._linear]]
        self._mean = background[:, self._linear].mean(axis=0)
        self._paths = take_apart(terms)
        lone = terms.root[terms.root < 0]
        self._offset = terms.offset + np.bincount(
            terms.target[~lone], terms.leaf[~lone], len(terms.offset)
        )
        ranks = self._paths.ranks(background)
        left = TABLE_NUMBERS
        self._groups: list[_Group] = []
        for leaves in sorted(self._paths.groups, key=lambda leaves: leaves.width):
            numbers = len(leaves) * leaves.width * 2**leaves.width
            short = leaves.width <= MAX_TABLE_WIDTH and numbers <= left
            self._groups.append((_Tables if short else _Pairs)(leaves, ranks))
            left -= numbers if short else 0
        self.base = self._mean @ self._weights + self._offset
        for group in self._groups:
            self.base[group.leaves.target] += group.base

    def explain(self, matrix: Floats, target: int = 0) -> tuple[Floats, Floats]:
        """Explain rows.

        Args:
            matrix: the preprocessed rows, shape (rows, columns).
            target: which score.

        Returns:
            What each feature adds, shape (rows, features); and the scores, shape (rows,).
        """
        linear, weights = matrix[:, self._linear], self._weights[:, target]
        values: Floats = (linear - self._mean) * weights @ self._of_feature
        scores: Floats = linear @ weights + self._offset[target]
        ranks = self._paths.ranks(matrix)
        groups = [group for group in self._groups if group.leaves.target == target]
        for start in range(0, len(matrix), ROWS):
            rows = slice(start, start + ROWS)
            block = np.ascontiguousarray(ranks[:, rows])
            total = np.zeros((self._features, block.shape[1]))
            for group in groups:
                scores[rows] += group.add(block, total)
            values[rows] += total.T
        return values, scores


class _Group(ABC):
    """A group of leaves, explained in chunks that fit into the processor's caches."""

    def __init__(self, leaves: Leaves) -> None:
        self.leaves = leaves
        self.base = 0.0

    def add(self, ranks: Ranks, total: Floats) -> Floats:
        """Add what each feature adds to `total`, (features, rows); return the scores, (rows,)."""
        leaves, rows = self.leaves, ranks.shape[1]
        scores = np.zeros(rows)
        step = max(1, NUMBERS // (leaves.width * rows))
        for start in range(0, len(leaves), step):
            chunk = slice(start, start + step)
            passed = leaves.tests[:, chunk].passed(ranks)
            scores += leaves.value[chunk] @ passed.all(axis=0)
            feature = leaves.feature[:, chunk].ravel()
            _sum_by(feature, self._values(passed, chunk).reshape(len(feature), rows), total)
        return scores

    @abstractmethod
    def _values(self, passed: Bits, chunk: slice) -> Floats:
        """What each feature on each path adds, shape (width, leaves, rows)."""


class _Tables(_Group):
    """Short paths: what each feature adds, for each combination of bits."""

    def __init__(self, leaves: Leaves, background: Ranks) -> None:
        super().__init__(leaves)
        count, width, states = len(leaves), leaves.width, 2**leaves.width
        state = _state(leaves.tests.passed(background))
        place = np.arange(count)[:, None] * states + state
        share = np.bincount(place.ravel(), minlength=count * states).reshape(count, states)
        weighted = share * (leaves.value[:, None] / background.shape[1])
        self.base = float(weighted[:, -1].sum())
        # What one leaf gives one row lies side by side in memory.
        self._table = (weighted @ _kernel(width)).ravel()
        first = np.arange(count) * (states * width)
        self._start = (first + np.arange(width)[:, None])[:, :, None]

    def _values(self, passed: Bits, chunk: slice) -> Floats:
        row = _state(passed).astype(np.intp)
        row *= len(passed)
        values: Floats = self._table.take(self._start[:, chunk] + row, mode="clip")
        return values


class _Pairs(_Group):
    """Long paths: the closed form for each leaf and background row."""

    def __init__(self, leaves: Leaves, background: Ranks) -> None:
        super().__init__(leaves)
        passed = leaves.tests.passed(background)
        self.base = float(leaves.value @ passed.all(axis=0).mean(axis=1))
        self._share = leaves.value / background.shape[1]
        self._fails = ~passed.transpose(1, 0, 2)  # (leaves, width, background rows)

    def _values(self, passed: Bits, chunk: slice) -> Floats:
        x = passed.transpose(1, 0, 2)
        fails = self._fails[chunk].astype(np.float64)
        needed = fails.sum(axis=1)  # features that must come from the explained row
        possible = fails.transpose(0, 2, 1) @ x.astype(np.float64) == needed[:, :, None]
        out = len(passed) - x.sum(axis=1)  # features that must not
        inside, outside = _weights(len(passed))
        which = needed.astype(np.int64)[:, :, None], out[:, None, :]
        gain = fails @ (inside[which] * possible)
        loss = (outside[which] * possible).sum(axis=1)[:, None, :]
        values: Floats = self._share[chunk, None, None] * np.where(x, gain, -loss)
        return values.transpose(1, 0, 2)


def _state(passed: Bits) -> Codes:
    """Pack the bits of each path, (width, leaves, rows), into one number, (leaves, rows)."""
    bits = passed.view(np.uint8)
    state: Codes = bits[0].copy()
    for place in range(1, len(bits)):
        state |= bits[place] << np.uint8(place)
    return state


def _sum_by(feature: Ints, values: Floats, total: Floats) -> None:
    """Add each row of `values` to the row of `total` that `feature` names."""
    if values.shape[1] == 1:
        total[:, 0] += np.bincount(feature, values[:, 0], len(total))
        return
    occurs = np.zeros(len(total), dtype=bool)
    occurs[feature] = True
    members = np.zeros((np.count_nonzero(occurs), len(feature)))
    members[(np.cumsum(occurs) - 1)[feature], np.arange(len(feature))] = 1
    total[occurs] += members @ values


@cache
def _weights(width: int) -> tuple[Floats, Floats]:
    """The closed form for p features in and q out of the coalition, p + q <= width.

    Returns:
        What each of the p gains and what each of the q loses, both of shape (p, q).
    """
    inside = np.zeros((width + 1, width + 1))
    for p in range(1, width + 1):
        for q in range(width + 1 - p):
            inside[p, q] = factorial(p - 1) * factorial(q) / factorial(p + q)
    return inside, np.ascontiguousarray(inside.T)


def _kernel(width: int) -> Floats:
    """The closed form for every pair of background and explained bits.

    Returns:
        Shape (2**width background states, 2**width explained states * width features).
    """
    states = np.arange(2**width)
    bit = (states >> np.arange(width)[:, None] & 1).astype(bool)  # (width, states)
    b, x = bit[:, :, None], bit[:, None, :]
    p, q = (x & ~b).sum(axis=0), (b & ~x).sum(axis=0)
    possible = (b | x).all(axis=0)
    inside, outside = _weights(width)
    gain = np.where(possible, inside[np.where(possible, p, 0), np.where(possible, q, 0)], 0)
    loss = np.where(possible, outside[np.where(possible, p, 0), np.where(possible, q, 0)], 0)
    kernel: Floats = np.where(x & ~b, gain, 0) - np.where(b & ~x, loss, 0)
    return np.ascontiguousarray(kernel.transpose(1, 2, 0)).reshape(len(states), -1)
