"""Parquet: bytes to a typed Arrow table, or the reason why not; and its rows as CSV."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from app.errors import Problem, quote
from app.formats.parquet_pages import PageError, Sizes, sizes
from app.formats.registry import Bytes, check_names
from app.model.manifest import Interface
from app.model.model import Model
from app.model.packing import check_type, is_text, packing_memory
from app.model.packing import pack as pack_table
from app.model.runtime import Packed
from app.settings import Limits

BATCH = 1_024  # rows unpacked in one go, texts and all
WIDEST_NUMBER = 32  # bytes, of a decimal
# Memory that reading takes at most: for a cell, for a byte of an unpacked page.
READ_CELL, READ_BYTE = 16, 8
# As CSV: for a byte of text, which grows, is copied and joined; for a cell that is no text.
TEXT_BYTE, NUMBER = 4, 27
GROWTH = 4  # a number of 8 bytes takes up to 25 as text


def pack(data: Bytes, model: Model, limits: Limits) -> tuple[Packed, list[str]]:
    """Read and pack a Parquet file; see `app.formats.registry.pack`."""
    table, ignored = read(data, model.interface, limits)
    limits.claim(packing_memory(table))
    return pack_table(table, model.interface.features), ignored


def read(data: Bytes, interface: Interface, limits: Limits) -> tuple[pa.Table, list[str]]:
    """Read a Parquet file.

    Returns:
        The model's columns, and the names of the others.

    Raises:
        Problem: the file is not Parquet, too large, or its columns do not fit the model.
    """
    names = [feature.name for feature in interface.features]
    with _readable():
        size = sizes(data, names)  # first: Arrow would take any footer in
        file = _open(data)
        schema = file.schema_arrow
        ignored = check_names(schema.names, interface, limits.max_columns)
        for feature in interface.features:
            check_type(feature, schema.field(feature.name).type)
        _check_stored(file, names)
        _check_size(size, limits)
        limits.claim(READ_CELL * len(names) * size.rows + READ_BYTE * size.unpacked)
        # Texts stay encoded: a few bytes can stand for millions of long ones.
        texts = [name for name in names if is_text(schema.field(name).type)]
        table = _open(data, texts).read(columns=names)
        # Arrow itself decodes what is not UTF-8, and indices beyond a dictionary.
        table.validate(full=True)
    return table, ignored


@contextmanager
def _readable() -> Iterator[None]:
    """Take what Arrow raises over a broken file for a fault of the file."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, PageError) as error:
        raise Problem(
            "invalid-parquet", f"The file cannot be read as Parquet: {quote(str(error), 200)}."
        ) from error


def _open(data: Bytes, texts: Sequence[str] = ()) -> parquet.ParquetFile:
    return parquet.ParquetFile(
        pa.py_buffer(data), read_dictionary=texts, page_checksum_verification=True
    )


def _check_size(size: Sizes, limits: Limits) -> None:
    """Refuse columns that unpack to too much, before they are unpacked."""
    limits.check_rows(size.rows)
    if size.unpacked > limits.max_bytes:
        raise Problem(
            "too-large",
            f"The file unpacks to {size.unpacked} bytes; this server takes at most "
            f"{limits.max_bytes}.",
            status=413,
        )


def _check_stored(file: parquet.ParquetFile, names: Collection[str]) -> None:
    """Refuse numbers that are stored as long bytes, which Arrow writes out before it looks."""
    schema = file.schema_arrow
    for leaf in map(file.schema.column, range(len(file.schema))):
        if leaf.path in names:
            type_ = schema.field(leaf.path).type
            if (
                leaf.length > WIDEST_NUMBER and not pa.types.is_fixed_size_binary(_values(type_))
            ) or (leaf.physical_type == "BYTE_ARRAY" and not (is_text(type_) or _is_bytes(type_))):
                raise PageError(f"column {leaf.path!r} stores {type_} as no writer does")


def _values(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _is_bytes(type_: pa.DataType) -> bool:
    kind = _values(type_)
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def as_csv(data: Bytes, limits: Limits) -> bytes:
    """Write all rows and columns as CSV.

    Raises:
        Problem: they have no form as CSV, or take more than `GROWTH` times `limits.max_bytes`.
    """
    limit = GROWTH * limits.max_bytes
    too_large = Problem(
        "too-large", f"These rows take more than {limit} bytes as CSV. Ask for JSON.", status=413
    )
    with _readable():
        file = _open(data)
        schema = file.schema_arrow
        _check_csv_form(schema)
        _check_stored(file, schema.names)
        size = sizes(data, schema.names)
        limits.claim(READ_CELL * len(schema.names) * size.rows + READ_BYTE * size.unpacked)
        texts = sum(_lengths(data, schema, size.rows))
        if max(size.unpacked, size.longest, texts) > limit:
            raise too_large
        numbers = NUMBER * len(schema.names) * size.rows
        limits.claim(TEXT_BYTE * min(limit, texts + numbers) + size.unpacked)
        sink = pa.BufferOutputStream()
        with arrow_csv.CSVWriter(sink, schema) as writer:
            for batch in file.iter_batches(BATCH):
                writer.write(batch)
                if sink.tell() > limit:
                    raise too_large
    return bytes(sink.getvalue())


def _check_csv_form(schema: pa.Schema) -> None:
    for field in schema:
        type_ = _values(field.type)
        is_number = pa.types.is_primitive(type_) or pa.types.is_decimal(type_)
        is_bytes = _is_bytes(type_) or pa.types.is_fixed_size_binary(type_)
        if not (is_number or is_bytes or is_text(type_) or pa.types.is_null(type_)):
            raise Problem(
                "no-csv-form",
                f"Column {quote(field.name)} holds {quote(str(type_))}, which has no CSV form. "
                "Ask for JSON.",
            )


def _lengths(data: Bytes, schema: pa.Schema, rows: int) -> Iterator[int]:
    """Add up each text column while it is encoded: a few bytes can stand for gigabytes."""
    texts = [field.name for field in schema if is_text(field.type) or _is_bytes(field.type)]
    encoded = _open(data, texts)
    for field in schema:
        if pa.types.is_fixed_size_binary(_values(field.type)):
            yield _values(field.type).byte_width * rows
        elif field.name in texts:
            column = encoded.read(columns=[field.name]).column(field.name)
            column.validate(full=True)
            for chunk in column.chunks:
                lengths = pc.binary_length(chunk.dictionary)
                yield pc.sum(lengths.take(chunk.indices), min_count=0).as_py()
