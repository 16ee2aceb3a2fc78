"""What the page is told of the evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.model.manifest import Class
from stages.deployment.summary import POINTS, summary
from stages.evaluation.plot_tables import calibration, labels, residuals, write_tables
from tests.stages.deployment.models import schema_of

ROWS = {"train": 400, "holdout": 100}
REPORT: dict[str, Any] = {
    "rows": ROWS,
    "interval": {"rmse": {"low": 1.12345678901, "high": 2.0}},
    "baseline": {"dummy": {"rmse": 9.87654321012}},
}


def test_a_regression_has_points_and_no_classes(tmp_path: Path) -> None:
    actual = np.linspace(0, 1000, 1001)
    tables = {
        "residuals": residuals(actual, actual + 1 / 3),
        "importance": pd.DataFrame(
            {"feature": list("abcdefghijklmnopqrst"), "importance": 2.0, "deviation": 0.5}
        ),
        "slices": pd.DataFrame({"slice": ["a = 1"], "rows": [12], "error": [4.0], "ratio": [2.0]}),
    }
    write_tables(tables, tmp_path)
    told = summary(REPORT, tmp_path, "rmse", ())
    assert (told.metric, told.higher_is_better, told.rows) == ("rmse", False, ROWS)
    assert told.interval == {"rmse": (1.12345679, 2.0)}
    assert told.baseline == {"dummy": {"rmse": 9.87654321}}
    assert len(told.actual) == len(told.predicted) == POINTS
    assert (told.actual[0], told.actual[-1], told.predicted[-1]) == (0.0, 1000.0, 1000.0)
    assert "".join(one.feature for one in told.importance) == "abcdefghijklmno"
    assert [one.slice for one in told.slices] == ["a = 1"]
    assert (told.calibration, told.confusion) == ((), ())
    assert len(told.model_dump_json(indent=2)) < 20_000


def test_names_that_look_like_numbers_or_nothing_stay_texts(tmp_path: Path) -> None:
    names = ["", "NA", "7"]
    tables = {
        "importance": pd.DataFrame({"feature": names, "importance": 2.0, "deviation": 0.5}),
        "slices": pd.DataFrame({"slice": ["7"], "rows": [12], "error": [4.0], "ratio": [2.0]}),
    }
    write_tables(tables, tmp_path)
    told = summary(REPORT, tmp_path, "rmse", ())
    assert [one.feature for one in told.importance] == names
    assert [one.slice for one in told.slices] == ["7"]


def test_a_classification_has_calibration_and_confusion(tmp_path: Path) -> None:
    actual, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    chance = np.array([0.1, 0.9, 0.9, 0.9, 0.1])
    tables = {
        "labels": labels(actual, predicted, schema_of(("NA", "yes"))),
        "calibration": calibration(actual, np.column_stack([1 - chance, chance])),
    }
    write_tables(tables, tmp_path)
    told = summary(REPORT, tmp_path, "accuracy", ("NA", "yes"))
    assert told.higher_is_better
    assert told.confusion == ((1, 1), (1, 2))
    assert [(one.predicted, one.observed, one.rows) for one in told.calibration] == [
        (0.1, 0.5, 2),
        (0.9, 0.666666667, 3),
    ]
    assert told.actual == ()


@pytest.mark.parametrize("classes", [(False, True), (1, 2), (0.5, 1.0)])
def test_labels_are_the_users_own(tmp_path: Path, classes: tuple[Class, ...]) -> None:
    named = schema_of(("a", "b")).model_copy(update={"classes": classes})
    write_tables({"labels": labels(np.array([0, 1]), np.array([1, 1]), named)}, tmp_path)
    assert summary(REPORT, tmp_path, "accuracy", classes).confusion == ((0, 1), (0, 1))
