"""The columns that answers add to the rows of a table: their names, and their values."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.model.manifest import Class, Interface
from app.model.model import Extras, Prediction

# The column of the classes that may be true: a list; in tables a text, as JSON.
SET = "prediction_set"


def column_names(interface: Interface, extras: Extras, taken: Sequence[str]) -> list[str]:
    """Name the columns that are added; a name that is taken gets an underscore."""
    names = ["prediction"]
    if extras.probabilities:
        names += [f"probability_{class_text(label)}" for label in interface.classes]
    if extras.interval is not None:
        is_number = interface.task == "regression"
        names += ["prediction_lower", "prediction_upper"] if is_number else [SET]
    if extras.explain:
        names += [f"contribution:{feature.name}" for feature in interface.features]
    return [_unused(name, taken) for name in names]


def column_values(prediction: Prediction) -> list[npt.NDArray[Any]]:
    """Give the added columns' values, in the order of `column_names`."""
    columns = [prediction.values]
    if prediction.probabilities is not None:
        columns.extend(prediction.probabilities.T)
    if prediction.interval is not None:
        interval = prediction.interval
        parts = (interval.lower, interval.upper, interval.sets)
        columns.extend(part for part in parts if part is not None)
    if prediction.explanation is not None:
        columns.extend(prediction.explanation.contributions.T)
    return [np.ascontiguousarray(column) for column in columns]


def class_text(label: Class) -> str:
    """Give a class as CSV has it."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def set_texts(sets: Iterable[Any]) -> list[str]:
    """Give sets of classes as CSV has them: JSON lists."""
    return [orjson.dumps(one).decode() for one in sets]


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
