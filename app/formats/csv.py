"""CSV: bytes to a typed Arrow table, or the reason why not; and predictions appended to rows."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from app.errors import Problem
from app.formats.columns import SET, class_text, column_names, column_values, set_texts
from app.formats.csv_faults import check_quotes, explain, not_utf8
from app.formats.registry import Bytes, check_names
from app.model.manifest import Interface
from app.model.model import Extras, Model, Prediction
from app.model.packing import pack as pack_table
from app.model.packing import packing_memory
from app.model.runtime import Packed
from app.settings import Limits

MAX_HEADER = 1024**2  # bytes
TEXT = pa.dictionary(pa.int32(), pa.string())

# Memory that reading takes at most: for a cell; for a byte of the file; for a byte of one that is
# parsed with all its columns.
READ_CELL, READ_BYTE, PARSED_BYTE = 16, 10, 18

SPECIAL = re.compile(rb'[",\r\n]')  # what a cell must have quotes for
ROWS = 16_384  # written in one go
SLICE = 1024**2  # bytes searched or split in one go, so that no other thread waits long


def pack(data: Bytes, model: Model, limits: Limits) -> tuple[Packed, list[str]]:
    """Read and pack a CSV file; see `app.formats.registry.pack`."""
    features = model.interface.features
    limits.claim(_reading_memory(data, len(features)))
    table, ignored = read(data, model.interface, limits)
    limits.check_rows(table.num_rows)
    limits.claim(packing_memory(table))
    return pack_table(table, features), ignored


def _reading_memory(data: Bytes, columns: int) -> int:
    """Bytes that reading a file may take at most, beside its own."""
    lines = 1 + sum(
        data.count(b"\n", start, start + SLICE) + data.count(b"\r", start, start + SLICE)
        for start in range(0, len(data), SLICE)
    )
    return READ_CELL * columns * lines + READ_BYTE * len(data)


def reply_memory(data: Bytes) -> int:
    """Bytes that a file's rows may take at most while predictions are appended to them."""
    return (1 if _one_line_per_row(data) else PARSED_BYTE) * len(data)


def as_csv(data: Bytes, limits: Limits) -> Bytes:
    """Give the file as it is; it was small enough to be received."""
    return data


def read(data: Bytes, interface: Interface, limits: Limits) -> tuple[pa.Table, list[str]]:
    """Read a CSV file: UTF-8, commas, one header line, `"` quotes.

    Returns:
        The model's columns, and the names of the others.

    Raises:
        Problem: the file is not such a CSV, or its columns do not fit the model.
    """
    header = read_header(data)
    ignored = _check_header(header, interface, limits.max_columns)
    quotes = sum(data.count(b'"', start, start + SLICE) for start in range(0, len(data), SLICE))
    if quotes % 2:
        check_quotes(data, limits)
    quoted = quotes > 0
    types = {
        feature.name: pa.float64() if feature.kind == "number" else TEXT
        for feature in interface.features
    }
    missing = ["", *interface.missing_values]
    try:
        table = _parse(data, types, quoted, missing)
        numbers_fit = all(
            pc.all(pc.is_finite(table.column(name)), min_count=0).as_py()
            for name, type_ in types.items()
            if type_ != TEXT
        )
    except pa.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise explain(data, error, list(types), quoted) from error
        numbers_fit = False
    if not numbers_fit:
        # Read as texts: then packing can name each cell that is not a number.
        try:
            table = _parse(data, dict.fromkeys(types, TEXT), quoted, missing)
        except pa.ArrowInvalid as error:
            raise explain(data, error, list(types), quoted) from error
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
    if not all(_is_utf8(name) for name in names):
        raise not_utf8("the header line")
    return names


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_header(names: list[str], interface: Interface, max_columns: int) -> list[str]:
    try:
        return check_names(names, interface, max_columns)
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


def _parse(
    data: Bytes, types: Mapping[str, pa.DataType], quoted: bool, missing: Sequence[str]
) -> pa.Table:
    return arrow_csv.read_csv(
        pa.py_buffer(data),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=quoted),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=missing,
            strings_can_be_null=bool(missing),
        ),
    )


def reply(rows: Bytes, prediction: Prediction, interface: Interface, extras: Extras) -> list[bytes]:
    """Append the predictions to the rows of a CSV file.

    The rows stay as they were sent where each line is one; in a file with quotes or lone
    carriage returns, their cells stay. The new columns are `prediction` and, with
    probabilities, one `probability_<class>` for each class; with intervals `prediction_lower`
    and `prediction_upper`, or `prediction_set`, a JSON list; with an explanation one
    `contribution:<column>` for each column. A name that the file already has gets an
    underscore. A number that is not finite becomes an empty cell.

    Args:
        rows: the file.
        prediction: the answers to its rows.
        interface: the model's.
        extras: what is told beside the predictions.

    Returns:
        The new file, in pieces.

    Raises:
        Problem: the rows cannot be matched with their predictions.
    """
    names = read_header(rows)
    records = _lines(rows) if _one_line_per_row(rows) else _parsed_records(rows, names)
    header = next(records)
    new_names = column_names(interface, extras, names)
    columns = [
        np.array(set_texts(values), object) if name.startswith(SET) else values
        for name, values in zip(new_names, column_values(prediction), strict=True)
    ]
    pieces = [b",".join([header, *(_cell(name.encode()) for name in new_names)]) + b"\n"]
    written = 0
    for start in range(0, len(prediction.values), ROWS):
        cells = [_cells(values[start : start + ROWS]) for values in columns]
        lines = [b",".join(line) for line in zip(islice(records, ROWS), *cells, strict=False)]
        written += len(lines)
        pieces.append(b"\n".join([*lines, b""]))
    if written != len(prediction.values) or next(records, None) is not None:
        raise Problem(
            "invalid-csv",
            "The lines of the file cannot be told apart safely; ask for JSON, or quote its cells.",
        )
    return pieces


def _one_line_per_row(data: Bytes) -> bool:
    """Whether the lines, which all end in a line feed, are what the parser takes for rows."""
    if b'"' in data or b"\n" not in data:
        return False
    return b"\r" not in data or data.count(b"\r") == data.count(b"\r\n")


def _lines(data: Bytes) -> Iterator[bytes]:
    """Give the lines that hold something, without their ends."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + SLICE) + 1 or len(data)
        for line in bytes(memoryview(data)[start:end]).split(b"\n"):
            if record := line.removesuffix(b"\r"):
                yield record
        start = end


def _parsed_records(data: Bytes, names: Sequence[str]) -> Iterator[bytes]:
    """Give the records as the parser that packs them sees them, each written anew."""
    quoted = b'"' in data
    table = _parse(data, dict.fromkeys(names, pa.binary()), quoted, missing=())
    yield b",".join([_cell(name.encode()) for name in names])
    for batch in table.to_batches(ROWS):
        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield b",".join(map(_cell, cells))


def _cell(content: bytes) -> bytes:
    """Write one cell, quoted where it needs to be."""
    if SPECIAL.search(content):
        return b'"' + content.replace(b'"', b'""') + b'"'
    return content


def _cells(values: np.ndarray[Any, Any]) -> list[bytes]:
    if values.dtype == np.float64:
        numbers = orjson.dumps(values.tolist())[1:-1].replace(b"null", b"")
        return numbers.split(b",")
    cell_of = {label: _cell(class_text(label).encode()) for label in set(values.tolist())}
    return [cell_of[label] for label in values.tolist()]
