"""A stream of text to pieces that begin and end with whole records."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from app.errors import Problem

PIECE = 4 * 1024**2  # bytes: a fraction of a second's work for one core
LONGEST = 64 * 1024**2  # bytes of one record
QUOTE = ord('"')
BEFORE_A_QUOTED_CELL = np.frombuffer(b',\n\r"', np.uint8)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records of a file.

    Attributes:
        data: their bytes.
        line: the number of the first one's line; 1 is the file's first.
    """

    data: bytes
    line: int

    @property
    def bytes(self) -> int:
        """How many bytes they take."""
        return len(self.data)


def pieces(file: BinaryIO, end_of_records: Callable[[bytes], int]) -> Iterator[Piece]:
    """Cut a file into pieces.

    Args:
        file: the stream.
        end_of_records: tells how many bytes of a piece are whole records.

    Raises:
        Problem: a record never ends.
    """
    rest = b""
    line = 1
    while data := file.read(PIECE):
        rest += data
        end = end_of_records(rest)
        if end:
            yield Piece(rest[:end], line)
            line += rest.count(b"\n", 0, end)
            rest = rest[end:]
        elif len(rest) > LONGEST:
            raise Problem(
                "invalid-csv",
                f"Line {line}: the row is longer than {LONGEST // 1024**2} MiB, or a quote is "
                "never closed.",
            )
    if rest:
        yield Piece(rest, line)


def end_of_lines(data: bytes) -> int:
    """Where the last whole line ends."""
    return data.rfind(b"\n") + 1


def end_of_rows(data: bytes) -> int:
    """Where the last whole row of CSV ends; a quoted cell may hold line ends."""
    quotes = np.flatnonzero(np.frombuffer(data, np.uint8) == QUOTE)
    if not len(quotes):
        return end_of_lines(data)
    if not _only_around_cells(data, quotes):
        return _last_row(data)
    end = len(data)
    while end := data.rfind(b"\n", 0, end) + 1:
        if np.searchsorted(quotes, end) % 2 == 0:  # outside of a quoted cell
            return end
        end -= 1
    return 0


def rows_of(data: bytes) -> Iterator[tuple[bytes, list[str], int]]:
    """Read CSV row by row: the row's bytes, its cells, and how many lines come before it.

    Bytes that are no UTF-8 become surrogates in the cells. Empty lines are no rows.
    """
    lines = io.TextIOWrapper(io.BytesIO(data), "utf-8", "surrogateescape", newline="")
    row: list[str] = []

    def noted() -> Iterator[str]:
        for line in lines:
            row.append(line)
            yield line

    before = 0
    for cells in csv.reader(noted()):
        if cells:
            yield "".join(row).encode("utf-8", "surrogateescape"), cells, before
        before += len(row)
        row.clear()


def _only_around_cells(data: bytes, quotes: npt.NDArray[np.int64]) -> bool:
    """Whether no quote stands in a plain cell; then counting them tells inside from outside."""
    letters = np.frombuffer(data, np.uint8)
    opening = quotes[::2]
    before = letters[opening[opening > 0] - 1]
    return bool(np.isin(before, BEFORE_A_QUOTED_CELL).all())


def _last_row(data: bytes) -> int:
    """Where the row before the last one ends: the last may go on."""
    end = length = 0
    for row, _, _ in rows_of(data):
        end += length
        length = len(row)
    return end
