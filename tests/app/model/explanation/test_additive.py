"""Random trees and lines, against the definition of Shapley values."""

import itertools
from math import factorial

import numpy as np
import numpy.typing as npt
import pytest

from app.model.explanation import additive
from app.model.explanation.additive import Additive
from app.model.explanation.closed_form import Pairs
from app.model.explanation.tables import Tables
from app.model.explanation.terms import Terms

Floats = npt.NDArray[np.float64]


def random_terms(seed: int, owner: list[int], inner: int, targets: int = 1) -> Terms:
    """Twelve trees of `inner` nodes each, one of no node, and weights for the first column."""
    draw = np.random.default_rng(seed)
    columns: list[int] = []
    thresholds: list[float] = []
    sides: list[list[int]] = [[], []]
    roots, leaves, targets_of = [], 1, [0]
    for tree in range(12):
        first = len(columns)
        roots.append(first)
        open_ends: list[tuple[int, int]] = []
        for node in range(first, first + inner):
            if open_ends:
                parent, side = open_ends.pop(draw.integers(len(open_ends)))
                sides[side][parent] = node
            columns.append(int(draw.integers(len(owner))))
            thresholds.append(round(float(draw.normal()), 1))
            for side in (0, 1):
                sides[side].append(0)
                open_ends.append((node, side))
        for parent, side in open_ends:
            sides[side][parent] = ~leaves
            targets_of.append(tree % targets)
            leaves += 1
    weights = np.zeros((len(owner), targets))
    weights[0] = draw.normal(size=targets)
    return Terms(
        owner=np.array(owner),
        offset=draw.normal(size=targets),
        weights=weights,
        root=np.array([*roots, ~0]),
        column=np.array(columns),
        threshold=np.array(thresholds),
        left=np.array(sides[0]),
        right=np.array(sides[1]),
        missing_left=draw.random(len(columns)) < 0.5,
        leaf=draw.normal(size=leaves),
        target=np.array(targets_of),
    )


def answer(terms: Terms, matrix: Floats, target: int) -> Floats:
    """The score of each row, one row and one tree at a time."""
    linear: Floats = matrix[:, :1] @ terms.weights[:1, target]
    scores: Floats = terms.offset[target] + linear
    for row, values in enumerate(matrix):
        for root in terms.root:
            node = int(root)
            while node >= 0:
                value = values[terms.column[node]]
                left = (
                    terms.missing_left[node] if np.isnan(value) else value <= terms.threshold[node]
                )
                node = int(terms.left[node] if left else terms.right[node])
            if terms.target[~node] == target:
                scores[row] += terms.leaf[~node]
    return scores


def by_definition(
    terms: Terms, row: Floats, background: Floats, features: int, target: int
) -> Floats:
    coalitions = np.array(list(itertools.product([False, True], repeat=features)))
    mixed = np.where(coalitions[:, None, terms.owner], row, background)
    flat = mixed.reshape(-1, len(row))
    distinct, place = np.unique(flat, axis=0, return_inverse=True)
    worth = answer(terms, distinct, target)[place].reshape(len(coalitions), -1).mean(axis=1)
    values = np.zeros(features)
    for feature in range(features):
        without = np.flatnonzero(~coalitions[:, feature])
        size = coalitions[without].sum(axis=1)
        weight = [factorial(k) * factorial(features - 1 - k) / factorial(features) for k in size]
        joined = without + 2 ** (features - 1 - feature)
        values[feature] = weight @ (worth[joined] - worth[without])
    return values


def rows_of(count: int, columns: int, seed: int) -> Floats:
    """Numbers on the thresholds and between; missing ones, but where lines read."""
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(count, columns)).round(1)
    missing = draw.random(matrix.shape) < 0.15
    missing[:, 0] = False
    return np.where(missing, np.nan, matrix)


CASES = {
    "one column each": ([0, 1, 2, 3], 6),
    "several columns of a feature": ([0, 1, 1, 2, 2, 2, 3], 10),
    "paths of many features": ([*range(10)], 150),
}


@pytest.mark.parametrize(("owner", "inner"), CASES.values(), ids=CASES)
def test_equals_the_definition(owner: list[int], inner: int) -> None:
    terms = random_terms(7, owner, inner)
    features = max(owner) + 1
    background = rows_of(5, len(owner), seed=1)
    rows = rows_of(3, len(owner), seed=2)
    explained = Additive(terms, background, features)
    values, scores = explained.explain(rows)
    assert scores == pytest.approx(answer(terms, rows, 0), abs=1e-12)
    assert explained.base == pytest.approx(answer(terms, background, 0).mean(), abs=1e-12)
    for row, own in zip(rows, values, strict=True):
        expected = by_definition(terms, row, background, features, 0)
        assert own == pytest.approx(expected, abs=1e-12)


def test_long_paths_are_computed_pair_by_pair_and_short_ones_looked_up() -> None:
    terms = random_terms(7, [*range(10)], 150)
    explained = Additive(terms, rows_of(5, 10, seed=1), 10)
    assert {type(part) for part in explained._parts} == {Pairs, Tables}


def test_what_does_not_fit_into_tables_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = random_terms(3, [0, 1, 1, 2, 3], 12)
    background, rows = rows_of(20, 5, seed=1), rows_of(30, 5, seed=2)
    expected, _ = Additive(terms, background, 4).explain(rows)
    monkeypatch.setattr(additive, "TABLE_NUMBERS", 2_000)
    few = Additive(terms, background, 4)
    assert {type(part) for part in few._parts} == {Pairs, Tables}
    assert few.explain(rows)[0] == pytest.approx(expected, abs=1e-12)


def test_scores_that_are_not_asked_for_take_no_room_in_the_tables() -> None:
    terms = random_terms(7, [0, 1, 1, 2, 3], 12)
    background, rows = rows_of(20, 5, seed=1), rows_of(30, 5, seed=2)
    scored = Additive(terms, background, 4)
    alone = Additive(terms, background, 4, scored=False)
    for one in (rows, rows[:1]):
        values, scores = alone.explain(one)
        assert values == pytest.approx(scored.explain(one)[0], abs=1e-15)
        assert np.isnan(scores).all()
    assert alone.base == scored.base
    assert _numbers(alone) < _numbers(scored)


def _numbers(explained: Additive) -> int:
    return sum(part._table.size for part in explained._parts if isinstance(part, Tables))


def test_rows_are_explained_alone_as_together_for_every_target() -> None:
    terms = random_terms(5, [0, 1, 2, 2, 3], 9, targets=3)
    background, rows = rows_of(20, 5, seed=1), rows_of(600, 5, seed=2)
    explained = Additive(terms, background, 4)
    for target in range(3):
        together, scores = explained.explain(rows, target)
        alone = [explained.explain(rows[[place]], target)[0][0] for place in range(0, 600, 50)]
        assert together[::50] == pytest.approx(np.array(alone), abs=1e-12)
        assert scores[:9] == pytest.approx(answer(terms, rows[:9], target), abs=1e-12)
        sums = explained.base[target] + together.sum(axis=1)
        assert sums == pytest.approx(scores, abs=1e-12)
