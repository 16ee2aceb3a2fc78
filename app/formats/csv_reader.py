"""CSV bytes to a typed Arrow table, or the reason why not."""

import codecs
import contextlib
import csv
import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from app.errors import MAX_ERRORS, Problem, quote
from app.formats.columns import check_names
from app.model.manifest import Manifest

Bytes = bytes | bytearray

MAX_HEADER = 1024**2  # bytes
SLICE = 4 * 1024**2  # bytes looked at in one go, so that no thread waits long for another
TEXT = pa.dictionary(pa.int32(), pa.string())


def read_csv(data: Bytes, manifest: Manifest, max_columns: int) -> tuple[pa.Table, list[str]]:
    """Read a CSV file: UTF-8, commas, one header line, `"` quotes.

    Returns:
        The model's columns, and the names of the others.

    Raises:
        Problem: the file is not such a CSV, or its columns or values do not fit the model.
    """
    header = read_header(data)
    ignored = _check_header(header, manifest, max_columns)
    quoted = _check_quotes(data)
    kinds = {
        feature.name: pa.float64() if feature.kind == "number" else TEXT
        for feature in manifest.features
    }
    try:
        table = _parse(data, kinds, manifest, quoted)
        numbers_fit = all(
            pc.all(pc.is_finite(table.column(name)), min_count=0).as_py()
            for name, kind in kinds.items()
            if kind != TEXT
        )
    except pa.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise _explain(data, error, kinds, manifest, quoted) from error
        numbers_fit = False
    if not numbers_fit:
        # As texts, so that who packs them can tell the faults.
        try:
            table = _parse(data, dict.fromkeys(kinds, TEXT), manifest, quoted)
        except pa.ArrowInvalid as error:
            raise _explain(data, error, kinds, manifest, quoted) from error
    return table, ignored


def read_header(data: Bytes) -> list[str]:
    """Read the column names.

    Raises:
        Problem: there is no header, or it is not UTF-8.
    """
    text = bytes(memoryview(data)[:MAX_HEADER]).decode("utf-8", "surrogateescape")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        names = next(filter(None, reader), None)
    except csv.Error as error:
        raise Problem("invalid-csv", f"The header line cannot be read: {error}.") from error
    if names is None:
        raise Problem("empty-file", "The file is empty. Send a CSV with a header line and rows.")
    if not all(_is_text(name) for name in names):
        raise _not_utf8("the header line")
    return names


def _check_header(names: list[str], manifest: Manifest, max_columns: int) -> list[str]:
    try:
        return check_names(names, manifest, max_columns)
    except Problem as problem:
        if problem.kind == "missing-columns" and len(names) == 1:
            for delimiter, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
                if delimiter in names[0]:
                    raise Problem(
                        "wrong-delimiter",
                        f"The header line has no commas; its columns look separated by {word}. "
                        "Save the file with commas.",
                        errors=problem.errors,
                    ) from None
        raise


def _check_quotes(data: Bytes) -> bool:
    """Whether the file has quotes; a quoted cell that never ends would swallow rows."""
    count = sum(data.count(b'"', start, start + SLICE) for start in range(0, len(data), SLICE))
    if count % 2:
        reader = csv.reader(_lines(data), strict=True)
        try:
            for _ in reader:
                pass
        except csv.Error as error:
            raise Problem(
                "invalid-csv", f"Line {reader.line_num}: the quotes are wrong: {error}."
            ) from error
    return count > 0


def _lines(data: Bytes) -> Iterator[str]:
    for line in io.BytesIO(data):
        yield line.decode("utf-8", "surrogateescape")


def _parse(
    data: Bytes, kinds: dict[str, pa.DataType], manifest: Manifest, quoted: bool
) -> pa.Table:
    return arrow_csv.read_csv(
        pa.py_buffer(data),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=quoted),
        convert_options=arrow_csv.ConvertOptions(
            column_types=kinds,
            include_columns=list(kinds),
            null_values=["", *manifest.missing_values],
            strings_can_be_null=True,
        ),
    )


def _explain(
    data: Bytes,
    error: pa.ArrowInvalid,
    kinds: dict[str, pa.DataType],
    manifest: Manifest,
    quoted: bool,
) -> Problem:
    """Find out what Arrow could not read, and where."""
    if "UTF8" in str(error):
        return _not_utf8(f"line {_undecodable_line(data)}")
    errors: list[dict[str, Any]] = []

    def note(row: Any) -> str:
        detail = f"has {row.actual_columns} cells, the header has {row.expected_columns}"
        # Arrow counts the header as row 1.
        errors.append({"row": row.number - 1, "detail": detail})
        return "skip" if len(errors) < MAX_ERRORS else "error"

    if "Expected" in str(error):
        # It stops with an error where the handler says that it has noted enough.
        with contextlib.suppress(pa.ArrowInvalid):
            arrow_csv.read_csv(
                pa.py_buffer(data),
                read_options=arrow_csv.ReadOptions(use_threads=False),
                parse_options=arrow_csv.ParseOptions(
                    newlines_in_values=quoted, invalid_row_handler=note
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=list(kinds), column_types=dict.fromkeys(kinds, pa.binary())
                ),
            )
    if errors:
        first = errors[0]
        return Problem("invalid-csv", f"Row {first['row']} {first['detail']}.", errors=errors)
    if "straddling" in str(error):
        return Problem("invalid-csv", "A row is longer than 1 MiB, or a quote is never closed.")
    return Problem("invalid-csv", f"The file cannot be read as CSV: {quote(str(error), 200)}.")


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


def _not_utf8(where: str) -> Problem:
    return Problem(
        "not-utf-8", f"The file is not UTF-8: see {where}. Save it in the encoding UTF-8."
    )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
