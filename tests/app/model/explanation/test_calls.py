"""Explanations that ask a model for answers, on functions whose explanation is known."""

from collections.abc import Callable

import numpy as np
import pytest

from app.model.explanation.calls import Calls
from app.model.explanation.result import Explanation
from app.model.runtime import Floats, Packed

COLUMNS = 14  # ten numbers, then four categories


def rows_of(count: int, seed: int) -> Packed:
    draw = np.random.default_rng(seed)
    return Packed(draw.normal(size=(count, 10)), draw.integers(0, 3, (count, 4)))


def explain(
    worth: Callable[[Floats], Floats], columns: int, row: Packed, background: Packed
) -> tuple[Explanation, Calls]:
    """Explain a function of the first columns."""
    numeric = min(columns, 10)

    def answer(rows: Packed) -> tuple[Floats, None]:
        return worth(np.concatenate([rows.numeric, rows.categorical], axis=1)), None

    def cut(rows: Packed) -> Packed:
        return Packed(rows.numeric[:, :numeric], rows.categorical[:, : columns - numeric])

    names = tuple(f"f{place}" for place in range(columns))
    # The features are in another order than their columns.
    place = [*range(columns)][::-1]
    calls = Calls(cut(background), names, place, answer)
    return calls.explain(cut(row)), calls


@pytest.mark.parametrize("columns", [12, 14])
def test_a_sum_is_explained_exactly_either_way(columns: int) -> None:
    row, background = rows_of(1, 1), rows_of(20, 2)
    weights = np.arange(1.0, columns + 1)
    explanation, calls = explain(lambda matrix: matrix @ weights, columns, row, background)
    wide = [np.concatenate([rows.numeric, rows.categorical], axis=1) for rows in (row, background)]
    own, behind = (matrix[:, :columns] for matrix in wide)
    expected = ((own[0] - behind.mean(axis=0)) * weights)[::-1]
    assert explanation.contributions[0] == pytest.approx(expected, abs=1e-9)
    assert explanation.base[0] == pytest.approx((behind @ weights).mean())
    assert explanation.additivity_error < 1e-9
    exact = columns <= 12
    assert (explanation.standard_error is None) == exact
    assert calls.calls == (2**12 * 20 if exact else 2 * 15 * 20)


def test_drawn_orders_sum_exactly_and_estimate_within_their_errors() -> None:
    row, background = rows_of(1, 1), rows_of(100, 2)
    explanation, _ = explain(
        lambda matrix: matrix[:, 0] * matrix[:, 1] * matrix[:, 2] + matrix[:, 3] ** 2,
        COLUMNS,
        row,
        background,
    )
    exact, _ = explain(
        lambda matrix: matrix[:, 0] * matrix[:, 1] * matrix[:, 2] + matrix[:, 3] ** 2,
        10,
        row,
        background,
    )
    assert explanation.additivity_error < 1e-9
    assert explanation.standard_error is not None
    own, error = explanation.contributions[0][::-1], explanation.standard_error[0][::-1]
    assert own[4:] == pytest.approx(0, abs=1e-12)
    difference = np.abs(own[:4] - exact.contributions[0][::-1][:4])
    assert (difference < 4 * error[:4] + 1e-12).all()
    assert (error[:3] > 0).all()


def test_a_feature_that_differs_nowhere_adds_nothing() -> None:
    row = rows_of(1, 1)
    same = Packed(np.repeat(row.numeric, 5, axis=0), np.repeat(row.categorical, 5, axis=0))
    same.numeric[:, 3] += 1
    explanation, _ = explain(lambda matrix: matrix[:, 3] * matrix[:, 4], 6, row, same)
    only = np.flatnonzero(explanation.contributions[0])
    assert only.tolist() == [2]  # column 3, counted from the end
