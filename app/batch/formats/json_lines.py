"""JSON lines of the batch: an object a line in, the same with its prediction out.

Nothing here needs Arrow: one event is answered in a fraction of a second.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from app.batch.answers import Fault, Options, Scored
from app.batch.formats.lines import Piece, end_of_lines, pieces
from app.batch.records import score_records
from app.formats.columns import column_names
from app.model.model import Model
from app.model.records import Record

if TYPE_CHECKING:
    import pyarrow as pa


class Reader:
    """Scores the pieces of one file of JSON lines."""

    def __init__(self, model: Model, options: Options) -> None:
        self._model = model
        self._options = options
        self._names = column_names(model.interface, options.extras, ())

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
        positions, values, misfits = score_records(self._model, records, self._options)
        faults += [
            Fault(numbers[one["row"] - 1], one.get("column", ""), one["detail"]) for one in misfits
        ]
        faults.sort(key=lambda fault: fault.line)
        rows = map(self._answer, (records[position] for position in positions), values)
        return Scored(b"".join(rows), len(positions), faults)

    def _answer(self, record: Record, values: Sequence[Any]) -> bytes:
        keep = self._options.keep
        kept = record if keep is None else {name: record.get(name) for name in keep}
        names = self._names
        if any(name in kept for name in names):
            names = column_names(self._model.interface, self._options.extras, list(kept))
        return _line(kept | dict(zip(names, values, strict=True)))


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
