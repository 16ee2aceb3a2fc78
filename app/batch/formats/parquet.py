"""Parquet of the batch: record batches one after the other, however large the row groups are."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
from pyarrow import parquet

from app.batch.answers import Fault, Options, Scored
from app.batch.tables import kept_names, score
from app.errors import Problem, quote
from app.formats.registry import check_names
from app.model.model import Model

ROWS = 65_536  # read, scored and written in one go
# Without one, a whole column of a row group is read at once.
BUFFER = 1024**2  # bytes


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a file.

    Attributes:
        batch: the rows.
        first: the number of the first one; 1 is the file's first.
        bytes: their share of the file's.
    """

    batch: pa.RecordBatch
    first: int
    bytes: int


class Reader:
    """Scores the rows of one Parquet file."""

    def __init__(self, model: Model, options: Options) -> None:
        self._model = model
        self._options = options

    def pieces(self, file: BinaryIO) -> Iterator[Rows]:
        """Read the file; gives rows without one if there are none.

        Raises:
            Problem: this is no Parquet, or its columns do not fit.
        """
        try:
            # Read ahead, a file would be in memory before its first row is.
            source = parquet.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER)
            names = source.schema_arrow.names
            check_names(names, self._model.interface, len(names))
            kept = kept_names(names, self._options)
            features = [feature.name for feature in self._model.interface.features]
            columns = list(dict.fromkeys([*kept, *features]))
            first = 1
            size = file.seek(0, io.SEEK_END) / max(1, source.metadata.num_rows)
            for batch in source.iter_batches(ROWS, columns=columns):
                yield Rows(batch, first, round(size * batch.num_rows))
                first += batch.num_rows
            if first == 1:
                empty = source.schema_arrow.empty_table().select(columns)
                yield Rows(pa.RecordBatch.from_pylist([], empty.schema), 1, 0)
        except pa.ArrowException as error:
            raise Problem(
                "invalid-parquet",
                f"The file cannot be read as Parquet: {quote(str(error), 200)}.",
            ) from error

    def score(self, rows: Rows) -> Scored:
        """Score a piece; safe on several threads."""
        answers, misfits = score(self._model, rows.batch, self._options)
        faults = [
            Fault(rows.first + one["row"] - 1, one["column"], one["detail"]) for one in misfits
        ]
        return Scored(answers, answers.num_rows, faults)


class Writer:
    """Writes record batches as Parquet, a row group each."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer: parquet.ParquetWriter | None = None

    def render(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Give the rows as they are: they are packed while they are written."""
        return rows

    def write(self, rendered: pa.RecordBatch) -> None:
        """Write a row group."""
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._file, rendered.schema)
        self._writer.write_batch(rendered)

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.close()
