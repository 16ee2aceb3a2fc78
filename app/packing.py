"""Typed Arrow columns to the two packed arrays that a model takes (see app/manifest.py)."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.manifest import Feature
from app.runtime import Codes, Floats, Packed


def pack(table: pa.Table, features: Sequence[Feature]) -> Packed:
    """Pack a table that holds every feature's column by name; other columns are ignored.

    A null or a NaN is a missing value. The Arrow types may be: for `number` and `boolean`
    any number or bool, for `date` any date or timestamp (without a zone: UTC), for
    `category` any scalar, plain or dictionary-encoded; its text is what Arrow casts it to.

    Raises:
        KeyError: a feature has no column, or more than one.
        pyarrow.ArrowInvalid: a column's type does not fit its kind.
    """
    numeric = [feature for feature in features if feature.kind != "category"]
    categorical = [feature for feature in features if feature.kind == "category"]
    packed = Packed(
        np.empty((table.num_rows, len(numeric))),
        np.empty((table.num_rows, len(categorical)), np.int64),
    )
    for index, feature in enumerate(numeric):
        column = table.column(feature.name)
        pack_column = _seconds if feature.kind == "date" else _floats
        packed.numeric[:, index] = pack_column(column)
    for index, feature in enumerate(categorical):
        packed.categorical[:, index] = _codes(table.column(feature.name), feature.categories)
    return packed


def _floats(column: pa.ChunkedArray) -> Floats:
    values: Floats = column.cast(pa.float64(), safe=False).to_numpy()
    return values


def _seconds(column: pa.ChunkedArray) -> Floats:
    if pa.types.is_null(column.type):
        return _floats(column)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    ticks_per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    return _floats(column.cast(pa.int64())) / ticks_per_second


def _codes(column: pa.ChunkedArray, categories: Sequence[str]) -> Codes:
    """Code the distinct values once, then spread the codes over the rows."""
    unseen, missing = len(categories), len(categories) + 1
    if pa.types.is_null(column.type):
        return np.full(len(column), missing)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    encoded = column.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # an empty column stays chunked
        return np.empty(0, np.int64)
    values = encoded.dictionary
    # The last slot stands for a null index, and for a NaN or a null inside the dictionary.
    code_of = np.full(len(values) + 1, missing)
    known = pc.index_in(values.cast(pa.string()), value_set=pa.array(categories, pa.string()))
    code_of[:-1] = known.fill_null(unseen).to_numpy(zero_copy_only=False)
    code_of[:-1][values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)] = missing
    codes: Codes = code_of[encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)]
    return codes
