"""Reading a user's file, whatever writes it: CSV, Parquet or a spreadsheet, to a table of cells."""

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.params import SPREADSHEETS, Read
from stages.preparation.notation import plain
from stages.preparation.spreadsheet import sheet_cells
from stages.preparation.table import SHOWN, TableError

LONGEST_CELL = 2**31 - 1  # as much as Python's reader takes anywhere; its default is 131,072
SEPARATORS = (";", "\t", "|", ",")
INDEX_LEVEL = re.compile(r"__index_level_\d+__")
USUAL = Read(delimiter=",", encoding="utf-8", dates="iso", decimal=".", sheet=None)


def read_table(path: Path, missing: Sequence[str], read: Read = USUAL) -> pd.DataFrame:
    """Read a CSV, a Parquet file or a sheet of a spreadsheet.

    Args:
        path: the file.
        missing: texts that mean "no value" in a CSV or a spreadsheet, beside the empty cell.
        read: how the file writes its table.

    Returns:
        Parquet: the file's own types. Else every cell as text (object), NaN where missing, with
        dates as 2024-12-31 and numbers with a decimal point.

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
            frame = pq.read_table(path).to_pandas(
                ignore_metadata=True, split_blocks=True, self_destruct=True
            )
            frame = frame[[name for name in frame if not INDEX_LEVEL.fullmatch(str(name))]]
        else:
            is_sheet = path.suffix in SPREADSHEETS
            frame = sheet_cells(path, read.sheet) if is_sheet else csv_cells(path, read)
            if missing:  # as they are spelt: pandas would take 0.0 for a 0
                frame = frame.mask(frame.isin(missing))
    except UnicodeError as error:
        raise TableError(
            f"{path} is not {read.encoding} text ({error}). Name its encoding in "
            "prepare.read.encoding: cp1252 (Windows, western Europe), latin-1, utf-16; or save it "
            "as UTF-8."
        ) from error
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
    return named if path.suffix == ".parquet" else plain(named, read)


def csv_cells(path: Path, read: Read) -> pd.DataFrame:
    """The cells of a CSV as texts, NaN where empty."""
    names = header(path, read)
    refuse_repeated(names, path)
    refuse_separator(path, names)
    refuse_ragged(path, len(names), read)
    frame: pd.DataFrame = pd.read_csv(
        path,
        sep=read.delimiter,
        dtype=str,
        keep_default_na=False,
        na_values=[""],
        encoding=codec(read.encoding),
        index_col=False,
    ).set_axis(names, axis="columns")  # pandas calls a column without a name "Unnamed: 0"
    return frame


def codec(encoding: str) -> str:
    """Python's name of an encoding; UTF-8 may begin with the mark that Windows writes."""
    return "utf-8-sig" if encoding == "utf-8" else encoding


def open_text(path: Path, encoding: str, errors: str = "strict") -> TextIO:
    """Open a CSV, plain or in gzip, its line ends as they are."""
    opener = gzip.open if path.suffix == ".gz" else open
    return cast(TextIO, opener(path, "rt", encoding=codec(encoding), errors=errors, newline=""))


def header(path: Path, read: Read) -> list[str]:
    """The first line of a CSV that is not blank, before pandas renames any column."""
    return next(records(path, read), [])


def records(path: Path, read: Read) -> Iterator[list[str]]:
    """The lines of a CSV that are not blank, as cells."""
    csv.field_size_limit(LONGEST_CELL)
    with open_text(path, read.encoding) as file:
        yield from filter(None, csv.reader(without_nul(file, path), delimiter=read.delimiter))


def without_nul(lines: Iterable[str], path: Path) -> Iterator[str]:
    """The lines of a CSV; a zero byte, at which pandas would cut its cell, raises TableError."""
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise TableError(
                f"{path}, line {number}: a zero byte in {line.strip()[:SHOWN]!r}. Remove it; a "
                "file full of them is UTF-16: set prepare.read.encoding to utf-16."
            )
        yield line


def refuse_separator(path: Path, names: Sequence[str]) -> None:
    """Raise TableError when a CSV's header is one cell that something else takes apart."""
    separators = [sign for sign in SEPARATORS if len(names) == 1 and sign in names[0]]
    if separators:
        raise TableError(
            f"{path}: the header is one column, {names[0]!r}, which seems to be several with "
            f"{separators[0]!r} between them. Set prepare.read.delimiter to that, or save the "
            "table with commas between the cells."
        )


def refuse_ragged(path: Path, width: int, read: Read) -> None:
    """Raise TableError when a row of a CSV has more or fewer cells than its header."""
    counts = enumerate(map(len, records(path, read)))
    bad = [(number, count) for number, count in counts if count != width]
    if bad:
        lines = [f"  row {number}: {count} cells" for number, count in bad[:SHOWN]]
        more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise TableError(
            f"{path}: {len(bad)} row(s) do not have the header's {width} cells (rows count from 1 "
            "after the header):\n" + "\n".join(lines) + more + "\nQuote cells that hold "
            f"{read.delimiter!r}, and give each row a cell for each column."
        )


def refuse_repeated(names: Sequence[str], path: Path) -> None:
    """Raise TableError when two columns share a name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TableError(f"{path}: columns named twice: {', '.join(map(repr, repeated))}.")
