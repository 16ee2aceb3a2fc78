"""Dates and numbers as other countries write them, to the one notation that the rest reads.

A file says by `prepare.read` how it writes; nothing is guessed here. 2024-12-31 is a date and
1234.5 a number from here on, in the prepared tables and in what the server takes.
"""

import re

import pandas as pd

from stages.params import Read
from stages.preparation.table import MOSTLY, dates, refuse

CLOCK = r"(?:[ T]+(?P<clock>\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?"
# 31.12.2024, 31/12/2024, 31-12-2024, each with a time of day or without
DATES = {
    "dmy": re.compile(r"(?P<d>\d{1,2})([./-])(?P<m>\d{1,2})\2(?P<y>\d{4})" + CLOCK),
    "mdy": re.compile(r"(?P<m>\d{1,2})([./-])(?P<d>\d{1,2})\2(?P<y>\d{4})" + CLOCK),
    "ymd": re.compile(r"(?P<y>\d{4})([./-])(?P<m>\d{1,2})\2(?P<d>\d{1,2})" + CLOCK),
}
# 1234,5 and 1.234,5
COMMA_NUMBER = re.compile(r"[+-]?(?=[\d,])(?:\d{1,3}(?:\.\d{3})+|\d+)?(?:,\d+)?(?:[eE][+-]?\d+)?")


def plain(frame: pd.DataFrame, read: Read) -> pd.DataFrame:
    """A table of texts with its dates and numbers in the notation of the rest.

    Args:
        frame: every cell as text, NaN where missing.
        read: how the file writes them.

    Raises:
        TableError: a column mostly written so has values that are not.
    """
    if read.dates != "iso":
        frame = frame.apply(lambda column: iso_dates(column, DATES[read.dates]))
    if read.decimal == ",":
        frame = frame.apply(decimal_points)
    return frame


def iso_dates(column: pd.Series, pattern: re.Pattern[str]) -> pd.Series:
    """A column of dates as 2024-12-31; one of something else as it is."""
    present = column.dropna()
    matches = present.map(pattern.fullmatch)
    if present.empty or matches.notna().mean() < MOSTLY:
        return column
    refuse(present[matches.isna()], "a date as prepare.read.dates says")
    days = matches.map(iso)
    refuse(present[dates(days).isna()], "a day of the calendar as prepare.read.dates says")
    return days.reindex(column.index)


def iso(match: re.Match[str]) -> str:
    """The date of a match, and its time of day where it has one."""
    day = f"{match['y']}-{int(match['m']):02}-{int(match['d']):02}"
    return f"{day}T{match['clock'].zfill(5)}" if match["clock"] else day


def decimal_points(column: pd.Series) -> pd.Series:
    """A column of numbers with a decimal point; one of something else as it is."""
    present = column.dropna()
    is_written_so = present.map(COMMA_NUMBER.fullmatch).notna()
    is_number = is_written_so | pd.to_numeric(present, errors="coerce").notna()
    if present.empty or is_number.mean() < MOSTLY:
        return column
    # 1.5 among them is refused: with a decimal comma a point can only part thousands
    refuse(present[~is_written_so], "a number with a decimal comma, as prepare.read.decimal says")
    points = present.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    return points.reindex(column.index)
