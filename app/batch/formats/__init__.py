"""The formats that the batch reads and writes, one module each.

A module is imported when its format is needed: Arrow's import takes long, and one JSON event
needs none of it.
"""

import io
from collections.abc import Iterator
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol, cast

from app.batch.answers import Options, Scored
from app.errors import Problem
from app.formats.registry import FOREIGN
from app.model.model import Model

CSV, PARQUET, JSON_LINES = "csv", "parquet", "json_lines"
SUFFIXES = {
    ".csv": CSV,
    ".parquet": PARQUET,
    ".pq": PARQUET,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
}


class Reader(Protocol):
    """Reads one file of a format; a module's `Reader`."""

    def __init__(self, model: Model, options: Options) -> None:
        """Make one for a file that the model is to score."""

    def pieces(self, file: BinaryIO) -> Iterator[Any]:
        """Cut it, one piece after the other. Each tells its size in `bytes`.

        Raises:
            Problem: the file is not of the format, or its columns do not fit.
        """

    def score(self, piece: Any) -> Scored:
        """Score a piece, on any thread."""


class Writer(Protocol):
    """Writes one file of a format; a module's `Writer`."""

    def __init__(self, file: BinaryIO) -> None:
        """Make one for a file."""

    def render(self, rows: Any) -> Any:
        """Prepare rows, on any thread."""

    def write(self, rendered: Any) -> None:
        """Write them."""

    def close(self) -> None:
        """Write what ends the file."""


def reader(kind: str, model: Model, options: Options) -> Reader:
    """Make a format's reader."""
    return cast(Reader, import_module(f"{__name__}.{kind}").Reader(model, options))


def writer(kind: str, file: BinaryIO) -> Writer:
    """Make a format's writer."""
    return cast(Writer, import_module(f"{__name__}.{kind}").Writer(file))


def kind_of_name(name: str) -> str | None:
    """Recognise a format by a file's name."""
    return SUFFIXES.get(PurePosixPath(name).suffix.lower())


def kind_of(name: str, file: BinaryIO) -> str:
    """Recognise a file's format, by its first bytes or its name.

    Raises:
        Problem: it is one that is not read here.
    """
    start = cast(io.BufferedReader, file).peek(64)[:64]
    for first_bytes, advice in FOREIGN.items():
        if start.startswith(first_bytes):
            raise Problem("foreign-format", f"The file is {advice}.")
    if start.startswith(b"PAR1"):
        return PARQUET
    if by_name := kind_of_name(name):
        return by_name
    return JSON_LINES if start.lstrip().startswith(b"{") else CSV
