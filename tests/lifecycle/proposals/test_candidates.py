from typing import Any

import pytest

from lifecycle.proposals.candidates import propose_candidates


def kinds(rows: int, columns: int = 20, classes: int = 0, minutes: float = 3.0) -> list[str]:
    """PyCaret's ids of the proposed candidates."""
    models = proposed(rows, columns, classes, minutes)["train.models"]
    return [one if isinstance(one, str) else next(iter(one)) for one in models]


def proposed(rows: int, columns: int, classes: int, minutes: float) -> dict[str, Any]:
    return {
        one.key: one.value
        for one in propose_candidates(rows, (columns, columns), classes, 5, minutes)
    }


def test_a_small_table_gets_all_kinds() -> None:
    boosters = ["lightgbm", "lightgbm", "catboost", "xgboost", "catboost"]
    assert kinds(1000) == ["ridge", "lightgbm", "linear_lightgbm", *boosters, "et", "svm"]
    assert kinds(1000, classes=2) == ["lr", "lightgbm", *boosters, "et", "knn"]


def test_no_booster_is_proposed_twice() -> None:
    models = proposed(1000, 20, 0, 3.0)["train.models"]
    assert len({str(one) for one in models}) == len(models)


@pytest.mark.parametrize(
    ("rows", "minutes", "gone"),
    [(6000, 3.0, "svm"), (60_000, 10.0, "et"), (200_000, 3.0, "catboost")],
)
def test_a_large_table_gets_those_that_are_done_in_time(
    rows: int, minutes: float, gone: str
) -> None:
    assert gone in kinds(1000)
    assert gone not in kinds(rows, minutes=minutes)


def test_trees_for_each_of_many_classes_take_their_time() -> None:
    assert len(kinds(20_000, classes=8)) < len(kinds(20_000, classes=2))


def test_trees_are_larger_where_there_are_more_rows() -> None:
    leaves = [
        next(iter(proposed(rows, 20, 0, 3.0)["train.models"][1].values())).get("num_leaves")
        for rows in (50_000, 50_001)
    ]
    assert leaves == [15, None]


def test_more_minutes_are_used() -> None:
    assert len(kinds(100_000, minutes=30.0)) > len(kinds(100_000, minutes=3.0))
    assert proposed(1000, 20, 0, 10.0)["train.budget_minutes"] == 6.0


def test_what_follows_trends_comes_first_where_the_newest_rows_are_the_holdout() -> None:
    (models, *_) = propose_candidates(10_000_000, (20, 20), 0, 5, 3.0, by_time=True)
    assert models.value[0] == "ridge"
    assert next(iter(models.value[1])) == "linear_lightgbm"
    (labels, *_) = propose_candidates(10_000_000, (20, 20), 2, 5, 3.0, by_time=True)
    assert [next(iter(one)) if isinstance(one, dict) else one for one in labels.value] == [
        "lr",
        "lightgbm",
    ]


def test_the_largest_table_still_gets_a_linear_model_and_trees() -> None:
    assert kinds(10_000_000) == ["ridge", "lightgbm"]


def test_columns_that_are_bundled_leave_time_for_more() -> None:
    (plain, *_) = propose_candidates(20_000, (300, 300), 0, 5, 3.0)
    (bundled, *_) = propose_candidates(20_000, (300, 20), 0, 5, 3.0)
    assert len(plain.value) < len(bundled.value)
    kinds = [one if isinstance(one, str) else next(iter(one)) for one in bundled.value]
    assert "lightgbm" in kinds
    assert "catboost" not in kinds
