"""An uploaded file, whatever its format, to packed rows."""

from dataclasses import dataclass

from app.errors import Problem
from app.model.manifest import Manifest
from app.model.runtime import Packed
from app.operations import memory
from app.settings import Settings

# How files begin that people send by mistake, and Parquet.
PARQUET = b"PAR1"
FOREIGN = {
    b"\x1f\x8b": "gzip data; unpack it first",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; send its table as CSV or Parquet",
    b"PK\x05\x06": "a ZIP archive; send its table as CSV or Parquet",
    b"BZh": "bzip2 data; unpack it first",
    b"\xfd7zXZ": "xz data; unpack it first",
    b"\x28\xb5\x2f\xfd": "Zstandard data; unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; send its table as CSV or Parquet",
    b"\xff\xfe": "UTF-16 text; save it in the encoding UTF-8",
    b"\xfe\xff": "UTF-16 text; save it in the encoding UTF-8",
    b"%PDF": "a PDF; send its table as CSV or Parquet",
}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as received.

    Attributes:
        data: its bytes.
        named_parquet: its name or content type says that it is Parquet.
    """

    data: bytes | bytearray
    named_parquet: bool

    @property
    def is_parquet(self) -> bool:
        """Whether to read it as Parquet; otherwise it is CSV."""
        return self.named_parquet or self.data.startswith(PARQUET)


def warm_up(threads: int) -> None:
    """Import what files need, before the first one comes; let them use so many cores."""
    import pyarrow as pa

    from app.formats import csv_reader, parquet  # noqa: F401
    from app.model import packing  # noqa: F401

    memory.use_malloc_for_arrow()
    pa.set_cpu_count(threads)
    memory.release()


def pack_upload(upload: Upload, manifest: Manifest, limits: Settings) -> tuple[Packed, list[str]]:
    """Read and pack an upload.

    Returns:
        The rows, and the names of the columns that the model does not read.

    Raises:
        Problem: it cannot be read, or does not fit the model or the limits.
    """
    # Arrow takes long to import, and a server may never see a file.
    from app.formats.csv_reader import read_csv
    from app.formats.parquet import read_parquet
    from app.model.packing import pack

    data = upload.data
    if not data:
        raise Problem("empty-file", "The file is empty. Send a CSV with a header line and rows.")
    for start, meaning in FOREIGN.items():
        if data.startswith(start):
            raise Problem("foreign-format", f"The file is {meaning}.", status=415)
    if upload.is_parquet:
        table, ignored = read_parquet(data, manifest, limits)
    else:
        table, ignored = read_csv(data, manifest, limits.max_columns)
    check_rows(table.num_rows, limits)
    return pack(table, manifest.features), ignored


def check_rows(rows: int, limits: Settings) -> None:
    """Refuse a table without rows, or with too many."""
    if rows == 0:
        raise Problem("no-rows", "There is a header, but not one row of data.")
    if rows > limits.max_rows:
        raise Problem(
            "too-many-rows",
            f"There are {rows} rows; this server takes at most {limits.max_rows} at once.",
            status=413,
        )
