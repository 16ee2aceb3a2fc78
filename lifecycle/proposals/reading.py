"""The keys of `prepare.read`, by what is in the file."""

import codecs
import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from lifecycle.proposals.column import Proposal
from lifecycle.proposals.features import NO_VALUE
from stages.params import SPREADSHEETS, Read
from stages.preparation.notation import COMMA_NUMBER, DATES, iso
from stages.preparation.reading import USUAL, open_text
from stages.preparation.spreadsheet import sheet_names
from stages.preparation.table import MOSTLY, dates

MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PIECE = 1 << 20  # bytes
LINES = 200  # of the beginning, that tell the delimiter
ROWS = 10_000  # from the whole table, that tell the notation; the check reads all
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


def propose_file(path: Path) -> list[Proposal]:
    """The keys that it takes to see the cells: encoding, delimiter, sheet."""
    sheet = Proposal("prepare.read.sheet", None, "not a spreadsheet")
    if path.suffix in SPREADSHEETS:
        first, *others = sheet_names(path)
        reason = (
            f"the first of {len(others) + 1}, beside {', '.join(others)}"
            if others
            else "the only one"
        )
        sheet = Proposal("prepare.read.sheet", first if others else None, reason)
    if path.suffix == ".parquet" or path.suffix in SPREADSHEETS:
        return [
            Proposal("prepare.read.encoding", USUAL.encoding, "not a CSV"),
            Proposal("prepare.read.delimiter", USUAL.delimiter, "not a CSV"),
            sheet,
        ]
    encoding, reason = guess_encoding(path)
    delimiter = guess_delimiter(path, encoding)
    return [
        Proposal("prepare.read.encoding", encoding, reason),
        Proposal("prepare.read.delimiter", delimiter, f"{DELIMITERS[delimiter]} parts the cells"),
        sheet,
    ]


def guess_encoding(path: Path) -> tuple[str, str]:
    """The encoding of a CSV, and why."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        piece = file.read(PIECE)
        if piece.startswith(MARKS):
            return "utf-16", "the file begins with its mark"
        try:
            while piece:
                decoder.decode(piece)
                piece = file.read(PIECE)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252", "the file is not UTF-8; look at its accents and umlauts"
    return "utf-8", "the file is UTF-8"


def guess_delimiter(path: Path, encoding: str) -> str:
    """The sign that takes the first lines apart into the most columns, alike in each."""
    with open_text(path, encoding, errors="replace") as file:
        lines = "".join(line for _, line in zip(range(LINES), file, strict=False))
    best, most = ",", 1
    for delimiter in DELIMITERS:
        rows = [row for row in csv.reader(io.StringIO(lines), delimiter=delimiter) if row]
        if not rows:
            continue
        width = len(rows[0])
        alike = sum(len(row) == width for row in rows) / len(rows)
        if width > most and alike > 0.9:
            best, most = delimiter, width
    return best


def propose_notation(cells: pd.DataFrame, read: Read) -> Iterator[Proposal]:
    """`prepare.read.decimal` and `.dates`, by the cells.

    Args:
        cells: every cell as text, as the file writes it.
        read: how the file was read.
    """
    sample = cells.iloc[:: len(cells) // ROWS + 1]
    columns = {str(name): values(sample[name]) for name in sample}
    columns = {name: column for name, column in columns.items() if len(column)}
    with_comma, with_point = [], []
    for name, column in columns.items():
        if mostly(column.map(COMMA_NUMBER.fullmatch).notna()):
            if column.str.contains(",").any():
                with_comma.append(name)
        elif mostly(pd.to_numeric(column, errors="coerce").notna()):
            with_point.append(name)
    if with_comma and read.delimiter != "," and not with_point:
        yield Proposal("prepare.read.decimal", ",", f"a comma in the numbers of {with_comma[0]!r}")
    else:
        reason = "a point in the numbers, or none"
        if with_comma:
            reason = (
                f"{with_comma[0]!r} has a comma in its numbers, and is read as texts: if it is a "
                "decimal comma, set this to ','; if it parts thousands, take it out"
            )
        yield Proposal("prepare.read.decimal", ".", reason)
    yield propose_dates(columns)


def propose_dates(columns: dict[str, pd.Series]) -> Proposal:
    """`prepare.read.dates`: the notation that reads the most columns, day before month."""
    fits: dict[str, list[str]] = {notation: [] for notation in DATES}
    for name, column in columns.items():
        for notation, pattern in DATES.items():
            matches = column.map(pattern.fullmatch)
            if mostly(matches.notna()) and dates(matches.dropna().map(iso)).notna().all():
                fits[notation].append(name)
    best = max(fits, key=lambda notation: len(fits[notation]))
    is_iso = best == "ymd" and all("-" in columns[name].iloc[0] for name in fits[best])
    if not fits[best] or is_iso:
        return Proposal("prepare.read.dates", "iso", "2024-12-31, or no dates")
    example = f"{fits[best][0]!r} holds {columns[fits[best][0]].iloc[0]!r}"
    if best == "dmy" and fits["mdy"] == fits["dmy"]:
        example += "; month before day (mdy) would fit as well: you must know"
    return Proposal("prepare.read.dates", best, example)


def values(cells: pd.Series) -> pd.Series:
    """The cells that hold something."""
    present = cells.dropna()
    return present[~present.isin(NO_VALUE)]


def mostly(is_one: pd.Series) -> bool:
    """Whether nearly all are."""
    return bool(is_one.mean() >= MOSTLY)
