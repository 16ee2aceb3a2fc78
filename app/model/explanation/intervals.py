"""Tests of rows, as the trees of a model make them.

Values are compared as ranks: how many of the thresholds that any tree has for the column lie
below. So a test is a subtraction and a comparison of small integers, many in one instruction.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.model.explanation.terms import Bits, Floats, Ints, Terms

Ranks = npt.NDArray[np.uint16]

MISSING = np.uint16(65_535)  # the rank of a missing value
MAX_THRESHOLDS = 65_533  # of one column; no rank is between these two


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

    @classmethod
    def between(cls, column: Ints, low: Ints, high: Ints, missing: Bits) -> "Intervals":
        """Make tests `low <= rank <= high`, all arrays of shape (tests,)."""
        # No number can pass where the bounds cross, but a missing value perhaps.
        crossed = low > high
        low, high = np.where(crossed, MISSING - 1, low), np.where(crossed, MISSING - 1, high)
        span = (high - low).astype(np.uint16)
        return cls(column, low.astype(np.uint16)[:, None], span[:, None], missing[:, None])

    def __getitem__(self, chosen: Any) -> "Intervals":
        return Intervals(
            self.column[chosen], self.low[chosen], self.span[chosen], self.missing[chosen]
        )

    def followed_by(self, other: "Intervals") -> "Intervals":
        """Chain two of shape (tests,)."""
        return Intervals(
            np.concatenate([self.column, other.column]),
            np.concatenate([self.low, other.low]),
            np.concatenate([self.span, other.span]),
            np.concatenate([self.missing, other.missing]),
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


class Columns:
    """The columns that trees read; and, as further ones, conjunctions of several tests.

    Attributes:
        rank: of each node's threshold; a value goes left where its own is at most this.
    """

    def __init__(self, terms: Terms) -> None:
        """Rank the thresholds.

        Raises:
            ValueError: a column has too many.
        """
        columns = range(len(terms.owner))
        self._edges = [np.unique(terms.threshold[terms.column == column]) for column in columns]
        if max(map(len, self._edges), default=0) > MAX_THRESHOLDS:
            raise ValueError(f"a column has more than {MAX_THRESHOLDS:,} thresholds")
        self.rank = np.empty(len(terms.column), dtype=np.int64)
        for column, edges in enumerate(self._edges):
            chosen = terms.column == column
            self.rank[chosen] = edges.searchsorted(terms.threshold[chosen])
        self._members: list[Intervals] = []
        self._number: dict[tuple[bytes, ...], int] = {}

    def joined(self, tests: Intervals, start: Ints) -> Intervals:
        """Replace each group of tests, which must all pass, by one test.

        Args:
            tests: those of a group side by side.
            start: the first of each group.
        """
        size = np.diff(start, append=len(tests.column))
        chosen = tests[start]
        for group in np.flatnonzero(size > 1).tolist():
            members = tests[start[group] : start[group] + size[group]]
            chosen.column[group] = len(self._edges) + self._conjunction(members)
            chosen.low[group], chosen.span[group], chosen.missing[group] = 1, 0, False
        return chosen

    def _conjunction(self, members: Intervals) -> int:
        key = tuple(
            part.tobytes() for part in (members.column, members.low, members.span, members.missing)
        )
        if key not in self._number:
            self._number[key] = len(self._members)
            self._members.append(members)
        return self._number[key]

    def ranks(self, matrix: Floats) -> Ranks:
        """Prepare rows for the tests.

        Args:
            matrix: shape (rows, columns).

        Returns:
            The ranks of the columns, then 0 or 1 for each conjunction; shape (columns, rows).
        """
        count = len(self._edges)
        ranks = np.empty((count + len(self._members), len(matrix)), dtype=np.uint16)
        for column, edges in enumerate(self._edges):
            values = matrix[:, column]
            ranks[column] = edges.searchsorted(values)
            ranks[column][np.isnan(values)] = MISSING
        for number, members in enumerate(self._members):
            ranks[count + number] = members.passed(ranks[:count]).all(axis=0)
        return ranks
