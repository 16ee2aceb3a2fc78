import numpy as np
import pandas as pd
import pytest

from stages.preparation.table import TableError, typed


def column(*values: object) -> pd.Series:
    return pd.Series(list(values), name="c", dtype=object)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "2.5", np.nan], "number", [1, 2.5, np.nan]),
        (["0.1", "1e-310", "123456789.123456789"], "number", [0.1, 1e-310, 123456789.123456789]),
        (["True", "false", np.nan], "boolean", [1, 0, np.nan]),
        (["red", "1", np.nan], "category", ["red", "1", np.nan]),
        ([np.nan, np.nan], "number", [np.nan, np.nan]),
    ],
)
def test_text_becomes_values_of_its_kind(
    values: list[object], kind: str, expected: list[object]
) -> None:
    found, converted = typed(column(*values))
    assert found == kind
    pd.testing.assert_series_equal(converted, pd.Series(expected, name="c"))


def test_dates_lose_their_zone_and_keep_their_moment() -> None:
    kind, converted = typed(column("2024-02-29", "2024-02-29T01:00:00+02:00", np.nan))
    assert kind == "date"
    expected = pd.Series(pd.to_datetime(["2024-02-29 00:00", "2024-02-28 23:00", "NaT"]), name="c")
    pd.testing.assert_series_equal(converted, expected)


def test_a_column_mostly_of_numbers_names_the_rows_that_are_not() -> None:
    values = [str(i) for i in range(60)]
    values[6] = "n/a"
    values[41] = "twelve"
    with pytest.raises(TableError, match=r"2 value.*not a number") as refused:
        typed(column(*values))
    assert "column 'c', row 7: 'n/a'" in str(refused.value)
    assert "column 'c', row 42: 'twelve'" in str(refused.value)
    assert "prepare.missing" in str(refused.value)


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e400"])
def test_an_infinite_number_is_refused(value: str) -> None:
    with pytest.raises(TableError, match=r"number(.|\n)*row 2"):
        typed(column("1", value, *map(str, range(60))))


def test_many_mistakes_are_counted_and_the_first_are_shown() -> None:
    values = [str(i) for i in range(1000)] + ["x"] * 30
    with pytest.raises(TableError, match=r"30 value(.|\n)*and 10 more"):
        typed(column(*values))
