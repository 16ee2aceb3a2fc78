"""JSON lines of the batch: an object a line in, the same with its prediction out.

Nothing here needs Arrow: one event is answered in a fraction of a second.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import orjson

from app.batch.answers import Fault, Options, Scored, prediction_columns, prediction_names
from app.batch.formats.lines import Piece, end_of_lines, pieces
from app.errors import Problem
from app.model.model import Model
from app.model.records import Record
from app.model.runtime import Packed

if TYPE_CHECKING:
    import pyarrow as pa


class Reader:
    """Scores the pieces of one file of JSON lines."""

    def __init__(self, model: Model, options: Options) -> None:
        self._model = model
        self._options = options

    def pieces(self, file: BinaryIO) -> Iterator[Piece]:
        """Cut the file."""
        return pieces(file, end_of_lines)

    def score(self, piece: Piece) -> Scored:
        """Score a piece; safe on several threads."""
        faults: list[Fault] = []
        records: list[Record] = []
        numbers: list[int] = []
        for number, line in enumerate(piece.data.split(b"\n"), piece.line):
            if not line.strip():
                continue
            try:
                records.append(orjson.loads(line))
                numbers.append(number)
            except orjson.JSONDecodeError as error:
                faults.append(Fault(number, "", f"is not JSON: {error}"))
        if not records:
            return Scored(b"", 0, faults)
        try:
            packed = self._model.packer.pack(records)
        except Problem:
            packed, records, misfits = self._sift(records, numbers)
            faults = sorted([*faults, *misfits], key=lambda fault: fault.line)
        rows = self._answers(records, packed) if records else b""
        return Scored(rows, len(records), faults)

    def _sift(
        self, records: list[Record], numbers: list[int]
    ) -> tuple[Packed, list[Record], list[Fault]]:
        """Pack each record by itself, and name the faults of those that do not fit."""
        parts, fitting, faults = [], [], []
        for number, record in zip(numbers, records, strict=True):
            try:
                parts.append(self._model.packer.pack([record]))
                fitting.append(record)
            except Problem as problem:
                faults += [
                    Fault(number, error.get("column", ""), error["detail"])
                    for error in problem.errors
                ]
        packed = Packed(
            np.concatenate([part.numeric for part in parts] or [np.empty((0, 0))]),
            np.concatenate([part.categorical for part in parts] or [np.empty((0, 0), np.int64)]),
        )
        return packed, fitting, faults

    def _answers(self, records: list[Record], packed: Packed) -> bytes:
        model, options = self._model, self._options
        columns = [values.tolist() for values in prediction_columns(model.predict(packed), options)]
        names = prediction_names(model.interface, options, ())
        lines = []
        for record, *values in zip(records, *columns, strict=True):
            kept = (
                record
                if options.keep is None
                else {name: record.get(name) for name in options.keep}
            )
            if any(name in kept for name in names):
                names_here = prediction_names(model.interface, options, list(kept))
            else:
                names_here = names
            lines.append(_line(kept | dict(zip(names_here, values, strict=True))))
        return b"".join(lines)


class Writer:
    """Writes JSON lines."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def render(self, rows: "bytes | pa.RecordBatch") -> bytes:
        """Give the lines; safe on several threads."""
        return rows if isinstance(rows, bytes) else b"".join(map(_line, rows.to_pylist()))

    def write(self, rendered: bytes) -> None:
        """Write what was rendered."""
        self._file.write(rendered)

    def close(self) -> None:
        """Nothing is left to be written."""


def _line(record: dict[str, Any]) -> bytes:
    return orjson.dumps(record, default=str, option=orjson.OPT_APPEND_NEWLINE)
