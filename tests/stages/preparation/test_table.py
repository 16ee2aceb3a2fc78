import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.preparation.table import TableError, read_table, typed


def column(*values: object) -> pd.Series:
    return pd.Series(list(values), name="c", dtype=object)


def test_csv_cells_are_text_and_only_the_empty_one_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\ufeffa,b\nNA,1\n,?\n", encoding="utf-8")
    assert read_table(path, []).isna().to_numpy().tolist() == [[False, False], [True, False]]
    assert read_table(path, ["NA", "?"]).isna().to_numpy().tolist() == [[True, False], [True, True]]


def test_texts_for_no_value_are_taken_as_they_are_spelt(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n-999\n-999.0\n0\n")
    assert read_table(path, ["-999", "0.0"])["a"].isna().tolist() == [True, False, False]


def test_a_long_text_is_a_cell_like_others(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"a,b\n{'x' * 200_000},1\n")
    assert read_table(path, [])["a"].str.len().tolist() == [200_000]


def test_a_column_without_a_name_keeps_none(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n,a\n1,2\n")
    assert read_table(path, []).columns.tolist() == ["", "a"]


def test_parquet_and_gzipped_csv_are_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None]})
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n1,x\n"))
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet", []), frame)
    assert read_table(tmp_path / "t.csv.gz", []).to_numpy().tolist() == [["1", "x"]]


def test_the_index_of_a_parquet_file_is_a_column_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"id": [7, 8], "a": [1.0, 2.0]})
    frame.set_index("id").to_parquet(path)
    assert sorted(read_table(path, []).columns) == ["a", "id"]
    pd.concat([frame, frame])[1:].to_parquet(path)
    table = read_table(path, [])
    assert table.index.tolist() == [0, 1, 2]
    assert table["id"].tolist() == [8, 7, 8]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.csv", None, "does not exist"),
        ("t.csv", b"", "cannot be read"),
        ("t.csv", b"a,b\n", "no row"),
        ("t.csv", b"a,b,a\n1,2,3\n", "named twice: 'a'"),
        ("t.csv", "a\ncaf\xe9\n".encode("latin-1"), "not UTF-8"),
        ("t.csv", b"a,b\n1,2\n\n1,2,3\n", "1 row.*header's 2 cells.*\n  row 2: 3 cells"),
        ("t.csv", b"a,b\n1,000,2\n3,4\n", "1 row.*header's 2 cells.*\n  row 1: 3 cells"),
        ("t.csv", b"a,b\n1,2\n3\n", "1 row.*header's 2 cells.*\n  row 2: 1 cells"),
        ("t.csv", b"a;b\n1,5;2\n", "header is one column, 'a;b', .* with ';' .*commas"),
        ("t.csv", b"a\tb\n1\t2\n", r"header is one column.*.* with '.t' .*commas"),
        ("t.parquet", b"a,b\n1,2\n", "cannot be read"),
        ("t.csv.gz", b"a,b\n1,2\n", "cannot be read"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "cannot be read"),
        ("t.csv", b"a,b\n1,2\n1\0,2\n", r"t\.csv, line 3: a zero byte in '1\\x00,2'"),
    ],
)
def test_an_unusable_file_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=message) as refused:
        read_table(tmp_path / name, [])
    assert name in str(refused.value)


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
