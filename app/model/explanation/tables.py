"""What groups of leaves add, tabulated over the outcomes of their tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from app.model.explanation.closed_form import kernel
from app.model.explanation.intervals import Ranks
from app.model.explanation.paths import Groups
from app.model.explanation.terms import Bits, Floats, Ints, Terms

Codes = npt.NDArray[np.uint8]

ENTRIES = 400  # looked up together, for each of the rows


@dataclass(frozen=True)
class Chunk:
    """Groups that are looked up together.

    Attributes:
        groups: which of the tables' groups.
        entries: which entries.
        group: of each entry, among the chunk's.
        runs: the entries of each feature: (feature, first, one after the last).
    """

    groups: slice
    entries: slice
    group: Ints
    runs: list[tuple[int, int, int]]


class Tables:
    """Groups with the same number of tests, all adding to one target.

    An entry is a feature of a group; or, in place of a feature and where it is asked for, the score
    itself, which comes after the last one. It has a number for each state: the outcomes of the
    group's tests, as bits.

    Attributes:
        target: the target.
        base: the mean score over the background.
    """

    def __init__(
        self,
        groups: Groups,
        chosen: Ints,
        terms: Terms,
        background: Ranks,
        features: int,
        *,
        scored: bool,
    ) -> None:
        """Make the tables.

        Args:
            groups: all groups.
            chosen: those of these tables, ascending.
            terms: the model.
            background: the ranks of the background rows.
            features: number of features.
            scored: whether there are entries for the score.
        """
        tests = int(groups.tests_of[chosen[0]])
        self._tests = groups.tests[groups.first_test[chosen] + np.arange(tests)[:, None]]
        self._states = 2**tests
        number = np.full(len(groups.tests_of), -1)
        number[chosen] = np.arange(len(chosen))
        leaf_group = number[groups.leaf_group]
        slots = np.flatnonzero(leaf_group[groups.slot_leaf] >= 0)
        slot_group = leaf_group[groups.slot_leaf[slots]]
        all_groups = np.arange(len(chosen))
        step = max(1, ENTRIES * len(chosen) // (len(slots) + len(chosen)))
        # Entries stand chunk by chunk, in each feature by feature.
        first_key = all_groups // step * (features + 1) * len(chosen) + all_groups

        def keys(group: Ints, feature: npt.ArrayLike) -> Ints:
            key: Ints = first_key[group] + np.asarray(feature) * len(chosen)
            return key

        slot_key = keys(slot_group, groups.slot_feature[slots])
        score_key = keys(all_groups, features)
        entry_key = np.unique(np.concatenate([slot_key, score_key] if scored else [slot_key]))
        self._group = entry_key % len(chosen)
        self._feature = entry_key // len(chosen) % (features + 1)
        self._chunks = list(self._divide(step, len(chosen)))
        self._table = np.zeros((len(entry_key), self._states))
        state = packed(self._tests.passed(background))
        width = np.bincount(groups.slot_leaf[slots], minlength=len(leaf_group))[
            groups.slot_leaf[slots]
        ]
        self.base = 0.0
        for one in np.unique(width).tolist():
            some = slots[width == one].reshape(-1, one)
            leaf = groups.slot_leaf[some[:, 0]]
            group = leaf_group[leaf]
            value = terms.leaf[groups.leaf[leaf]]
            entry = entry_key.searchsorted(slot_key[width == one].reshape(-1, one))
            score = entry_key.searchsorted(score_key[group]) if scored else None
            masks, ones = groups.slot_masks[some], groups.slot_passed[some]
            self._add_leaves(value, masks, ones, state[group], entry, score)
        self._lay_out()
        self.target = int(terms.target[groups.leaf[leaf[0]]])

    def _lay_out(self) -> None:
        """Put what a group gives one row side by side in memory: one read instead of many."""
        order = np.argsort(self._group, kind="stable")
        self._width = np.bincount(self._group)[:, None]
        first = np.cumsum(self._width)[:, None] - self._width
        self._slot = np.empty((len(order), 1), dtype=np.int64)
        self._slot[order, 0] = np.arange(len(order)) - first[self._group[order], 0]
        self._first = first * self._states
        state = np.arange(self._states)
        place = (self._first + state * self._width)[self._group] + self._slot
        flat = np.empty(self._table.size)
        flat[place] = self._table
        self._table = flat

    def _divide(self, step: int, groups: int) -> Iterator[Chunk]:
        chunk_of = self._group // step
        edges = chunk_of.searchsorted(np.arange(-(-groups // step) + 1))
        for number, (first, last) in enumerate(pairwise(edges.tolist())):
            feature = self._feature[first:last]
            ends = [*np.flatnonzero(np.diff(feature)) + 1, last - first]
            runs = [(int(feature[a]), int(a), int(b)) for a, b in pairwise([0, *ends])]
            groups_of = slice(number * step, (number + 1) * step)
            yield Chunk(
                groups_of, slice(first, last), self._group[first:last] - groups_of.start, runs
            )

    def _add_leaves(
        self,
        value: Floats,
        masks: Ints,
        ones: Ints,
        background: Codes,
        entry: Ints,
        score: Ints | None,
    ) -> None:
        """Add what leaves with equally many features give.

        Args:
            value: shape (leaves,).
            masks: the bits of the state that each feature depends on, shape (leaves, width).
            ones: those of them that must be 1.
            background: the states of the background rows, shape (leaves, rows).
            entry: of each leaf's features, shape (leaves, width).
            score: the entry of the score, shape (leaves,), where there is one.
        """
        leaves, width = masks.shape
        outcomes = 2**width

        def outcome(state: npt.NDArray[np.integer]) -> Ints:
            bits = [
                ((state & masks[:, [place]]) == ones[:, [place]]).astype(np.int64) << place
                for place in range(width)
            ]
            total: Ints = np.sum(bits, axis=0)
            return total

        place = np.arange(leaves)[:, None] * outcomes + outcome(background)
        share = np.bincount(place.ravel(), minlength=leaves * outcomes).reshape(leaves, -1)
        weighted = share * (value[:, None] / background.shape[1])
        self.base += float(weighted[:, -1].sum())
        adds = (weighted @ kernel(width)).reshape(leaves, width, outcomes)
        own = outcome(np.arange(self._states)[None])
        for column in range(width):
            values = np.take_along_axis(adds[:, column], own, axis=1)
            np.add.at(self._table, entry[:, column], values)
        if score is not None:
            np.add.at(self._table, score, value[:, None] * (own == outcomes - 1))

    def add(self, ranks: Ranks, total: Floats) -> None:
        """Add what each feature adds, and last any score, to `total`, (features + 1, rows)."""
        if ranks.shape[1] == 1:  # all in one go; runs would take longer than their sums
            place = (
                self._first[:, 0] + packed(self._tests.passed(ranks)[:, :, 0]) * self._width[:, 0]
            )
            values = self._table.take(place.take(self._group) + self._slot[:, 0], mode="clip")
            total[:, 0] += np.bincount(self._feature, values, len(total))
            return
        for chunk in self._chunks:
            state = packed(self._tests[:, chunk.groups].passed(ranks))
            first = self._first[chunk.groups] + state * self._width[chunk.groups]
            place = first.take(chunk.group, axis=0)
            place += self._slot[chunk.entries]
            values = self._table.take(place, mode="clip")
            for feature, start, stop in chunk.runs:
                total[feature] += values[start:stop].sum(axis=0)


def packed(passed: Bits) -> Codes:
    """Pack bits of shape (tests, ..., rows), at most eight, into one number, (..., rows)."""
    bits = passed.view(np.uint8)
    state: Codes = bits[0].copy()
    for place in range(1, len(bits)):
        state |= bits[place] << np.uint8(place)
    return state
