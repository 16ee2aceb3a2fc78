"""Each kind of shift is named within a thousand rows, and rows like those of training are not."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from app.drift.counting import Counting
from app.drift.reference import Counts, number
from app.drift.report import report
from app.drift.statistics import FALSE_ALARM_RATE, chi_square, compare, tail
from app.model.runtime import Packed
from tests.app.drift.conftest import answers, rows

ROWS = 1_000


def window(counting: Counting, packed: Packed, said: np.ndarray | None = None) -> dict:
    counts = counting.count(packed, answers(packed) if said is None else said)
    told = report(counting, {"hour": counts}, with_counts=False)
    window: dict = told["windows"]["hour"]
    return window


def scaled(packed: Packed) -> Packed:
    return dataclasses.replace(packed, numeric=packed.numeric * [2.54, 1, 1])


def renamed(packed: Packed) -> Packed:
    """The category Good, code 1, comes under a name that training did not see, code 3."""
    return dataclasses.replace(
        packed, categorical=np.where(packed.categorical == 1, 3, packed.categorical)
    )


def missing(packed: Packed) -> Packed:
    """The certificate is missing in a fifth of the rows, was in a tenth."""
    absent = np.random.default_rng(1).uniform(size=len(packed)) < 0.11
    numeric = packed.numeric.copy()
    numeric[absent, 1] = np.nan
    return dataclasses.replace(packed, numeric=numeric)


@pytest.mark.parametrize(
    ("shift", "column", "reason"),
    [
        (scaled, "carat weight", "values"),
        (renamed, "cut", "unseen"),
        (missing, "certified", "missing"),
    ],
)
def test_a_shift_of_one_column_is_named_within_a_thousand_rows(
    counting: Counting, shift: Callable[[Packed], Packed], column: str, reason: str
) -> None:
    for seed in range(1, 11):
        found = window(counting, shift(rows(seed, ROWS)), answers(rows(seed, ROWS)))
        assert found["drifted"] == [column]
        assert reason in found["features"][column]["reasons"]


def test_a_target_that_moves_shows_in_the_predictions(counting: Counting) -> None:
    for seed in range(1, 11):
        packed = rows(seed, ROWS)
        found = window(counting, packed, answers(packed) * 1.3)
        assert found["drifted"] == ["price"]
        assert found["predictions"]["reasons"] == ["values"]


@pytest.mark.parametrize("count", [200, 1_000])
def test_undisturbed_windows_are_named_no_more_often_than_stated(
    counting: Counting, count: int
) -> None:
    windows = 100
    alarms = sum(bool(window(counting, rows(seed, count))["drifted"]) for seed in range(1, 101))
    # More than these would be chance in one of a thousand runs
    assert alarms <= stats.binom.ppf(0.999, windows, FALSE_ALARM_RATE)


def test_under_200_rows_there_is_no_verdict(counting: Counting) -> None:
    found = window(counting, scaled(rows(1, 199)))
    assert {one["verdict"] for one in found["features"].values()} == {"too few rows"}
    assert found["drifted"] == []
    assert found["features"]["carat weight"]["psi"] > 0.1  # told, not judged


def test_no_rows_have_no_figures(counting: Counting) -> None:
    found = window(counting, rows(1, 0))
    assert found["rows"] == 0
    assert found["predictions"]["psi"] is None


def test_what_is_beyond_chance_but_small_is_not_named(counting: Counting) -> None:
    packed = rows(1, 200_000)
    little = dataclasses.replace(packed, numeric=packed.numeric * [1.03, 1, 1])
    found = window(counting, little, answers(packed))
    assert found["drifted"] == []


def test_the_measures_are_those_of_the_books() -> None:
    column = number("x", np.repeat([0.0, 1.0, 2.0, 3.0], 250))
    counts: Counts = np.zeros(column.cells, np.int64)
    counts[: column.cells - 2] = np.array(column.counts[:-2])[::-1]
    counts[1] += 200
    told = compare(column, counts, 1)
    p = (np.array(column.counts[:-2]) + 0.5) / (1000 + 0.5 * (column.cells - 2))
    q = (counts[:-2] + 0.5) / (counts.sum() + 0.5 * (column.cells - 2))
    assert told.psi == pytest.approx(np.sum((q - p) * np.log(q / p)))
    from scipy.spatial.distance import jensenshannon

    assert told.jensen_shannon == pytest.approx(jensenshannon(p, q, base=2))


def test_wasserstein_tells_how_far_a_number_moved() -> None:
    draw = np.random.default_rng(0)
    column = number("x", draw.uniform(0, 10, 50_000))
    moved = draw.uniform(0, 10, 50_000) * 0.8
    bins = np.searchsorted(column.edges, moved, "right")
    counts = np.append(np.bincount(bins, minlength=column.cells - 2), [0, 0])
    told = compare(column, counts, 1)
    assert told.wasserstein == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("freedom", [1, 2, 5, 19])
@pytest.mark.parametrize("level", [1e-2, 1e-4])
def test_the_quantile_of_chi_square_is_near_and_hardly_too_low(freedom: int, level: float) -> None:
    exact = stats.chi2.ppf(1 - level, freedom)
    assert 0.99 * exact < chi_square(freedom, level) < 1.1 * exact


@pytest.mark.parametrize(("found", "known"), [(0, 0), (3, 1), (40, 700), (60, 30)])
def test_the_tail_is_fishers(found: int, known: int) -> None:
    table = [[found, 500 - found], [known, 10_000 - known]]
    exact = stats.fisher_exact(table, "greater").pvalue
    assert tail(found, 500, known, 10_000) == pytest.approx(exact, rel=1e-6)
