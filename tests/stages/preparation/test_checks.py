from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.params import Params, only
from stages.preparation.checks import check
from stages.preparation.table import TableError
from tests.conftest import params_with


def params(**changes: Any) -> Params:
    base = {"base.target": "y", "base.task": "regression"}
    full = params_with({**base, **{key.replace("__", "."): v for key, v in changes.items()}})
    declared = full.model_dump(include={"base", "prepare"})
    return only(full, declared)


@pytest.fixture
def frame() -> pd.DataFrame:
    rows = 40
    return pd.DataFrame(
        {
            "name": [f"r{i}" for i in range(rows)],
            "size": [str(i / 4) for i in range(rows)],
            "colour": ["red", "green"] * (rows // 2),
            "on": ["true", "false"] * (rows // 2),
            "day": [f"2024-01-{i % 28 + 1:02}" for i in range(rows)],
            "y": [str(i % 7) for i in range(rows)],
        },
        dtype=object,
    )


def test_the_schema_says_what_every_column_is(frame: pd.DataFrame) -> None:
    frame.loc[3, "size"] = np.nan
    rows, schema = check(frame, params(prepare__id="name"), "0.dir")
    kinds = {feature.name: feature.kind for feature in schema.features}
    assert kinds == {"size": "number", "colour": "category", "on": "boolean", "day": "date"}
    size, colour, _, day = schema.features
    assert (size.minimum, size.maximum, size.missing) == (0.0, 9.75, 1 / 40)
    assert colour.categories == ("green", "red")
    assert day.minimum == pd.Timestamp("2024-01-01").timestamp()
    assert list(rows) == ["size", "colour", "on", "day", "y", "name"]


def test_rows_without_a_target_are_refused_or_left_out(frame: pd.DataFrame) -> None:
    frame.loc[[3, 7], "y"] = np.nan
    with pytest.raises(TableError, match=r"no 'y' .*: 4, 8\. .*prepare\.missing_target to drop"):
        check(frame, params(), "0.dir")
    rows, schema = check(frame, params(prepare__missing_target="drop"), "0.dir")
    assert rows.index.tolist() == [row for row in range(40) if row not in {3, 7}]
    assert schema.features[0].missing == 0
    frame["y"] = np.nan
    with pytest.raises(TableError, match="no row has a 'y'"):
        check(frame, params(prepare__missing_target="drop"), "0.dir")


def test_dropped_columns_are_gone(frame: pd.DataFrame) -> None:
    rows, schema = check(frame, params(prepare__drop=["name", "day"]), "0.dir")
    assert schema.names == ["size", "colour", "on"]
    assert "day" not in rows


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["b", "a"], ("a", "b")),
        (["1", "0"], (0, 1)),
        (["true", "false"], (False, True)),
        ([str(2**53 + 1), str(2**53)], (str(2**53), str(2**53 + 1))),
    ],
)
def test_labels_keep_their_type(
    frame: pd.DataFrame, values: list[str], labels: tuple[object, ...]
) -> None:
    frame["y"] = values * 20
    wanted = params(base__task="classification", prepare__drop=["on"])
    _, schema = check(frame, wanted, "0.dir")
    assert schema.classes == labels
    assert [type(label) for label in schema.classes] == [type(label) for label in labels]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base__target": "price"}, "base.target: the table has no column 'price'"),
        ({"prepare__drop": ["nme"]}, "prepare.drop: the table has no column 'nme'"),
        ({"prepare__id": "nr"}, "prepare.id: the table has no column 'nr'"),
        ({"prepare__id": "y"}, "prepare.id: the column 'y' is the target"),
        ({"prepare__drop": ["y"]}, "prepare.drop: the column 'y' is the target"),
        (
            {"prepare__split": {"strategy": "group", "column": "grp", "test_size": 0.2}},
            "prepare.split.column: the table has no column 'grp'",
        ),
        (
            {"prepare__split": {"strategy": "time", "column": "colour", "test_size": 0.2}},
            "'colour' holds texts .*'red'.* needs dates or numbers",
        ),
        ({"prepare__split__strategy": "group"}, "group and time need a column"),
        ({"prepare__split__column": "day"}, "random and stratified take none"),
        ({"base__target": "colour"}, r"regression, but the target 'colour' holds category .*'red'"),
        ({"base__target": "name", "base__task": "classification"}, "labels with one row"),
        ({"prepare__drop": ["name", "size", "colour", "on", "day"]}, "No feature is left"),
    ],
)
def test_an_impossible_combination_is_refused(
    frame: pd.DataFrame, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        check(frame, params(**changes), "0.dir")


def test_a_missing_target_names_its_row(frame: pd.DataFrame) -> None:
    frame.loc[11, "y"] = np.nan
    with pytest.raises(TableError, match=r"base.target: 1 row\(s\) have no 'y' .*: 12\."):
        check(frame, params(), "0.dir")


def test_a_constant_target_is_refused(frame: pd.DataFrame) -> None:
    frame["y"] = "3"
    with pytest.raises(TableError, match="one value only"):
        check(frame, params(), "0.dir")


@pytest.mark.parametrize("again", [lambda y: y, lambda y: [f"{value}.0" for value in y]])
def test_a_feature_that_is_the_target_again_is_refused(
    frame: pd.DataFrame, again: Callable[[pd.Series], Any]
) -> None:
    frame["copy"] = again(frame["y"])
    with pytest.raises(TableError, match=r"'copy' is the target 'y' again.*prepare\.drop"):
        check(frame, params(), "0.dir")
    frame.loc[0, "copy"] = "999"
    assert "copy" in check(frame, params(), "0.dir")[1].names


def test_names_of_rows_and_groups_stay_as_they_are(frame: pd.DataFrame) -> None:
    rows = len(frame)
    frame["order"] = [str(9007199254740993 + i) for i in range(rows)]
    frame["invoice"] = ["C7", *(f"{i:03d}" for i in range(rows - 1))]
    wanted = {"strategy": "group", "column": "invoice", "test_size": 0.2}
    kept, _ = check(frame, params(prepare__id="order", prepare__split=wanted), "0.dir")
    assert kept["order"].tolist() == frame["order"].tolist()
    assert kept["invoice"].tolist() == frame["invoice"].tolist()


@pytest.mark.parametrize("last", ["10", "9007199254740993", "-3"])
def test_groups_that_are_whole_numbers_are_in_their_order(frame: pd.DataFrame, last: str) -> None:
    frame["family"] = [str(i // 2) for i in range(len(frame))]
    frame.loc[len(frame) - 1, "family"] = last
    wanted = params(prepare__split={"strategy": "group", "column": "family", "test_size": 0.2})
    kept, _ = check(frame, wanted, "0.dir")
    assert kept["family"].tolist() == [int(name) for name in frame["family"]]


def test_a_row_without_its_group_is_named(frame: pd.DataFrame) -> None:
    frame.loc[4, "colour"] = np.nan
    wanted = params(prepare__split={"strategy": "group", "column": "colour", "test_size": 0.2})
    with pytest.raises(TableError, match=r"split.column: 1 row\(s\) have no 'colour' .*: 5\."):
        check(frame, wanted, "0.dir")
