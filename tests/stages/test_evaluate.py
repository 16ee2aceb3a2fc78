from typing import Any

import pytest

from stages.evaluate import compare
from stages.params import Params
from tests.conftest import params_with
from tests.stages.evaluation.test_report import fitted, rows, schema


def params(**changes: Any) -> Params:
    return params_with({"train.folds": 3, "train.n_jobs": 1, **changes})


def test_only_groups_and_time_can_be_flattered() -> None:
    known, (train, test) = schema(strategy="group"), rows()
    pipeline = fitted(train, known)
    report, tables = compare(pipeline, train, test, known, params())
    assert set(report) == {"honest", "flattering", "inflation_percent"}
    assert tables["validation"]["value"].tolist() == [
        report["honest"]["mean"]["rmse"],
        report["flattering"]["mean"]["rmse"],
    ]
    assert compare(pipeline, train, test, schema(), params()) == ({}, {})


def test_what_cannot_be_compared_is_said_and_stops_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known, (train, test) = schema(strategy="group"), rows()
    found = compare(fitted(train, known), train, test, known, params(**{"train.folds": 41}))
    assert found == ({}, {})
    assert "41 folds need as many groups, there are 40" in capsys.readouterr().out
    known = schema(("cheap", "dear"), "group")
    for frame in (train, test):
        frame["price"] = frame["street"].map({7: "dear"}).fillna("cheap")
    assert compare(fitted(train, known), train, test, known, params()) == ({}, {})
    assert "would train without 'dear'" in capsys.readouterr().out
