import numpy as np
import pandas as pd
import pytest

from stages.params import Split
from stages.preparation.split import split_rows
from stages.preparation.table import TableError


def split(strategy: str, column: str | None = None) -> Split:
    return Split.model_validate({"strategy": strategy, "column": column, "test_size": 0.25})


@pytest.fixture
def table() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "group": np.repeat([f"g{i}" for i in range(20)], 10),
            "time": generator.permutation(200),
            "y": generator.choice(["a", "b"], 200, p=[0.9, 0.1]),
            "number": generator.normal(size=200),
        }
    )


def test_a_random_split_is_the_same_each_time(table: pd.DataFrame) -> None:
    one = split_rows(table, "y", "classification", split("random"), 1)
    two = split_rows(table, "y", "classification", split("random"), 1)
    other = split_rows(table, "y", "classification", split("random"), 2)
    pd.testing.assert_frame_equal(one[1], two[1])
    assert set(one[1].index) != set(other[1].index)
    assert sorted([*one[0].index, *one[1].index]) == list(range(200))
    assert len(one[1]) == 50


def test_a_stratified_split_keeps_the_mix(table: pd.DataFrame) -> None:
    train, test = split_rows(table, "y", "classification", split("stratified"), 1)
    assert (test["y"] == "b").mean() == pytest.approx((train["y"] == "b").mean(), abs=0.02)
    train, test = split_rows(table, "number", "regression", split("stratified"), 1)
    assert test["number"].median() == pytest.approx(table["number"].median(), abs=0.15)


def test_a_group_is_on_one_side_only(table: pd.DataFrame) -> None:
    train, test = split_rows(table, "y", "classification", split("group", "group"), 1)
    assert not set(train["group"]) & set(test["group"])
    assert test["group"].nunique() == 5


def test_the_newest_rows_are_the_holdout(table: pd.DataFrame) -> None:
    train, test = split_rows(table, "y", "classification", split("time", "time"), 1)
    assert train["time"].max() < test["time"].min()
    assert train["time"].is_monotonic_increasing
    assert len(test) == 50


def test_rows_of_one_moment_are_on_one_side(table: pd.DataFrame) -> None:
    table["time"] = np.arange(200) // 30
    train, test = split_rows(table, "y", "classification", split("time", "time"), 1)
    assert (train["time"].max(), test["time"].min()) == (4, 5)
    table["time"] = 1.0 * (np.arange(200) > 190)
    with pytest.raises(TableError, match="first moment of 'time'"):
        split_rows(table, "y", "classification", split("time", "time"), 1)


def test_one_group_cannot_be_split(table: pd.DataFrame) -> None:
    table["group"] = "g"
    with pytest.raises(TableError, match="'group' has one value only"):
        split_rows(table, "y", "classification", split("group", "group"), 1)


def test_a_label_without_a_row_to_train_on_is_named(table: pd.DataFrame) -> None:
    table["y"] = np.where(table["time"] > 180, "late", "early")
    with pytest.raises(TableError, match=r"\(time\) leaves no row to train on .* 'late'"):
        split_rows(table, "y", "classification", split("time", "time"), 1)
