"""Parquet bytes to a typed Arrow table, or the reason why not."""

import pyarrow as pa
from pyarrow import parquet

from app.errors import Problem, quote
from app.formats.columns import check_names
from app.model.manifest import Manifest
from app.settings import Settings


def read_parquet(
    data: bytes | bytearray, manifest: Manifest, limits: Settings
) -> tuple[pa.Table, list[str]]:
    """Read a Parquet file.

    Returns:
        The model's columns, and the names of the others.

    Raises:
        Problem: the file is not Parquet, too large, or does not fit the model.
    """
    try:
        file = parquet.ParquetFile(pa.py_buffer(data))
        schema = file.schema_arrow
        ignored = check_names(schema.names, manifest, limits.max_columns)
        _check_size(file.metadata, limits)
        names = [feature.name for feature in manifest.features]
        # Texts stay encoded: a few bytes can stand for millions of long ones.
        kinds = ((name, schema.field(name).type) for name in names)
        texts = [
            n for n, kind in kinds if pa.types.is_string(kind) or pa.types.is_large_string(kind)
        ]
        table = parquet.ParquetFile(
            pa.py_buffer(data), metadata=file.metadata, read_dictionary=texts
        ).read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise Problem(
            "invalid-parquet", f"The file cannot be read as Parquet: {quote(str(error), 200)}."
        ) from error
    return table, ignored


def _check_size(metadata: parquet.FileMetaData, limits: Settings) -> None:
    """Refuse by what the file says of itself, before it is unpacked."""
    if metadata.num_rows > limits.max_rows:
        raise Problem(
            "too-many-rows",
            f"The file has {metadata.num_rows} rows; this server takes at most {limits.max_rows}.",
            status=413,
        )
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if size > limits.max_bytes:
        raise Problem(
            "too-large",
            f"The file unpacks to {size} bytes; this server takes at most {limits.max_bytes}.",
            status=413,
        )
