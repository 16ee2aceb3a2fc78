"""What is wrong with a CSV file, and where: for people who must repair it."""

import codecs
import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from app.errors import MAX_ERRORS, Problem, quote
from app.formats.registry import Bytes
from app.settings import Limits

LONGEST_ROW = 1024**2  # bytes; Arrow reads none that are longer


def check_quotes(data: Bytes, limits: Limits) -> None:
    """Look for a quoted cell that never ends; it would take the rows after it into itself.

    Raises:
        Problem: there is one; names its line. Or a row is too long, or there are too many.
    """
    csv.field_size_limit(LONGEST_ROW)
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", "surrogateescape", newline="")
    size = 0  # of the row so far

    def lines() -> Iterator[str]:
        """Give no line that the reader would work on for seconds, while no other thread can."""
        nonlocal size
        while line := text.readline(LONGEST_ROW + 1):
            size += len(line)
            if size > LONGEST_ROW:
                raise _too_long()
            yield line

    reader = csv.reader(lines(), strict=True)
    try:
        for number, _ in enumerate(reader):
            size = 0
            if number:  # the header is none
                limits.check_rows(number)
    except csv.Error as error:
        raise Problem(
            "invalid-csv", f"Line {reader.line_num}: the quotes are wrong: {error}."
        ) from error


def explain(data: Bytes, error: pa.ArrowInvalid, columns: Sequence[str], quoted: bool) -> Problem:
    """Say what Arrow could not read.

    Args:
        data: the file.
        error: what Arrow said of it.
        columns: the names that it was to read.
        quoted: whether the file has quotes.
    """
    if not _is_utf8(data):  # first: Arrow prints a traceback for each such row that it names
        return not_utf8(f"line {_undecodable_line(data)}")
    errors = _rows_of_wrong_length(data, columns, quoted) if "Expected" in str(error) else []
    if errors:
        first = errors[0]
        return Problem("invalid-csv", f"Row {first['row']} {first['detail']}.", errors=errors)
    if "straddling" in str(error):
        return _too_long()
    return Problem("invalid-csv", f"The file cannot be read as CSV: {quote(str(error), 200)}.")


def _too_long() -> Problem:
    return Problem("invalid-csv", "A row is longer than 1 MiB, or a quote is never closed.")


def not_utf8(place: str) -> Problem:
    """Say that a file is in another encoding, and where that shows."""
    return Problem(
        "not-utf-8", f"The file is not UTF-8: see {place}. Save it in the encoding UTF-8."
    )


def _rows_of_wrong_length(
    data: Bytes, columns: Sequence[str], quoted: bool
) -> list[dict[str, Any]]:
    """Name the first rows that have more or fewer cells than the header."""
    errors: list[dict[str, Any]] = []

    def note(row: Any) -> str:
        detail = f"has {row.actual_columns} cells, the header has {row.expected_columns}"
        # Arrow counts the header as row 1.
        errors.append({"row": row.number - 1, "detail": detail})
        return "skip" if len(errors) < MAX_ERRORS else "error"

    # Arrow raises once `note` has answered "error": then there are enough.
    with contextlib.suppress(pa.ArrowInvalid):
        arrow_csv.read_csv(
            pa.py_buffer(data),
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=quoted, invalid_row_handler=note
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(columns), column_types=dict.fromkeys(columns, pa.binary())
            ),
        )
    return errors


def _is_utf8(data: Bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), LONGEST_ROW):
            decoder.decode(memoryview(data)[start : start + LONGEST_ROW])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _undecodable_line(data: Bytes) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    for number, row in enumerate(io.BytesIO(data), 1):
        line = number
        try:
            decoder.decode(row)
        except UnicodeDecodeError:
            break
    return line
