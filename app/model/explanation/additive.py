"""Exact Shapley values of a sum of trees and linear terms.

The game is the interventional one, with the raw features as players: what a coalition is worth
is the mean score over the background rows, with the coalition's features taken from the row
that is explained.

A leaf's value reaches the mixed row exactly where every feature on its path passes, each in
the row that it is taken from. So with `x` and `b`, the bits of the explained and the background
row, the features that pass in `x` alone (`p` of them) must all be in the coalition, and those
that pass in `b` alone (`q`) must all be out of it; a feature that passes in neither makes the
leaf worth nothing. The Shapley value of such a game has a closed form: `(p-1)! q! / (p+q)!` for
each of the first, `-p! (q-1)! / (p+q)!` for each of the second. It depends on a row through the
outcomes of a few tests: for groups of leaves it is tabulated over all of them, summed over the
background and the leaves.

Source: Lundberg et al., "From local explanations to global understanding with explainable AI
for trees", Nature Machine Intelligence 2 (2020), for the closed form; Nadel and Wettenstein,
"From decision trees to boolean logic: a fast and unified SHAP algorithm" (2025), for the tables.
"""

import numpy as np

from app.model.explanation.closed_form import Pairs
from app.model.explanation.paths import MAX_TESTS, Groups, Paths
from app.model.explanation.tables import Tables
from app.model.explanation.terms import Floats, Ints, Terms

TABLE_NUMBERS = 4_000_000  # in all tables, 8 bytes each; what is left is computed row by row

ROWS = 256  # that are explained together: enough for vectors, few enough for the caches


class Additive:
    """Explains one model against one background.

    Attributes:
        base: the mean score over the background, shape (targets,).
    """

    def __init__(
        self, terms: Terms, background: Floats, features: int, *, scored: bool = True
    ) -> None:
        """Prepare the tables.

        Args:
            terms: the model.
            background: the preprocessed background rows, shape (rows, columns).
            features: number of raw features.
            scored: whether scores are asked for, which take a sixth of the tables.
        """
        self._features = features
        self._scored = scored
        # What trees read may be missing; what linear terms read is not.
        self._linear = np.flatnonzero(terms.weights.any(axis=1))
        self._weights = terms.weights[self._linear]
        self._of_feature = np.eye(features)[terms.owner[self._linear]]
        self._mean = background[:, self._linear].mean(axis=0)
        lone = terms.root[terms.root < 0]
        self._offset = terms.offset + np.bincount(
            terms.target[~lone], terms.leaf[~lone], len(terms.offset)
        )
        paths = Paths(terms)
        self._columns = paths.columns
        groups = paths.groups(paths.tops)
        kept = _affordable(groups, features, scored=scored)
        if len(kept) < len(paths.tops):
            groups = paths.groups(paths.tops[kept])
        alone = paths.alone(np.setdiff1d(paths.asking, groups.leaf))
        ranks = paths.columns.ranks(background)
        self._parts: list[Tables | Pairs] = [Pairs(part, terms, ranks) for part in alone]
        target = terms.target[groups.leaf][groups.first_leaf]
        kind = target * (MAX_TESTS + 1) + groups.tests_of
        for one in np.unique(kind).tolist():
            chosen = np.flatnonzero(kind == one)
            self._parts.append(Tables(groups, chosen, terms, ranks, features, scored=scored))
        self.base = self._mean @ self._weights + self._offset
        for part in self._parts:
            self.base[part.target] += part.base

    def explain(self, matrix: Floats, target: int = 0) -> tuple[Floats, Floats]:
        """Explain rows.

        Args:
            matrix: the preprocessed rows, shape (rows, columns).
            target: which score.

        Returns:
            What each feature adds, shape (rows, features); and the scores, shape (rows,), which
            are NaN where they are not asked for.
        """
        linear, weights = matrix[:, self._linear], self._weights[:, target]
        values: Floats = (linear - self._mean) * weights @ self._of_feature
        scores: Floats = linear @ weights + (self._offset[target] if self._scored else np.nan)
        ranks = self._columns.ranks(matrix)
        parts = [part for part in self._parts if part.target == target]
        for start in range(0, len(matrix), ROWS):
            rows = slice(start, start + ROWS)
            block = np.ascontiguousarray(ranks[:, rows])
            total = np.zeros((self._features + 1, block.shape[1]))
            for part in parts:
                part.add(block, total)
            values[rows] += total[:-1].T
            scores[rows] += total[-1]
        return values, scores


def _affordable(groups: Groups, features: int, *, scored: bool) -> Ints:
    """The groups whose tables fit together into memory, beginning with the smallest."""
    slot_group = groups.leaf_group[groups.slot_leaf]
    pairs = np.unique(slot_group * features + groups.slot_feature) // features
    entries = np.bincount(pairs, minlength=len(groups.tests_of)) + scored
    numbers = entries << groups.tests_of
    order = np.argsort(groups.tests_of, kind="stable")
    return np.sort(order[np.cumsum(numbers[order]) <= TABLE_NUMBERS])
