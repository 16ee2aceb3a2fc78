"""Every format of requests and replies: its name, how it is recognised, what all have in common.

To add a format of files: a row in `FILES`, a module beside this one with the functions of
`FileModule`, and its test in tests/app/formats/. Routes, page and schema read the rows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from app.errors import MAX_ERRORS, Problem, quote
from app.model.manifest import Interface
from app.model.model import Model
from app.model.runtime import Packed
from app.settings import Limits

if TYPE_CHECKING:
    import pyarrow as pa

Bytes = bytes | bytearray


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Attributes:
        name: what people call it.
        module: what reads and writes it; imported when it is first needed, since Arrow's
            import takes long and a server may never see a file.
        media_types: lower case, the one that the service itself uses first.
        suffixes: how names of such files end, lower case.
        first_bytes: how every such file begins; empty where no bytes are common to all.
    """

    name: str
    module: str
    media_types: tuple[str, ...]
    suffixes: tuple[str, ...]
    first_bytes: bytes = b""


class FormatModule(Protocol):
    """What the module of a format does."""

    def pack(self, data: Bytes, model: Model, limits: Limits) -> tuple[Packed, list[str]]:
        """See `pack` below."""


class FileModule(FormatModule, Protocol):
    """What the module of a format of files does."""

    def read(
        self, data: Bytes, interface: Interface, limits: Limits
    ) -> tuple["pa.Table", list[str]]:
        """Read a file; give the model's columns and the names of the others."""

    def as_csv(self, data: Bytes, limits: Limits) -> Bytes:
        """Give all rows and columns of a file as CSV, or refuse where that is too large."""


CSV = Format("CSV", "app.formats.csv", ("text/csv", "application/csv"), (".csv",))
PARQUET = Format(
    "Parquet",
    "app.formats.parquet",
    ("application/vnd.apache.parquet", "application/x-parquet"),
    (".parquet", ".pq"),
    b"PAR1",
)
JSON = Format("JSON", "app.formats.json", ("application/json",), (".json",))

# What may be sent as a file. JSON has routes and a limit of its own: to parse it takes more
# memory, and stops all other threads.
FILES = (CSV, PARQUET)

# How files begin that people send by mistake, and what to do with them.
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
        name: the file's name, where it has one.
        media_type: lower case, without parameters; empty where none was stated.
    """

    data: Bytes
    name: str = ""
    media_type: str = ""


def file_format(upload: Upload) -> Format:
    """Recognise a file: by its first bytes, else by its media type or name, else it is CSV.

    Raises:
        Problem: it is empty, or of a format that is not read here.
    """
    if not upload.data:
        raise Problem("empty-file", "The file is empty. Send a CSV with a header line and rows.")
    for start, advice in FOREIGN.items():
        if upload.data.startswith(start):
            raise Problem("foreign-format", f"The file is {advice}.", status=415)
    name = upload.name.lower()
    for candidate in FILES:
        if candidate.first_bytes and upload.data.startswith(candidate.first_bytes):
            return candidate
    for candidate in FILES:
        if upload.media_type in candidate.media_types or name.endswith(candidate.suffixes):
            return candidate
    return CSV


def is_file_type(media_type: str) -> bool:
    """Whether a media type is that of a file that is read here."""
    return any(media_type in candidate.media_types for candidate in FILES)


def pack(source: Format, data: Bytes, model: Model, limits: Limits) -> tuple[Packed, list[str]]:
    """Turn the bytes of a request, a file or a message into a model's packed rows.

    Returns:
        The rows in their order, and the names of the columns that the model does not read.

    Raises:
        Problem: the bytes cannot be read, or do not fit the model or the limits.
    """
    module = cast(FormatModule, import_module(source.module))
    return module.pack(data, model, limits)


def as_csv(source: Format, data: Bytes, limits: Limits) -> Bytes:
    """Give a file's rows as CSV; CSV itself as it is.

    Raises:
        Problem: they have no form as CSV, or are too large.
    """
    module = cast(FileModule, import_module(source.module))
    return module.as_csv(data, limits)


def check_names(names: Sequence[str], interface: Interface, max_columns: int) -> list[str]:
    """Check a table's column names against a model's.

    Returns:
        The names that the model does not read, in the table's order.

    Raises:
        Problem: too many columns, one of them twice, or one missing.
    """
    if len(names) > max_columns:
        raise Problem(
            "too-many-columns",
            f"The table has {len(names)} columns; this server takes at most {max_columns}.",
        )
    refuse_repeated(names)
    expected = [feature.name for feature in interface.features]
    present = set(names)
    missing = [name for name in expected if name not in present]
    if missing:
        raise Problem(
            "missing-columns",
            f"These columns are missing: {_first_few(missing)}. The table has {_first_few(names)}.",
            errors=[{"column": name, "detail": "is missing"} for name in missing],
        )
    read = set(expected)
    return [name for name in names if name not in read]


def refuse_repeated(names: Sequence[str]) -> None:
    """Refuse a table that has a column name twice.

    Raises:
        Problem: names them.
    """
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise Problem(
            "duplicate-columns",
            f"These columns appear more than once: {_first_few(repeated)}. Give each one name.",
            errors=[{"column": name, "detail": "appears more than once"} for name in repeated],
        )


def _first_few(names: Sequence[str]) -> str:
    listed = ", ".join(quote(name) for name in names[:MAX_ERRORS])
    more = len(names) - MAX_ERRORS
    return f"{listed} and {more} more" if more > 0 else listed
