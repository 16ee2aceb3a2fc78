"""Parquet: bytes to a typed Arrow table, or the reason why not; and its rows as CSV."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from app.errors import Problem, quote
from app.formats.registry import Bytes, check_names
from app.model.manifest import Interface
from app.model.model import Model
from app.model.packing import pack as pack_table
from app.model.runtime import Packed
from app.settings import Limits

BATCH = 1_024  # rows unpacked in one go, texts and all
GROWTH = 4  # a number of 8 bytes takes up to 25 as text


def pack(data: Bytes, model: Model, limits: Limits) -> tuple[Packed, list[str]]:
    """Read and pack a Parquet file; see `app.formats.registry.pack`."""
    table, ignored = read(data, model.interface, limits)
    return pack_table(table, model.interface.features), ignored


def read(data: Bytes, interface: Interface, limits: Limits) -> tuple[pa.Table, list[str]]:
    """Read a Parquet file.

    Returns:
        The model's columns, and the names of the others.

    Raises:
        Problem: the file is not Parquet, too large, or its columns do not fit the model.
    """
    try:
        file = parquet.ParquetFile(pa.py_buffer(data))
        schema = file.schema_arrow
        ignored = check_names(schema.names, interface, limits.max_columns)
        _check_size(file.metadata, limits)
        names = [feature.name for feature in interface.features]
        # Texts stay encoded: a few bytes can stand for millions of long ones.
        texts = [name for name in names if _is_text(schema.field(name).type)]
        table = parquet.ParquetFile(
            pa.py_buffer(data), metadata=file.metadata, read_dictionary=texts
        ).read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise Problem(
            "invalid-parquet", f"The file cannot be read as Parquet: {quote(str(error), 200)}."
        ) from error
    return table, ignored


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _check_size(metadata: parquet.FileMetaData, limits: Limits) -> None:
    """Refuse by what the file says of itself, before it is unpacked."""
    limits.check_rows(metadata.num_rows)
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if size > limits.max_bytes:
        raise Problem(
            "too-large",
            f"The file unpacks to {size} bytes; this server takes at most {limits.max_bytes}.",
            status=413,
        )


def as_csv(data: Bytes, max_bytes: int) -> bytes:
    """Write all rows and columns as CSV.

    Raises:
        Problem: they have no form as CSV, or take more than `GROWTH` times `max_bytes`.
    """
    limit = GROWTH * max_bytes
    too_large = Problem(
        "too-large", f"These rows take more than {limit} bytes as CSV. Ask for JSON.", status=413
    )
    sink = pa.BufferOutputStream()
    try:
        buffer = pa.py_buffer(data)
        file = parquet.ParquetFile(buffer)
        if sum(_text_lengths(buffer, file.metadata)) > limit:
            raise too_large
        with arrow_csv.CSVWriter(sink, file.schema_arrow) as writer:
            for batch in file.iter_batches(BATCH):
                writer.write(batch)
                if sink.tell() > limit:
                    raise too_large
    except pa.ArrowException as error:
        raise Problem(
            "no-csv-form", f"These rows have no CSV form: {error}. Ask for JSON."
        ) from error
    return bytes(sink.getvalue())


def _text_lengths(buffer: pa.Buffer, metadata: parquet.FileMetaData) -> Iterator[int]:
    """Add up each text column while it is encoded: a few bytes can stand for gigabytes."""
    types = {
        field.name: field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        for field in metadata.schema.to_arrow_schema()
    }
    plain = {pa.string(), pa.large_string(), pa.binary(), pa.large_binary()}
    texts = [name for name, type_ in types.items() if type_ in plain]
    encoded = parquet.ParquetFile(buffer, metadata=metadata, read_dictionary=texts)
    for name, type_ in types.items():
        if pa.types.is_fixed_size_binary(type_):
            yield type_.byte_width * metadata.num_rows
        elif type_ in plain:
            for chunk in encoded.read(columns=[name]).column(name).chunks:
                lengths = pc.binary_length(chunk.dictionary)
                yield pc.sum(lengths.take(chunk.indices), min_count=0).as_py()
