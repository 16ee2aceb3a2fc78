"""The JSON bodies of MLflow's scoring protocol, to packed rows."""

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any, cast

import orjson

from app.errors import MAX_ERRORS, Problem, invalid_values
from app.formats.json import pack_records, parse_object
from app.formats.registry import refuse_repeated
from app.model.model import Model
from app.model.records import Record
from app.model.runtime import Packed
from app.settings import Limits

KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# MLflow's clients may send it beside the rows; nothing here depends on it.
IGNORED = "params"


def pack(body: bytes | bytearray, model: Model, limits: Limits) -> tuple[Packed, list[str]]:
    """Read and pack a JSON body of `/invocations`; see `app.formats.registry.pack`."""
    return pack_records(_records(body), model, limits)


def _records(body: bytes | bytearray) -> Sequence[Record]:
    parsed = parse_object(body, _parse)
    keys = set(parsed) - {IGNORED}
    if len(keys) != 1 or not keys <= set(KEYS):
        raise Problem(
            "invalid-json", f"The body must be a JSON object with one of {', '.join(KEYS)}."
        )
    if not isinstance(parsed.get(IGNORED, {}), dict):
        raise Problem("invalid-json", f"{IGNORED!r} must be an object.")
    (key,) = keys
    rows = parsed[key]
    if key == "dataframe_split":
        return _records_of_split(rows)
    if key == "inputs" and isinstance(rows, dict):
        return _records_of_columns(rows)
    if not isinstance(rows, list):
        raise Problem("invalid-json", f"{key!r} must be a list of objects.")
    return cast(list[Record], rows)


def _parse(body: bytes | bytearray) -> Any:
    """Parse JSON in which a missing number may be NaN, as MLflow's own client writes it."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        if b"NaN" not in body:
            raise
    try:
        parsed = json.loads(body.decode(), parse_constant=_constant, parse_int=_whole_number)
        orjson.dumps(parsed)  # refuses halves of surrogate pairs, as its reader does
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except orjson.JSONEncodeError as error:
        raise ValueError(str(error)) from error
    return parsed


def _whole_number(digits: str) -> int | float:
    """A whole number as orjson reads it: beyond 64 bits, the nearest float."""
    value = int(digits) if len(digits) < 20 else 2**64
    return value if -(2**63) <= value < 2**64 else float(digits)


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is not a number of JSON")


def _records_of_split(frame: Any) -> Sequence[Record]:
    columns = frame.get("columns") if isinstance(frame, dict) else None
    rows = frame.get("data") if isinstance(frame, dict) else None
    if (
        not isinstance(columns, list)
        or not isinstance(rows, list)
        or not all(isinstance(name, str) for name in columns)
    ):
        raise Problem(
            "invalid-json",
            '"dataframe_split" must be {"columns": [names], "data": [[values], ...]}.',
        )
    refuse_repeated(columns)
    width = len(columns)
    faults = (
        {"row": number, "detail": f"is not a list of {width} values, one per column"}
        for number, row in enumerate(rows, 1)
        if not isinstance(row, list) or len(row) != width
    )
    if first := [*islice(faults, MAX_ERRORS)]:
        raise invalid_values(first)
    return _Records(columns, rows)


def _records_of_columns(columns: dict[str, Any]) -> Sequence[Record]:
    lengths = {len(values) if isinstance(values, list) else -1 for values in columns.values()}
    if len(lengths) != 1 or -1 in lengths:
        raise Problem(
            "invalid-json", '"inputs" must give a list of values per column, all of one length.'
        )
    return _Records([*columns], _Rows([*columns.values()]))


class _Records(Sequence[Record]):
    """Rows as records, each made when it is looked at: they take far more memory than the rows."""

    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._names = names
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._record(row) for row in self._rows[index]]
        return self._record(self._rows[index])

    def _record(self, row: Sequence[Any]) -> Record:
        return dict(zip(self._names, row, strict=True))


class _Rows(Sequence[Sequence[Any]]):
    """Columns of one length as rows, each made when it is looked at."""

    def __init__(self, columns: Sequence[list[Any]]) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [*zip(*(column[index] for column in self._columns), strict=True)]
        return [column[index] for column in self._columns]
