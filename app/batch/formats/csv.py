"""CSV of the batch: pieces of a stream to record batches, and record batches to CSV."""

import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from app.batch.answers import Fault, Options, Scored
from app.batch.formats.lines import Piece, end_of_rows, pieces, rows_of
from app.batch.tables import kept_names, score_beside
from app.errors import Problem
from app.formats import csv
from app.model.model import Model
from app.settings import Limits

# A piece is small; the whole may be of any size.
LIMITS = Limits(sys.maxsize, sys.maxsize, sys.maxsize)
LONGEST_ROW = 1024**2  # Arrow's
# What makes a cell need quotes.
SPECIAL = '",\n\r'


class Reader:
    """Scores the pieces of one CSV file."""

    def __init__(self, model: Model, options: Options) -> None:
        self._model = model
        self._options = options
        self._header = b""
        self._names: list[str] = []

    def pieces(self, file: BinaryIO) -> Iterator[Piece]:
        """Read the header, then give the rows piece by piece; one without rows if there are none.

        Raises:
            Problem: this is no such CSV, or its columns do not fit.
        """
        parts = pieces(file, end_of_rows)
        first = next(parts, Piece(b"", 1))
        self._names = csv.read_header(first.data)
        row, _, before = next(rows_of(first.data))
        start = first.data.index(row)
        self._header = row if row.endswith(b"\n") else row + b"\n"
        csv.read(self._header, self._model.interface, LIMITS)
        kept_names(self._names, self._options)
        yield Piece(first.data[start + len(row) :], first.line + before + row.count(b"\n"))
        yield from parts

    def score(self, piece: Piece) -> Scored:
        """Score a piece; safe on several threads."""
        try:
            return self._score(piece.data, piece, [])
        except Problem as problem:
            if problem.kind not in ("invalid-csv", "not-utf-8"):
                raise
        rows, faults = self._sift(piece)
        return self._score(rows, piece, faults)

    def _score(self, data: bytes, piece: Piece, faults: list[Fault]) -> Scored:
        features, _ = csv.read(self._header + data, self._model.interface, LIMITS)
        kept = self._read_kept(data, features.num_rows)
        rows, misfits = score_beside(self._model, features, kept, self._options)
        if misfits:
            lines = _lines(data, piece.line, features.num_rows)
            faults += [
                Fault(lines[one["row"] - 1], one["column"], one["detail"]) for one in misfits
            ]
            faults.sort(key=lambda fault: fault.line)
        return Scored(rows, rows.num_rows, faults)

    def _read_kept(self, data: bytes, rows: int) -> pa.RecordBatch:
        """Read the columns to keep as the texts that they are."""
        names = kept_names(self._names, self._options)
        if not names:
            return pa.RecordBatch.from_struct_array(pa.nulls(rows, pa.struct([])).fill_null({}))
        table = arrow_csv.read_csv(
            pa.py_buffer(self._header + data),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=b'"' in data),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=names,
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],  # in Parquet an empty text would be a value
                strings_can_be_null=True,
            ),
        ).combine_chunks()
        batches = table.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)

    def _sift(self, piece: Piece) -> tuple[bytes, list[Fault]]:
        """Take the rows out that no reader can place, and leave an empty line for each."""
        good, faults, lines = [], [], 0
        for row, cells, before in rows_of(piece.data):
            good.append(b"\n" * (before - lines))  # the empty ones, so that all keep their numbers
            lines = before + row.count(b"\n")
            reason = ""
            if len(cells) != len(self._names):
                reason = f"has {len(cells)} cells, the header has {len(self._names)}"
            elif len(row) > LONGEST_ROW:
                reason = f"is longer than {LONGEST_ROW // 1024**2} MiB"
            elif not row.isascii() and not _is_utf8(row):
                reason = "is not UTF-8"
            if reason:
                faults.append(Fault(piece.line + before, "", reason))
            good.append(b"\n" * row.count(b"\n") if reason else row)
        return b"".join(good), faults


def _is_utf8(row: bytes) -> bool:
    try:
        row.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(data: bytes, first: int, rows: int) -> Sequence[int]:
    """Tell each row's line."""
    if b'"' not in data and data.count(b"\n") + (not data.endswith(b"\n")) == rows:
        return range(first, first + rows)
    return [first + before for _, _, before in rows_of(data)]


class Writer:
    """Writes record batches as CSV; texts and numbers as they come, quoted where they must be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._is_empty = True

    def render(self, rows: pa.RecordBatch) -> tuple[bytes, pa.Buffer]:
        """Give a header and lines; safe on several threads."""
        header = _joined([_quoted(pa.array([name])) for name in rows.schema.names])
        return header.to_pybytes(), _joined([_cells(column) for column in rows.columns])

    def write(self, rendered: tuple[bytes, pa.Buffer]) -> None:
        """Write what was rendered; the header once."""
        header, lines = rendered
        if self._is_empty:
            self._file.write(header)
            self._is_empty = False
        self._file.write(lines)

    def close(self) -> None:
        """Nothing is left to be written."""


def _cells(column: pa.Array) -> pa.Array:
    try:
        texts = column.cast(pa.string())
    except pa.ArrowException as error:
        raise Problem(
            "no-csv-form", f"A column of {column.type} has no CSV form: {error}. Keep others."
        ) from error
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return _quoted(texts) if is_text or pa.types.is_dictionary(column.type) else texts


def _quoted(texts: pa.Array) -> pa.Array:
    """Put the cells that need it in quotes."""
    start, end = _span(texts)
    letters = texts.buffers()[2].slice(start, end - start).to_pybytes() if end else b""
    if not any(letter.encode() in letters for letter in SPECIAL):  # a fraction of the regex's time
        return texts
    special = pc.match_substring_regex(texts, f"[{SPECIAL}]")
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), texts)


def _joined(cells: list[pa.Array]) -> pa.Buffer:
    """Join cells to lines, and lines to one text."""
    if len(cells) == 1:  # readers take an empty line for none
        cells = [cells[0].fill_null('""')]
    lines = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
    ended = pc.binary_join_element_wise(lines, "\n", "")
    start, end = _span(ended)
    return ended.buffers()[2].slice(start, end - start) if end else pa.py_buffer(b"")


def _span(texts: pa.Array) -> tuple[int, int]:
    """Where the letters of an array of texts begin and end in its buffer."""
    if not len(texts):
        return 0, 0
    offsets = memoryview(texts.buffers()[1]).cast("i")
    return offsets[texts.offset], offsets[texts.offset + len(texts)]
