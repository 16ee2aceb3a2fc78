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
    """Find a column's kind and convert its values, which may share the column's memory.

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
        return "number", refuse_infinite(column.astype("float64", copy=False))
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "date", dates(column)
    text = column[column.notna()].astype(object).map(str)
    if text.empty:
        return "number", pd.Series(np.nan, index=column.index, name=column.name)
    # What is asked of each text is asked once of those that are the same
    places, distinct = pd.factorize(text)
    counts, texts = np.bincount(places), pd.Series(distinct)

    def is_most(fits: pd.Series) -> bool:
        return bool(counts[fits].sum() / len(text) >= MOSTLY)

    def spread(values: pd.Series) -> pd.Series:
        rows = values.iloc[places].set_axis(text.index).rename(column.name)
        return rows if len(rows) == len(column) else rows.reindex(column.index)

    lower = texts.str.lower()
    if is_most(lower.isin(BOOLEANS)):
        values = lower.map(BOOLEANS)
        refuse(text[values.isna().to_numpy()[places]], "true or false")
        return "boolean", spread(values)
    is_number = pd.to_numeric(texts, errors="coerce").notna()
    if is_most(is_number):
        refuse(text[~is_number.to_numpy()[places]], "a number")
        # Python's own conversion: the nearest double, as the server reads it
        return "number", refuse_infinite(spread(texts.map(float)))
    if is_most(texts.str.match(ISO_DATE)):
        moments = dates(texts)
        refuse(
            text[moments.isna().to_numpy()[places]],
            "a date such as 2024-12-31 or 2024-12-31T23:59:59",
        )
        return "date", spread(moments)
    return "category", spread(texts)


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
