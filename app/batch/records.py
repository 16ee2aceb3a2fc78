"""Records, each a mapping of column to value, to predictions; and what is wrong with the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.batch.answers import Options
from app.errors import Problem
from app.formats.columns import column_values
from app.model.model import Model
from app.model.records import Record
from app.model.runtime import Packed

Faults = list[dict[str, Any]]


def score_records(
    model: Model, records: Sequence[Record], options: Options
) -> tuple[Sequence[int], list[tuple[Any, ...]], Faults]:
    """Score the records that can be.

    Returns:
        The positions of these; for each the added values, in the order of `column_names`;
        and the faults of the others: `row` (1 is the first), `column` where there is one, `detail`.
    """
    positions: Sequence[int] = range(len(records))
    faults: Faults = []
    try:
        packed = model.packer.pack(records)
    except Problem:
        packed, positions, faults = _sift(model, records)
    if not positions:
        return [], [], faults
    columns = column_values(model.answer(packed, options.extras))
    return positions, list(zip(*(values.tolist() for values in columns), strict=True)), faults


def _sift(model: Model, records: Sequence[Record]) -> tuple[Packed, list[int], Faults]:
    """Pack each record by itself, and name the faults of those that do not fit."""
    parts: list[Packed] = []
    positions: list[int] = []
    faults: Faults = []
    for position, record in enumerate(records):
        try:
            parts.append(model.packer.pack([record]))
        except Problem as problem:
            faults += [{**error, "row": position + 1} for error in problem.errors]
        else:
            positions.append(position)
    if not parts:
        return model.packer.pack([]), positions, faults
    return (
        Packed(
            np.concatenate([part.numeric for part in parts]),
            np.concatenate([part.categorical for part in parts]),
        ),
        positions,
        faults,
    )
