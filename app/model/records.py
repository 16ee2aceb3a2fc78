"""JSON records to packed arrays: the short way for one row, and the checks that go with it."""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.errors import MAX_ERRORS, Problem, invalid_values, quote
from app.model.manifest import Feature
from app.model.runtime import Packed

Record = dict[str, Any]

ROWS = 2_048  # packed in one go, so that no other thread waits long

# The dates that CSV cells may hold too and that training reads the same; Python accepts more.
ISO_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|[+-]\d\d(:?[0-5]\d)?)?)?",
    re.ASCII,
)


class RecordPacker:
    """Packs records for one model's features."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._names = frozenset(feature.name for feature in features)
        self._numeric = [
            (feature.name, _READERS[feature.kind])
            for feature in features
            if feature.kind != "category"
        ]
        self._categorical = [
            (feature.name, {text: code for code, text in enumerate(feature.categories)})
            for feature in features
            if feature.kind == "category"
        ]

    def pack(self, records: Sequence[Record]) -> Packed:
        """Pack records, each a mapping of column to JSON value.

        Raises:
            Problem: a column is missing or a value does not fit; names rows and columns.
        """
        if len(records) <= ROWS:
            return self._pack(records, first_row=1)
        parts = [
            self._pack(records[start : start + ROWS], first_row=start + 1)
            for start in range(0, len(records), ROWS)
        ]
        return Packed(
            np.concatenate([part.numeric for part in parts]),
            np.concatenate([part.categorical for part in parts]),
        )

    def _pack(self, records: Sequence[Record], first_row: int) -> Packed:
        try:
            return Packed(
                np.array(
                    [[read(record[name]) for name, read in self._numeric] for record in records],
                    np.float64,
                ).reshape(len(records), len(self._numeric)),
                np.array(
                    [
                        [_code(record[name], codes) for name, codes in self._categorical]
                        for record in records
                    ],
                    np.int64,
                ).reshape(len(records), len(self._categorical)),
            )
        except (KeyError, TypeError, ValueError):
            raise self._explain(records, first_row) from None

    def ignored(self, records: Sequence[Record]) -> list[str]:
        """Name the columns of the records that the model does not read, sorted."""
        width = len(self._names)
        if all(len(record) == width for record in records):  # pack() found every column
            return []
        return sorted({name for record in records for name in record} - self._names)

    def _explain(self, records: Sequence[Record], first_row: int) -> Problem:
        errors: list[dict[str, Any]] = []
        for row, record in enumerate(records, first_row):
            if not isinstance(record, dict):
                errors.append({"row": row, "detail": f"{quote(record)} is not an object"})
            else:
                errors.extend(self._faults(row, record))
            if len(errors) >= MAX_ERRORS:
                break
        return invalid_values(errors)

    def _faults(self, row: int, record: Record) -> list[dict[str, Any]]:
        faults = []
        readers: list[tuple[str, Callable[[Any], Any]]] = [
            *self._numeric,
            *((name, category_text) for name, _ in self._categorical),
        ]
        for name, read in readers:
            if name not in record:
                detail = "is missing; give a value, or null where there is none"
            else:
                try:
                    read(record[name])
                except (TypeError, ValueError) as error:
                    detail = str(error)
                else:
                    continue
            faults.append({"row": row, "column": name, "detail": detail})
        return faults


def category_text(value: object) -> str | None:
    """Give the text that stands for a JSON value in a CSV cell; None for null.

    Raises:
        ValueError: it has none.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)
    raise ValueError(f"{quote(value)} is not a category; give a text, or null")


def _code(value: object, codes: dict[str, int]) -> int:
    if value is None:
        return len(codes) + 1
    if type(value) is not str:
        value = category_text(value)
    return codes.get(value, len(codes))  # type: ignore[arg-type]


def _number(value: object) -> float:
    if value is None:
        return math.nan
    if (type(value) is float or type(value) is int) and math.isfinite(value):
        return value
    raise ValueError(f"{quote(value)} is not a number; give a finite JSON number, or null")


def _boolean(value: object) -> float:
    if value is None:
        return math.nan
    if type(value) in (bool, int, float) and value in (0, 1):
        return float(value)
    raise ValueError(f"{quote(value)} is not a boolean; give true, false, or null")


def _date(value: object) -> float:
    return math.nan if value is None else read_date(value).timestamp()


def read_date(value: object) -> datetime:
    """Read an ISO 8601 date or datetime; without a zone it is UTC.

    Nanoseconds are cut off: as float64 seconds they would round a day's last into the next day.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, str) and ISO_DATE.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{quote(value)} is not a date: {error}") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    raise ValueError(
        f"{quote(value)} is not a date; give ISO 8601 such as 2024-01-31 or "
        "2024-01-31T12:00:00Z, or null"
    )


_READERS = {"number": _number, "boolean": _boolean, "date": _date}
