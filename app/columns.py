"""The columns of an uploaded table: are they all there, and do their values fit?"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.errors import MAX_ERRORS, Problem, invalid_values, quote
from app.manifest import Feature, Manifest
from app.records import read_date

# What a finite number looks like; C++ and Python would take "nan" and "inf" as well.
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}

Fault = tuple[int, str]  # row, counted from 0, and what is wrong there


def check_names(names: Sequence[str], manifest: Manifest, max_columns: int) -> list[str]:
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
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise Problem(
            "duplicate-columns",
            f"These columns appear more than once: {_listed(repeated)}. Give each one name.",
            errors=[{"column": name, "detail": "appears more than once"} for name in repeated],
        )
    wanted = [feature.name for feature in manifest.features]
    present = set(names)
    missing = [name for name in wanted if name not in present]
    if missing:
        raise Problem(
            "missing-columns",
            f"These columns are missing: {_listed(missing)}. The table has {_listed(names)}.",
            errors=[{"column": name, "detail": "is missing"} for name in missing],
        )
    return [name for name in names if name not in set(wanted)]


def conform(table: pa.Table, features: Sequence[Feature]) -> pa.Table:
    """Convert each feature's column to the Arrow type that `app.packing.pack` takes.

    Texts are read as CSV cells are; nulls are missing values.

    Raises:
        Problem: values that do not fit, with their rows and columns.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    errors: list[dict[str, Any]] = []
    for feature in features:
        column = table.column(feature.name)
        try:
            columns[feature.name], faults = _CONVERTERS[feature.kind](column)
        except pa.ArrowException as error:
            raise Problem(
                "invalid-type",
                f"Column {feature.name!r} holds {column.type}, which is no {feature.kind}.",
                errors=[{"column": feature.name, "detail": f"holds {column.type}"}],
            ) from error
        errors += [
            {"row": row + 1, "column": feature.name, "detail": detail} for row, detail in faults
        ]
    if errors:
        raise invalid_values(sorted(errors, key=lambda error: error["row"]))
    return pa.table(columns)


def _category(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[Fault]]:
    values = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_nested(values) or pa.types.is_binary(values):
        raise pa.ArrowTypeError("no text form")
    return column, []


def _number(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[Fault]]:
    texts = _texts(column)
    if texts is None:
        if pa.types.is_boolean(column.type) or pa.types.is_temporal(column.type):
            raise pa.ArrowTypeError("not numbers")
        numbers = column.cast(pa.float64(), safe=False)
        return numbers, _faults(pc.is_inf(numbers), column, "is not a finite number")
    trimmed = pc.utf8_trim(texts, " \t")
    fits = pc.match_substring_regex(trimmed, NUMBER)
    numbers = pc.if_else(fits, trimmed, None).cast(pa.float64())
    wrong = pc.or_(pc.invert(fits), pc.fill_null(pc.is_inf(numbers), False))
    return numbers, _faults(wrong, texts, "is not a finite number")


def _boolean(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[Fault]]:
    texts = _texts(column)
    if texts is not None:
        return _distinct(texts, _read_boolean, pa.bool_())
    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        return column, []
    if pa.types.is_temporal(column.type):
        raise pa.ArrowTypeError("not booleans")
    numbers = column.cast(pa.float64(), safe=False)
    absent = numbers.is_null(nan_is_null=True)
    known = pc.is_in(numbers, value_set=pa.array([0.0, 1.0]))
    return numbers, _faults(pc.invert(pc.or_(absent, known)), column, "is neither 0 nor 1")


def _date(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[Fault]]:
    texts = _texts(column)
    if texts is not None:
        try:
            return texts.cast(pa.timestamp("us")), []
        except pa.ArrowInvalid:  # zones, or faults to name: one text at a time
            return _distinct(texts, _read_moment, pa.timestamp("us"))
    if not (
        pa.types.is_timestamp(column.type)
        or pa.types.is_date(column.type)
        or pa.types.is_null(column.type)
    ):
        raise pa.ArrowTypeError("not dates")
    return column, []


_CONVERTERS: dict[str, Callable[[pa.ChunkedArray], tuple[pa.ChunkedArray, list[Fault]]]] = {
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "category": _category,
}


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column as plain strings, or None where it holds something else."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    return None


def _distinct(
    texts: pa.ChunkedArray, read: Callable[[str], object], kind: pa.DataType
) -> tuple[pa.ChunkedArray, list[Fault]]:
    """Read each distinct text once."""
    values: list[object] = []
    details: dict[str, str] = {}
    distinct = texts.unique()
    for text in distinct.to_pylist():
        value = None
        if text is not None:
            try:
                value = read(text)
            except ValueError as error:
                details[text] = str(error)
        values.append(value)
    positions = pc.index_in(texts, value_set=distinct)
    converted = pa.chunked_array([pa.array(values, kind)]).take(positions)
    if not details:
        return converted, []
    wrong = pc.is_in(texts, value_set=pa.array(details, pa.string()))
    rows = np.flatnonzero(wrong.to_numpy())[:MAX_ERRORS].tolist()
    return converted, [(row, details[texts[row].as_py()]) for row in rows]


def _read_boolean(text: str) -> bool:
    try:
        return BOOLEANS[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{quote(text)} is not a boolean; write true, false, 1 or 0") from None


def _read_moment(text: str) -> datetime:
    moment = read_date(text.strip())
    return moment.astimezone(UTC).replace(tzinfo=None)


def _faults(wrong: pa.ChunkedArray, column: pa.ChunkedArray, detail: str) -> list[Fault]:
    """Describe the rows where `wrong` is true; a null there is not."""
    rows = np.flatnonzero(pc.fill_null(wrong, False).to_numpy())[:MAX_ERRORS].tolist()
    return [(row, f"{quote(column[row].as_py())} {detail}") for row in rows]


def _listed(names: Iterable[str]) -> str:
    """Name the first few."""
    known = list(names)
    shown = ", ".join(quote(name) for name in known[:MAX_ERRORS])
    more = len(known) - MAX_ERRORS
    return f"{shown} and {more} more" if more > 0 else shown
