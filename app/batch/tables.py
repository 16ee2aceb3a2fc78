"""The core of the batch on any engine: one function from record batch to record batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from app.batch.answers import Options
from app.errors import Problem
from app.formats.columns import SET, class_text, column_names, column_values, set_texts
from app.formats.registry import check_names
from app.model.model import Model
from app.model.packing import pack_fitting
from app.model.runtime import Packed

Faults = list[dict[str, Any]]


def score(model: Model, batch: pa.RecordBatch, options: Options) -> tuple[pa.RecordBatch, Faults]:
    """Score a record batch that holds the raw columns.

    Pure: the same batch, the same answer, whatever came before.

    Returns:
        The kept columns and the predictions of the rows that can be scored, in their order;
        and the faults of the others: `row` (1 is the batch's first), `column` and `detail`.

    Raises:
        Problem: a column is missing or cannot be read, or is to be kept and not there.
    """
    check_names(batch.schema.names, model.interface, len(batch.schema))
    kept = batch.select(kept_names(batch.schema.names, options))
    return score_beside(model, pa.Table.from_batches([batch]), kept, options)


def score_beside(
    model: Model, features: pa.Table, kept: pa.RecordBatch, options: Options
) -> tuple[pa.RecordBatch, Faults]:
    """Score a table of features, and give the predictions beside columns of the same rows."""
    packed, faults = pack_fitting(features, model.interface.features)
    if faults:
        fits = np.ones(len(packed), bool)
        fits[[fault["row"] - 1 for fault in faults]] = False
        packed = Packed(packed.numeric[fits], packed.categorical[fits])
        kept = kept.take(_array(np.flatnonzero(fits), pa.int64()))
    prediction = model.answer(packed, options.extras)
    names = column_names(model.interface, options.extras, kept.schema.names)
    columns = [
        pa.array(set_texts(values), pa.string())
        if name.startswith(SET)
        else _numbers(values)
        if values.dtype == np.float64
        else _labels(values, model)
        for name, values in zip(names, column_values(prediction), strict=True)
    ]
    return (
        pa.RecordBatch.from_arrays([*kept.columns, *columns], [*kept.schema.names, *names]),
        faults,
    )


def kept_names(names: Sequence[str], options: Options) -> list[str]:
    """Name the columns to keep.

    Raises:
        Problem: one of them is not there.
    """
    if options.keep is None:
        return list(names)
    missing = [name for name in options.keep if name not in names]
    if missing:
        raise Problem(
            "missing-columns",
            f"These columns are to be kept and missing: {', '.join(map(repr, missing))}.",
        )
    return list(options.keep)


def _numbers(values: npt.NDArray[np.float64]) -> pa.Array:
    """Give numbers; null where one is not finite, as a reply has it."""
    finite = np.isfinite(values)
    bitmap = None if finite.all() else pa.py_buffer(np.packbits(finite, bitorder="little"))
    return _array(values, pa.float64(), bitmap)


def _labels(values: npt.NDArray[Any], model: Model) -> pa.Array:
    kinds = {type(label) for label in model.interface.classes}
    labels = values.tolist()
    if len(kinds) > 1:
        return pa.array([class_text(label) for label in labels], pa.string())
    return pa.array(labels, pa.array(list(model.interface.classes)).type)


def _array(
    values: npt.NDArray[Any], kind: pa.DataType, bitmap: pa.Buffer | None = None
) -> pa.Array:
    # Arrow's own way from NumPy imports pandas where it is installed.
    return pa.Array.from_buffers(kind, len(values), [bitmap, pa.py_buffer(values)])
