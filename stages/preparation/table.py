"""A user's table: text to typed columns, with every doubt named by row and column."""

import numpy as np
import pandas as pd

from app.model.manifest import Kind

# A column is read as a number, boolean or date when at least this share of its values is one;
# the rest are then mistakes to report. Below it, the column is a category.
MOSTLY = 0.95
SHOWN = 20
BOOLEANS = {"true": 1.0, "false": 0.0}
ISO_DATE = r"\d{4}-\d{2}-\d{2}"


class TableError(ValueError):
    """The table cannot be used as it is; the message lists column, row and value."""


def typed(column: pd.Series) -> tuple[Kind, pd.Series]:
    """Find a column's kind and convert its values.

    Args:
        column: text or typed values, NaN where missing.

    Returns:
        The kind, and the values: number and boolean float64, date datetime64[ns] (UTC,
        without zone), category object of str; NaN or NaT where missing.

    Raises:
        TableError: a column mostly of one kind has values that are not, or infinite ones.
    """
    if pd.api.types.is_bool_dtype(column.dtype):
        return "boolean", column.astype("float64")
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "number", refuse_infinite(column.astype("float64"))
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "date", dates(column)
    text = column.astype(object).where(column.notna(), np.nan)
    present = text.dropna().map(str)
    if present.empty:
        return "number", text.astype("float64")
    if present.str.lower().isin(BOOLEANS).mean() >= MOSTLY:
        values = present.str.lower().map(BOOLEANS)
        refuse(present[values.isna()], "true or false")
        return "boolean", values.reindex(text.index)
    numbers = pd.to_numeric(present, errors="coerce")
    if numbers.notna().mean() >= MOSTLY:
        refuse(present[numbers.isna()], "a number")
        # Python's own conversion: the nearest double, as the server reads it
        return "number", refuse_infinite(present.map(float).reindex(text.index))
    if present.str.match(ISO_DATE).mean() >= MOSTLY:
        moments = dates(present)
        refuse(present[moments.isna()], "a date such as 2024-12-31 or 2024-12-31T23:59:59")
        return "date", moments.reindex(text.index)
    return "category", present.reindex(text.index)


def dates(column: pd.Series) -> pd.Series:
    """Moments as datetime64[ns], in UTC without zone; NaT where a text is no date."""
    moments = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    return moments.dt.tz_localize(None).astype("datetime64[ns]")


def refuse_infinite(column: pd.Series) -> pd.Series:
    """The column, unless it holds an infinite number."""
    refuse(column[np.isinf(column)], "a finite number")
    return column


def refuse(bad: pd.Series, expected: str) -> None:
    """Raise TableError listing the values that are not what their column holds.

    Args:
        bad: the offending values; the index counts data rows from 0.
        expected: what a value should have been.
    """
    if bad.empty:
        return
    examples = zip(bad.index[:SHOWN].tolist(), bad[:SHOWN], strict=True)
    lines = [f"  column {bad.name!r}, row {row + 1}: {value!r}" for row, value in examples]
    more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    raise TableError(
        f"{len(bad)} value(s) of column {bad.name!r} are not {expected} (rows count from 1 after "
        "the header):\n" + "\n".join(lines) + more + "\nMend the table, or list a text that "
        "means 'no value' in prepare.missing, or drop the column in prepare.drop."
    )
