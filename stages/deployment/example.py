"""The example in the manifest: one row of the holdout, and what the served model answers to it.

Whoever opens the model later answers the row anew and compares.
"""

from typing import Any

import numpy as np
import pandas as pd

from app.model.manifest import Example
from app.model.model import Model
from stages.deployment.proof import as_table
from stages.files import settled
from stages.schema import Schema, model_frame

# The self-test's tolerance is relative to the stored answer. Where that is zero by chance, the
# last bits of a sum, which differ between processors, would fail it.
SMALL = 1e-3  # of the median answer's size


def choose_example(model: Model, holdout: pd.DataFrame, schema: Schema) -> Example:
    """Choose the first row that has every value and an answer of some size.

    Args:
        model: the served model.
        holdout: the holdout's rows, one at least.
        schema: the tables' schema.
    """
    complete = holdout[schema.names].notna().all(axis="columns")
    rows = holdout[complete] if complete.any() else holdout
    answers = model.predict_table(as_table(model_frame(rows, schema), schema))
    chosen = 0
    if schema.task == "regression":
        size = np.abs(answers.values)
        chosen = int(np.argmax(size >= SMALL * np.median(size)))
    probabilities = None
    if answers.probabilities is not None:
        probabilities = tuple(map(settled, answers.probabilities[chosen].tolist()))
    prediction = answers.values.tolist()[chosen]
    if schema.task == "regression":
        prediction = settled(prediction)
    return Example(
        record=_record(rows.iloc[chosen], schema),
        prediction=prediction,
        probabilities=probabilities,
    )


def _record(row: pd.Series, schema: Schema) -> dict[str, Any]:
    """One prepared row as a client would send it in JSON."""
    record: dict[str, Any] = {}
    for feature in schema.features:
        value = row[feature.name]
        if pd.isna(value):
            record[feature.name] = None
        elif feature.kind == "boolean":
            record[feature.name] = bool(value)
        elif feature.kind == "date":
            record[feature.name] = value.isoformat()
        else:
            record[feature.name] = value if feature.kind == "category" else float(value)
    return record
