from typing import Any

import pytest

from app.model.manifest import Task
from lifecycle.proposals.candidates import propose_candidates


def kinds(
    rows: int, columns: int = 20, task: Task = "regression", minutes: float = 3.0
) -> list[str]:
    """PyCaret's ids of the proposed candidates."""
    models = proposed(rows, columns, task, minutes)["train.models"]
    return [one if isinstance(one, str) else next(iter(one)) for one in models]


def proposed(rows: int, columns: int, task: Task, minutes: float) -> dict[str, Any]:
    return {one.key: one.value for one in propose_candidates(rows, columns, task, 5, minutes)}


def test_a_small_table_gets_all_kinds() -> None:
    assert kinds(1000) == ["ridge", "lightgbm", "lightgbm", "catboost", "et", "xgboost", "svm"]
    assert kinds(1000, task="classification")[::6] == ["lr", "knn"]


@pytest.mark.parametrize(
    ("rows", "minutes", "gone"),
    [(6000, 3.0, "svm"), (60_000, 10.0, "et"), (200_000, 3.0, "catboost")],
)
def test_a_large_table_gets_those_that_are_done_in_time(
    rows: int, minutes: float, gone: str
) -> None:
    assert gone in kinds(1000)
    assert gone not in kinds(rows, minutes=minutes)


def test_more_minutes_are_used() -> None:
    assert len(kinds(100_000, minutes=30.0)) > len(kinds(100_000, minutes=3.0))
    assert proposed(1000, 20, "regression", 10.0)["train.budget_minutes"] == 6.0


def test_the_largest_table_still_gets_a_linear_model_and_trees() -> None:
    assert kinds(10_000_000) == ["ridge", "lightgbm"]
