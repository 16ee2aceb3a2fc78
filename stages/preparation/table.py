"""Reading a user's table: text to typed columns, with every doubt named by row and column."""

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from app.model.manifest import Kind

# A column is read as a number, boolean or date when at least this share of its values is one;
# the rest are then mistakes to report. Below it, the column is a category.
MOSTLY = 0.95
SHOWN = 20
LONGEST_CELL = 2**31 - 1  # as much as Python's reader takes anywhere; its default is 131,072
BOOLEANS = {"true": 1.0, "false": 0.0}
SEPARATORS = (";", "\t", "|")
ISO_DATE = r"\d{4}-\d{2}-\d{2}"
INDEX_LEVEL = re.compile(r"__index_level_\d+__")


class TableError(ValueError):
    """The table cannot be used as it is; the message lists column, row and value."""


def read_table(path: Path, missing: Sequence[str]) -> pd.DataFrame:
    """Read a CSV or Parquet table.

    Args:
        path: the file.
        missing: texts that mean "no value" in a CSV, beside the empty cell.

    Returns:
        CSV: every cell as text (object), NaN where missing. Parquet: the file's own types.

    Raises:
        TableError: the file is missing, empty, not what its name says, or repeats a column.
    """
    if not path.exists():
        raise TableError(
            f"{path} does not exist. Check base.path, or fetch the data with `dvc pull`."
        )
    try:
        if path.suffix == ".parquet":
            # Without the index that pandas may have left in the file: it is a column, or nothing
            frame = pq.read_table(path).to_pandas(ignore_metadata=True)
            frame = frame[[name for name in frame if not INDEX_LEVEL.fullmatch(str(name))]]
        else:
            names = header(path)
            refuse_repeated(names, path)
            refuse_separator(path, names)
            refuse_ragged(path, len(names))
            frame = pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                na_values=[""],
                encoding="utf-8-sig",
                index_col=False,
            ).set_axis(names, axis="columns")  # pandas calls a column without a name "Unnamed: 0"
            if missing:  # as they are spelt: pandas would take 0.0 for a 0
                frame = frame.mask(frame.isin(missing))
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        pa.ArrowInvalid,
        EOFError,  # a gzipped file that ends too early
        OSError,
    ) as error:
        raise TableError(f"{path} cannot be read: {error}") from error
    refuse_repeated([str(name) for name in frame.columns], path)
    if frame.empty:
        raise TableError(f"{path} has a header but no row.")
    named: pd.DataFrame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    return named


def header(path: Path) -> list[str]:
    """The first line of a CSV that is not blank, before pandas renames any column."""
    return next(records(path), [])


def records(path: Path) -> Iterator[list[str]]:
    """The lines of a CSV that are not blank, as cells."""
    csv.field_size_limit(LONGEST_CELL)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield from filter(None, csv.reader(without_nul(file, path)))


def without_nul(lines: Iterable[str], path: Path) -> Iterator[str]:
    """The lines of a CSV; a zero byte, at which pandas would cut its cell, raises TableError."""
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise TableError(
                f"{path}, line {number}: a zero byte in {line.strip()[:SHOWN]!r}. Remove it; a "
                "file full of them is UTF-16: save it as UTF-8."
            )
        yield line


def refuse_separator(path: Path, names: Sequence[str]) -> None:
    """Raise TableError when a CSV's header is one cell that something else takes apart."""
    separators = [sign for sign in SEPARATORS if len(names) == 1 and sign in names[0]]
    if separators:
        raise TableError(
            f"{path}: the header is one column, {names[0]!r}, which seems to be several "
            f"with {separators[0]!r} between them. Save the table with commas between the cells."
        )


def refuse_ragged(path: Path, width: int) -> None:
    """Raise TableError when a row of a CSV has more or fewer cells than its header."""
    counts = enumerate(map(len, records(path)))
    bad = [(number, count) for number, count in counts if count != width]
    if bad:
        lines = [f"  row {number}: {count} cells" for number, count in bad[:SHOWN]]
        more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise TableError(
            f"{path}: {len(bad)} row(s) do not have the header's {width} cells (rows count from 1 "
            "after the header):\n" + "\n".join(lines) + more + "\nQuote cells that hold a comma, "
            "and give each row a cell for each column."
        )


def refuse_repeated(names: Sequence[str], path: Path) -> None:
    """Raise TableError when two columns share a name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TableError(f"{path}: columns named twice: {', '.join(map(repr, repeated))}.")


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
