"""Spreadsheets, by files that another program's library writes here."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import Workbook

from stages.preparation.reading import USUAL, read_table
from stages.preparation.table import TableError, typed


def write(path: Path, **sheets: list[list[Any]]) -> Path:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_cells_are_what_their_csv_would_hold(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        [],
        ["code", "when", "size", "new", "half"],
        ["007", date(2024, 12, 31), 3.0, True, "=1/0"],
        [],
        [None, datetime(2024, 12, 31, 9, 5), 1e-7, False, "NA"],
    ]
    table = read_table(write(tmp_path / "t.xlsx", one=rows), ["NA"])
    assert table.replace(np.nan, None).to_numpy().tolist() == [
        ["007", "2024-12-31", "3", "True", None],
        [None, "2024-12-31T09:05:00", "1e-07", "False", None],
    ]
    assert [typed(table[name])[0] for name in ("when", "size", "new")] == [
        "date",
        "number",
        "boolean",
    ]


def test_the_sheet_is_the_first_or_the_named_one(tmp_path: Path) -> None:
    path = write(tmp_path / "t.xlsx", one=[["a"], [1]], two=[["b"], [2]], empty=[])
    assert read_table(path, []).columns.tolist() == ["a"]
    two = USUAL.model_copy(update={"sheet": "two"})
    assert read_table(path, [], two).columns.tolist() == ["b"]


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        ("three", "no sheet 'three'. It has: one, wide, empty"),
        ("empty", "'empty' is empty"),
        ("wide", r"1 row\(s\) have cells to the right of the header's 1 .*: 2\."),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, sheet: str, message: str) -> None:
    wide: list[list[Any]] = [["a"], [1], [2, 3]]
    path = write(tmp_path / "t.xlsx", one=[["a"], [1]], wide=wide, empty=[])
    with pytest.raises(TableError, match=message):
        read_table(path, [], USUAL.model_copy(update={"sheet": sheet}))


def test_a_file_that_is_no_spreadsheet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_text("a,b\n1,2\n")
    with pytest.raises(TableError, match=r"t\.xlsx cannot be read"):
        read_table(tmp_path / "t.xlsx", [])
