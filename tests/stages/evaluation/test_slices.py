import numpy as np
import pandas as pd
import pytest

from app.model.manifest import Feature
from stages.evaluation.slices import row_errors, worst_slices
from stages.schema import Schema

ROWS = 80


def schema(task: str = "regression", strategy: str = "random") -> Schema:
    return Schema.model_validate(
        {
            "task": task,
            "target": "y",
            "features": (
                Feature(name="town", kind="category", categories=("Bonn", "Ulm")),
                Feature(name="area", kind="number"),
                Feature(name="new", kind="boolean"),
                Feature(name="sold", kind="date"),
            ),
            "strategy": strategy,
            "split_column": "family" if strategy == "group" else None,
            "data_md5": "0.dir",
        }
    )


@pytest.fixture
def holdout() -> pd.DataFrame:
    rows = np.arange(ROWS)
    return pd.DataFrame(
        {
            "town": np.where(rows % 8 < 5, "Bonn", "Ulm").astype(object),
            "area": rows.astype(float),
            "new": (rows % 3 == 0).astype(float),
            "sold": pd.Timestamp("2024-01-01") + pd.to_timedelta(rows[::-1].copy(), "D"),
            "family": (rows % 5).astype(float),
        }
    )


def test_a_category_where_the_error_is_large_comes_first(holdout: pd.DataFrame) -> None:
    errors = np.where(holdout["town"] == "Ulm", 9.0, 1.0)
    worst = worst_slices(holdout, errors, schema()).iloc[0]
    assert worst["slice"] == "town = Ulm"
    assert (worst["rows"], worst["error"]) == (30, 3.0)
    assert worst["ratio"] == pytest.approx(3 / np.sqrt(errors.mean()))


def test_a_numeric_range_is_a_quartile_and_the_same_rows_appear_once(
    holdout: pd.DataFrame,
) -> None:
    table = worst_slices(holdout, (holdout["area"] >= 60).to_numpy(float), schema())
    assert table["slice"].iloc[0] == "area from 60 to 79"
    assert table["rows"].iloc[0] == 20
    assert not table["slice"].str.startswith("sold").any()  # each its area's quartile


def test_dates_booleans_and_missing_values_are_told_in_words(holdout: pd.DataFrame) -> None:
    holdout["area"] = 1.0
    holdout.loc[:11, "new"] = np.nan
    table = worst_slices(holdout, (np.arange(ROWS) < 12).astype(float), schema())
    assert table["slice"].iloc[0] == "new missing"
    assert table["error"].iloc[0] == 1.0
    assert "sold from 2024-03-01 to 2024-03-20" in set(table["slice"])
    assert {"new = true", "new = false"} <= set(table["slice"])


def test_a_column_without_a_value_has_no_ranges(holdout: pd.DataFrame) -> None:
    holdout["area"] = np.nan
    errors = np.where(holdout["town"] == "Ulm", 9.0, 1.0)
    table = worst_slices(holdout, errors, schema())
    assert table["slice"].iloc[0] == "town = Ulm"
    assert not table["slice"].str.startswith("area from").any()


def test_a_range_of_one_value_is_that_value(holdout: pd.DataFrame) -> None:
    holdout["area"] = (np.arange(ROWS) // 20 == 3) * 7.5
    table = worst_slices(holdout, (holdout["area"] > 0).to_numpy(float), schema())
    assert table["slice"].iloc[0] == "area = 7.5"


@pytest.mark.parametrize("rare", [0.0, 1.0])
def test_a_rare_flag_is_a_slice(holdout: pd.DataFrame, rare: float) -> None:
    holdout["area"] = np.where(np.arange(ROWS) >= ROWS - 10, rare, 1.0 - rare)
    table = worst_slices(holdout, (holdout["area"] == rare).to_numpy(float), schema())
    assert table["slice"].iloc[0] == f"area = {rare:g}"
    assert (table["rows"].iloc[0], table["error"].iloc[0]) == (10, 1.0)


def test_what_is_not_the_common_value_has_quartiles_of_its_own(holdout: pd.DataFrame) -> None:
    rows = np.arange(ROWS)
    holdout["area"] = np.where(rows < 40, 0.0, rows)
    table = worst_slices(holdout, (rows >= 70).astype(float), schema())
    assert table["slice"].iloc[0] == "area from 70 to 79"
    holdout["sold"] = holdout["sold"].where(rows >= 40, pd.Timestamp("2023-01-01"))
    holdout.loc[:11, "sold"] = pd.NaT
    table = worst_slices(holdout, (rows < 12).astype(float), schema())
    assert table["slice"].iloc[0] == "sold missing"
    table = worst_slices(holdout, ((rows >= 12) & (rows < 40)).astype(float), schema())
    assert table["slice"].iloc[0] == "sold = 2023-01-01"


def test_the_split_columns_groups_are_slices(holdout: pd.DataFrame) -> None:
    errors = (holdout["family"] == 3).to_numpy(float)
    table = worst_slices(holdout, errors, schema("classification", "group"))
    assert table["slice"].iloc[0] == "family = 3"
    assert table["error"].iloc[0] == 1.0
    assert table["ratio"].iloc[0] == pytest.approx(5)


def test_long_numbers_stay_apart(holdout: pd.DataFrame) -> None:
    holdout["family"] += 1_000_001
    bad = (holdout["family"] == 1_000_003).to_numpy(float)
    worst = worst_slices(holdout, bad, schema(strategy="group")).iloc[0]
    assert (worst["slice"], worst["rows"]) == ("family = 1000003", 16)
    holdout["family"] = holdout["family"].map(str).astype("category")
    worst = worst_slices(holdout, bad, schema(strategy="group")).iloc[0]
    assert (worst["slice"], worst["rows"]) == ("family = 1000003.0", 16)
    holdout["area"] += 1_700_000_000
    table = worst_slices(holdout, (holdout["area"] >= 1_700_000_060).to_numpy(float), schema())
    assert table["slice"].iloc[0] == "area from 1700000060 to 1700000079"


def test_a_handful_of_rows_is_no_slice(holdout: pd.DataFrame) -> None:
    holdout.loc[:8, "town"] = "Köln"
    errors = (holdout["town"] == "Köln").to_numpy(float)
    assert not worst_slices(holdout, errors, schema())["slice"].str.contains("Köln").any()
    assert worst_slices(holdout.head(9), errors[:9], schema()).empty


def test_a_perfect_model_has_no_bad_slice(holdout: pd.DataFrame) -> None:
    assert set(worst_slices(holdout, np.zeros(ROWS), schema())["ratio"]) == {1.0}


def test_the_errors_of_rows() -> None:
    values = np.array([1.0, 2.0]), np.array([3.0, 2.0])
    assert row_errors(*values, "regression").tolist() == [4.0, 0.0]
    assert row_errors(*values, "classification").tolist() == [1.0, 0.0]
