import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.params import Read
from stages.preparation.reading import USUAL, read_table
from stages.preparation.table import TableError


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
        ("t.csv", "a\ncaf\xe9\n".encode("latin-1"), "not utf-8 text.*cp1252"),
        ("t.csv", b"a,b\n1,2\n\n1,2,3\n", "1 row.*header's 2 cells.*\n  row 2: 3 cells"),
        ("t.csv", b"a,b\n1,000,2\n3,4\n", "1 row.*header's 2 cells.*\n  row 1: 3 cells"),
        ("t.csv", b"a,b\n1,2\n3\n", "1 row.*header's 2 cells.*\n  row 2: 1 cells"),
        ("t.csv", b"a;b\n1,5;2\n", "header is one column, 'a;b', .* with ';' .*read.delimiter"),
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


def as_told(**changes: str) -> Read:
    return USUAL.model_copy(update=changes)


def test_a_csv_as_europeans_write_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = ["Straße;Preis;Kauf;Code", "Köln;1.234,50;31.12.2024;1.2.3", "Bonn;-7;1.2.2024;x"]
    path.write_text("\n".join(lines) + "\n", encoding="cp1252")
    read = as_told(delimiter=";", encoding="cp1252", dates="dmy", decimal=",")
    assert read_table(path, [], read).to_numpy().tolist() == [
        ["Köln", "1234.50", "2024-12-31", "1.2.3"],
        ["Bonn", "-7", "2024-02-01", "x"],
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tabs_and_other_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("é\tb\n1,5\tx\n", encoding=encoding)
    table = read_table(path, [], as_told(delimiter="\t", encoding=encoding))
    assert table.to_dict("records") == [{"é": "1,5", "b": "x"}]


@pytest.mark.parametrize(
    ("notation", "cell", "expected"),
    [
        ("dmy", "1/2/2024 9:05", "2024-02-01T09:05"),
        ("mdy", "12-31-2024 10:05:07.5", "2024-12-31T10:05:07.5"),
        ("ymd", "2024/1/2", "2024-01-02"),
        ("ymd", "2024-01-02", "2024-01-02"),
        ("dmy", "31.12/2024", "31.12/2024"),
    ],
)
def test_dates_become_iso(tmp_path: Path, notation: str, cell: str, expected: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"a,b\n{cell},x\n,y\n")
    table = read_table(path, [], as_told(dates=notation))
    assert table["a"].dropna().tolist() == [expected]
    assert table["b"].tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("changes", "good", "bad", "message"),
    [
        ({"dates": "dmy"}, "31.12.2024", "12/31/2024", "a day of the calendar"),
        ({"dates": "dmy"}, "31.12.2024", "yesterday", "a date as prepare.read.dates"),
        ({"decimal": ","}, '"1,5"', "1.5", "a number with a decimal comma"),
    ],
)
def test_what_is_not_written_as_told_is_named(
    tmp_path: Path, changes: dict[str, str], good: str, bad: str, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + f"{good},x\n" * 40 + f"{bad},x\n")
    with pytest.raises(TableError, match=message) as refused:
        read_table(path, [], as_told(**changes))
    assert f"column 'a', row 41: '{bad}'" in str(refused.value)
