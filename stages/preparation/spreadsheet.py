"""A sheet of an Excel or OpenDocument file as the cells that its CSV would have."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from python_calamine import CalamineError, CalamineWorkbook, load_workbook

from stages.preparation.table import SHOWN, TableError


def sheet_names(path: Path) -> list[str]:
    """The sheets of a file, in order.

    Raises:
        TableError: it is no spreadsheet, or needs a password.
    """
    with open_workbook(path) as book:
        return list(book.sheet_names)


def open_workbook(path: Path) -> CalamineWorkbook:
    """Open a spreadsheet.

    Raises:
        TableError: it is none, or needs a password.
    """
    try:
        return load_workbook(path)
    except CalamineError as error:
        raise TableError(f"{path} cannot be read: {error}") from error


def sheet_cells(path: Path, name: str | None) -> pd.DataFrame:
    """The rows of a sheet as texts, NaN where a cell is empty or holds an error such as #N/A.

    The header is the first row that is not blank; blank rows are passed over, as in a CSV.

    Args:
        path: the file.
        name: of the sheet; the first one for None.

    Raises:
        TableError: there is no such sheet, it is empty, or a row has cells beyond the header.
    """
    with open_workbook(path) as book:
        names = list(book.sheet_names)
        if name is not None and name not in names:
            raise TableError(
                f"prepare.read.sheet: {path} has no sheet {name!r}. It has: {', '.join(names)}."
            )
        rows = [row for row in book.get_sheet_by_name(name or names[0]).to_python() if any_of(row)]
    if not rows:
        raise TableError(f"{path}: the sheet {name or names[0]!r} is empty.")
    header = [text(cell) for cell in rows[0]]
    while header and not header[-1]:  # columns that only look used
        header.pop()
    width = len(header)
    bad = [str(number) for number, row in enumerate(rows) if any_of(row[width:])]
    if bad:
        raise TableError(
            f"{path}: {len(bad)} row(s) have cells to the right of the header's {width} (rows "
            f"count from 1 after the header): {', '.join(bad[:SHOWN])}. Name these columns, or "
            "clear the cells; the header must be the first row."
        )
    cells = [[text(cell) for cell in row[:width]] for row in rows[1:]]
    return pd.DataFrame(cells, columns=header, dtype=object).replace("", np.nan)


def any_of(row: Sequence[Any]) -> bool:
    """Whether a cell of a row holds something."""
    return any(cell != "" for cell in row)


def text(cell: Any) -> str:
    """A cell as a CSV would write it."""
    if isinstance(cell, datetime):
        midnight = (cell.hour, cell.minute, cell.second, cell.microsecond) == (0, 0, 0, 0)
        return (cell.date() if midnight else cell).isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return str(cell)
