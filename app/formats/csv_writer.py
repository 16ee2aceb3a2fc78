"""The uploaded rows as CSV, with the predictions appended."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import orjson

from app.errors import Problem
from app.formats.upload import Upload
from app.model.model import Model, Prediction

Bytes = bytes | bytearray

ROWS = 16_384  # written in one go
SLICE = 1024**2  # bytes taken apart in one go
BATCH = 1_024  # rows of Parquet unpacked in one go, texts and all
GROWTH = 4  # a number of 8 bytes takes up to 25 as text
LONGEST_CELL = 2**31 - 1  # uploads have their own limit; Python's is 131,072


def csv_reply(model: Model, upload: Upload, prediction: Prediction, max_bytes: int) -> list[bytes]:
    """Append the predictions to the rows that they answer.

    The rows stay as they were sent; where quotes are in play, their cells stay. The new
    columns are `prediction` and, with probabilities, one `probability_<class>` for each
    class; a name that the file already has gets an underscore. A number that is not finite
    becomes an empty cell.

    Args:
        model: the one that predicted.
        upload: the rows.
        prediction: the answers to them.
        max_bytes: largest upload.

    Returns:
        The file, in pieces.

    Raises:
        Problem: the rows cannot be matched with their predictions, or are too large as CSV.
    """
    csv.field_size_limit(LONGEST_CELL)
    data = upload.data
    if upload.is_parquet:
        data = _parquet_as_csv(upload.data, GROWTH * max_bytes)
    records = _plain(data) if _one_line_per_row(data) else _parsed(data)
    header = next(records)
    taken = next(csv.reader([header.decode("utf-8", "surrogateescape")]))
    columns = _columns(model, prediction)
    pieces = [b",".join([header, *(_free(name, taken) for name, _ in columns)]) + b"\n"]
    written = 0
    for start in range(0, len(prediction.values), ROWS):
        cells = [_cells(values[start : start + ROWS]) for _, values in columns]
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
    return b'"' not in data and b"\n" in data


def _plain(data: Bytes) -> Iterator[bytes]:
    """Give the lines that hold something, without their ends."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + SLICE) + 1 or len(data)
        for line in bytes(memoryview(data)[start:end]).split(b"\n"):
            if record := line.removesuffix(b"\r"):
                yield record
        start = end


def _parsed(data: Bytes) -> Iterator[bytes]:
    """Give the records that the quotes make, each written anew."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", "surrogateescape", newline="")
    return map(_record, filter(None, csv.reader(text)))


def _record(cells: Sequence[str]) -> bytes:
    """Write one record, without a line's end."""
    line = io.StringIO()
    # The writer quotes a cell that holds a character of its line end, so it needs both.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape")


def _columns(model: Model, prediction: Prediction) -> list[tuple[str, np.ndarray[Any, Any]]]:
    columns = [("prediction", prediction.values)]
    if prediction.probabilities is not None:
        names = [f"probability_{_text(label)}" for label in model.manifest.classes]
        columns += zip(names, prediction.probabilities.T, strict=True)
    return columns


def _free(name: str, taken: list[str]) -> bytes:
    while name in taken:
        name += "_"
    return _record([name])


def _cells(values: np.ndarray[Any, Any]) -> list[bytes]:
    if values.dtype == np.float64:
        numbers = orjson.dumps(values.tolist())[1:-1].replace(b"null", b"")
        return numbers.split(b",")
    rendered = {value: _record([_text(value)]) for value in set(values.tolist())}
    return [rendered[value] for value in values.tolist()]


def _text(label: object) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _parquet_as_csv(data: Bytes, max_bytes: int) -> bytes:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    too_large = Problem(
        "too-large",
        f"These rows take more than {max_bytes} bytes as CSV. Ask for JSON.",
        status=413,
    )
    sink = pa.BufferOutputStream()
    try:
        buffer = pa.py_buffer(data)
        file = parquet.ParquetFile(buffer)
        if sum(_text_lengths(buffer, file.metadata)) > max_bytes:
            raise too_large
        with arrow_csv.CSVWriter(sink, file.schema_arrow) as writer:
            for batch in file.iter_batches(BATCH):
                writer.write(batch)
                if sink.tell() > max_bytes:
                    raise too_large
    except pa.ArrowException as error:
        raise Problem(
            "no-csv-form", f"These rows have no CSV form: {error}. Ask for JSON."
        ) from error
    return bytes(sink.getvalue())


def _text_lengths(buffer: Any, metadata: Any) -> Iterator[int]:
    """Add up each text column while it is encoded: a few bytes can stand for gigabytes."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    kinds = {
        field.name: field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        for field in metadata.schema.to_arrow_schema()
    }
    plain = {pa.string(), pa.large_string(), pa.binary(), pa.large_binary()}
    texts = [name for name, kind in kinds.items() if kind in plain]
    encoded = parquet.ParquetFile(buffer, metadata=metadata, read_dictionary=texts)
    for name, kind in kinds.items():
        if pa.types.is_fixed_size_binary(kind):
            yield kind.byte_width * metadata.num_rows
        elif kind in plain:
            for chunk in encoded.read(columns=[name]).column(name).chunks:
                lengths = pc.binary_length(chunk.dictionary)
                yield pc.sum(lengths.take(chunk.indices), min_count=0).as_py()
