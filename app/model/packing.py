"""Arrow columns to the two packed arrays that a model takes (see app/model/manifest.py)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.errors import MAX_ERRORS, Problem, invalid_values, quote
from app.model.manifest import Feature
from app.model.records import read_date
from app.model.runtime import Floats, Packed

# What a finite number looks like; C++ and Python would take "nan" and "inf" as well.
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
BOOLEANS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}

# Bytes that packing takes for a cell, and for a distinct text.
CELL, DISTINCT = 20, 224

Fault = tuple[int, str]  # row, counted from 0, and what is wrong there
Column = tuple[npt.NDArray[Any], list[Fault]]


def pack(table: pa.Table, features: Sequence[Feature]) -> Packed:
    """Pack a table that holds every feature's column by name; other columns are ignored.

    A null or a NaN is a missing value. The Arrow types may be: for `number` any number, for
    `boolean` bools or numbers 0 and 1, for `date` any date or timestamp (without a zone:
    UTC), for `category` any scalar, whose text is what Arrow casts it to. Texts are read as
    CSV cells are, for any kind. All plain or dictionary-encoded.

    Raises:
        KeyError: a feature has no column, or more than one.
        Problem: values do not fit; names their rows and columns.
    """
    packed, faults = pack_fitting(table, features, MAX_ERRORS)
    if faults:
        raise invalid_values(faults)
    return packed


def pack_fitting(
    table: pa.Table, features: Sequence[Feature], limit: int | None = None
) -> tuple[Packed, list[dict[str, Any]]]:
    """Pack a table as `pack` does, and name the values that do not fit.

    Args:
        table: the rows.
        features: the columns to pack.
        limit: stop naming after so many faults in a column; None names all.

    Returns:
        All rows, arbitrary where a value does not fit; and the faults in the order of their
        rows: `row` (1 is the first), `column` and `detail`.

    Raises:
        KeyError: a feature has no column, or more than one.
        Problem: a whole column is of a type that cannot be packed.
    """
    numeric = [feature for feature in features if feature.kind != "category"]
    categorical = [feature for feature in features if feature.kind == "category"]
    packed = Packed(
        np.empty((table.num_rows, len(numeric))),
        np.empty((table.num_rows, len(categorical)), np.int64),
    )
    errors: list[dict[str, Any]] = []
    for array, members in ((packed.numeric, numeric), (packed.categorical, categorical)):
        for index, feature in enumerate(members):
            column = table.column(feature.name)
            check_type(feature, column.type)
            try:
                array[:, index], faults = _PACKERS[feature.kind](column, feature, limit)
            except pa.ArrowException as error:
                raise _wrong_type(feature, column.type) from error
            errors += [
                {"row": row + 1, "column": feature.name, "detail": detail} for row, detail in faults
            ]
    return packed, sorted(errors, key=lambda error: error["row"])


def packing_memory(table: pa.Table) -> int:
    """Bytes that a table and packing it may take at most."""
    distinct = sum(
        len(chunk.dictionary)
        for column in table.columns
        if pa.types.is_dictionary(column.type)
        for chunk in column.chunks
    )
    cells = table.num_rows * table.num_columns
    return int(CELL * cells + DISTINCT * distinct + table.nbytes)


def check_type(feature: Feature, type_: pa.DataType) -> None:
    """Refuse a type that cannot be packed; see `pack`.

    Raises:
        Problem: says so.
    """
    types = pa.types
    kind = type_.value_type if types.is_dictionary(type_) else type_
    fits = {
        "number": types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind),
        "boolean": types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind),
        "date": types.is_date(kind) or types.is_timestamp(kind),
        "category": types.is_primitive(kind) or types.is_decimal(kind),
    }
    if not (is_text(kind) or types.is_null(kind) or fits[feature.kind]):
        raise _wrong_type(feature, type_)


def _wrong_type(feature: Feature, type_: pa.DataType) -> Problem:
    detail = f"has type {type_}, which cannot be read as a {feature.kind}"
    return Problem(
        "invalid-type",
        f"Column {quote(feature.name)} {detail}.",
        errors=[{"column": feature.name, "detail": detail}],
    )


def is_text(type_: pa.DataType) -> bool:
    """Whether a column, or a dictionary's values, are texts."""
    kind = type_.value_type if pa.types.is_dictionary(type_) else type_
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _number(column: pa.ChunkedArray, feature: Feature, limit: int | None) -> Column:
    if not is_text(column.type):
        values = floats(column)
        return values, _faults(np.isinf(values), column, "is not a finite number", limit)
    texts, positions = _encode(column)
    trimmed = pc.utf8_trim(texts, " \t")
    fits = pc.match_substring_regex(trimmed, NUMBER)
    is_number = floats(pa.chunked_array([fits]))  # 1 or 0; NaN where there is no text
    distinct = np.full(len(texts), np.nan)
    distinct[is_number == 1] = floats(pa.chunked_array([trimmed.filter(fits).cast(pa.float64())]))
    wrong = (is_number == 0) | np.isinf(distinct)
    faults = _faults(np.append(wrong, False)[positions], column, "is not a finite number", limit)
    return np.append(distinct, np.nan)[positions], faults


def _boolean(column: pa.ChunkedArray, feature: Feature, limit: int | None) -> Column:
    if is_text(column.type):
        return _read_each(*_encode(column), _read_boolean, limit)
    values = floats(column)
    wrong = ~(np.isnan(values) | (values == 0) | (values == 1))
    return values, _faults(wrong, column, "is neither 0 nor 1", limit)


def _date(column: pa.ChunkedArray, feature: Feature, limit: int | None) -> Column:
    if is_text(column.type):
        texts, positions = _encode(column)
        try:
            distinct = _seconds(pa.chunked_array([texts.cast(pa.timestamp("us"))]))
        except pa.ArrowInvalid:  # zones, or faults to name: one text at a time
            return _read_each(texts, positions, _read_seconds, limit)
        return np.append(distinct, np.nan)[positions], []
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_null(column.type):
        return floats(column), []
    return _seconds(column), []


def _category(column: pa.ChunkedArray, feature: Feature, limit: int | None) -> Column:
    codes = {text: code for code, text in enumerate(feature.categories)}
    unseen, missing = len(codes), len(codes) + 1
    texts, positions = _encode(column)
    code_of_position = [
        missing if text is None else codes.get(text, unseen) for text in texts.to_pylist()
    ]
    return np.array([*code_of_position, missing])[positions], []


_PACKERS: dict[str, Callable[[pa.ChunkedArray, Feature, int | None], Column]] = {
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "category": _category,
}


def _read_each(
    texts: pa.Array,
    positions: npt.NDArray[np.int64],
    read: Callable[[str], float],
    limit: int | None,
) -> Column:
    """Read each distinct text once."""
    values: list[float] = []
    details: dict[int, str] = {}
    for index, text in enumerate(texts.to_pylist()):
        value = np.nan
        if text is not None:
            try:
                value = read(text.strip())
            except ValueError as error:
                details[index] = str(error)
        values.append(value)
        if limit is not None and len(details) >= limit:  # enough to be refused
            values += [np.nan] * (len(texts) - len(values))
            break
    rows = np.flatnonzero(np.isin(positions, [*details]))[:limit].tolist()
    faults = [(row, details[positions[row]]) for row in rows]
    return np.array([*values, np.nan])[positions], faults


def _read_boolean(text: str) -> float:
    try:
        return BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError(f"{quote(text)} is not a boolean; write true, false, 1 or 0") from None


def _read_seconds(text: str) -> float:
    return read_date(text).timestamp()


def _faults(
    wrong: npt.NDArray[np.bool_], column: pa.ChunkedArray, detail: str, limit: int | None
) -> list[Fault]:
    rows = np.flatnonzero(wrong)[:limit].tolist()
    return [(row, f"{quote(column[row].as_py())} {detail}") for row in rows]


def _seconds(column: pa.ChunkedArray) -> Floats:
    if column.type.unit == "ns":  # cut off as in texts (see app/model/records.py)
        plain = column.cast(pa.timestamp("ns"))
        cut = plain.cast(pa.timestamp("us"), safe=False)
        ahead = pc.greater(cut.cast(pa.timestamp("ns")), plain)  # before 1970 it cuts upwards
        return (floats(cut.cast(pa.int64())) - floats(ahead)) / 10**6
    ticks_per_second = {"s": 1, "ms": 10**3, "us": 10**6}[column.type.unit]
    return floats(column.cast(pa.int64())) / ticks_per_second


# Arrow's own ways to NumPy and back import pandas where it is installed: half a second and
# 45 MB that nothing here needs. So the functions below read the arrays' memory directly.


def floats(column: pa.ChunkedArray) -> Floats:
    """Give a column of numbers or bools as float64, NaN where it is null."""
    values = np.empty(len(column))
    start = 0
    for chunk in column.cast(pa.float64(), safe=False).chunks:
        part = values[start : start + len(chunk)]
        part[:] = _view(chunk, np.float64)
        part[_nulls(chunk)] = np.nan
        start += len(chunk)
    return values


def _encode(column: pa.ChunkedArray) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Give the distinct values as texts, and for each row a position among them, or -1.

    The rows' own texts are never written out: a few bytes can stand for millions of long ones.
    """
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    positions = np.full(len(column), -1)
    texts = pa.nulls(0, pa.string())
    start = 0
    for chunk in column.chunks:
        if start == 0:  # all chunks share the first one's dictionary
            absent = chunk.dictionary.is_null(nan_is_null=True)
            nulls = pa.nulls(len(absent), pa.string())  # a plain None would import pandas
            texts = pc.if_else(absent, nulls, chunk.dictionary.cast(pa.string()))
        present = ~_nulls(chunk)
        indices = _view(chunk.indices, str(chunk.indices.type))
        positions[start : start + len(chunk)][present] = indices[present]
        start += len(chunk)
    return texts, positions


def _view(array: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The values of a fixed-width array; those of nulls are arbitrary."""
    if not len(array):
        return np.empty(0, dtype)
    kind = np.dtype(dtype)
    return np.frombuffer(array.buffers()[1], kind, len(array), array.offset * kind.itemsize)


def _nulls(array: pa.Array) -> npt.NDArray[np.bool_]:
    bitmap = array.buffers()[0]
    if bitmap is None or not array.null_count:
        return np.zeros(len(array), bool)
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
    nulls: npt.NDArray[np.bool_] = bits[array.offset : array.offset + len(array)] == 0
    return nulls
