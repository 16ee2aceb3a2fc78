import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from stages.params import only
from stages.preparation.checks import check
from stages.preparation.doubts import doubts
from stages.preparation.split import split_rows
from tests.conftest import params_with

ROWS = 200


def remarks(frame: pd.DataFrame, task: str = "regression", **split: Any) -> list[str]:
    """The doubts about a table, as the prepare stage has them."""
    changes = {f"prepare.split.{key}": value for key, value in split.items()}
    full = params_with({"base.target": "y", "base.task": task, **changes})
    params = only(full, full.model_dump(include={"base", "prepare"}))
    rows, schema = check(frame.astype(str), params, "")
    train, test = split_rows(rows, "y", params.base.task, params.prepare.split, 0)
    return doubts(train, test, schema)


@pytest.fixture
def frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    size = generator.normal(size=ROWS)
    return pd.DataFrame({"size": size, "y": size + generator.normal(size=ROWS)})


def test_a_plain_table_raises_none(frame: pd.DataFrame) -> None:
    assert remarks(frame) == []
    frame["y"] = np.where(frame["y"] > 0, "high", "low")
    assert remarks(frame, "classification", strategy="stratified") == []


def test_copies_of_rows_are_counted_on_both_sides(frame: pd.DataFrame) -> None:
    frame = pd.concat([frame[:160], frame[:40]], ignore_index=True)
    (remark,) = remarks(frame)
    assert remark.startswith("40 row(s) repeat another one in every feature and the target")
    example = re.search(r"such as rows (\d+), (\d+),", remark)
    assert example is not None
    assert int(example[2]) - int(example[1]) == 160
    places = pd.Series(range(ROWS))
    train, test = train_test_split(places, test_size=0.2, random_state=0)
    seen = test.map(lambda place: (place + 160 in set(train)) or (place - 160 in set(train)))
    assert f"; {seen.sum()} of the 40 rows of the holdout were seen in training" in remark


@pytest.mark.parametrize("how", ["straight", "in order"])
def test_a_near_copy_of_a_number_is_named(frame: pd.DataFrame, how: str) -> None:
    noise = np.random.default_rng(1).normal(size=ROWS) * 1e-4
    frame["other"] = frame["y"] * 2 + noise if how == "straight" else np.exp(3 * frame["y"]) + noise
    (remark,) = remarks(frame)
    assert remark.startswith("'other' nearly is the target 'y' (their correlation is ")


@pytest.mark.parametrize("kind", ["number", "category"])
def test_what_tells_the_label_alone_is_named(frame: pd.DataFrame, kind: str) -> None:
    is_high = frame["y"] > 0
    frame["y"] = np.where(is_high, "high", "low")
    frame["told"] = (
        is_high * 10 + frame["size"] if kind == "number" else np.where(is_high, "a", "b")
    )
    if kind == "category":  # a third value: no other word for the label, but it tells it
        frame["told"] = frame["told"].where(~is_high | (frame["size"] < 1), "c")
    (remark,) = remarks(frame, "classification", strategy="stratified")
    assert "'told' nearly is the target 'y' (alone it tells the label of 100.00%" in remark


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("day", pd.date_range("2024-01-01", periods=ROWS).strftime("%Y-%m-%d"), "strategy: time"),
        ("customer id", [f"c{i // 4}" for i in range(ROWS)], "strategy: group"),
        ("idcode", [i // 4 for i in range(ROWS)], "strategy: group"),
    ],
)
def test_time_and_things_under_a_split_by_chance(
    frame: pd.DataFrame, name: str, values: Any, message: str
) -> None:
    frame[name] = values
    (remark,) = remarks(frame)
    assert message in remark
    assert f"column: {name}." in remark
    strategy = "time" if name == "day" else "group"
    assert remarks(frame, strategy=strategy, column=name) == []
