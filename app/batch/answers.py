"""What every format of the batch has in common: what is asked for, and what comes of a piece."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import Problem, quote
from app.model.manifest import Class, Interface
from app.model.model import Extras, Model, Prediction

# The column of the classes that may be true: a list; in tables a text, as JSON.
SET = "prediction_set"


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for.

    Attributes:
        keep: the columns that the output has beside the prediction; None means all.
        probabilities: give one column for each class, too.
        strict: fail at the first row that cannot be scored.
        interval: the coverage of intervals to give, too; None: no intervals.
        explain: give what each column contributes, too.
    """

    keep: tuple[str, ...] | None = None
    probabilities: bool = False
    strict: bool = False
    interval: float | None = None
    explain: bool = False

    @property
    def extras(self) -> Extras:
        """What the model is to tell beside its predictions."""
        return Extras(self.probabilities, self.interval, self.explain)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row was rejected.

    Attributes:
        line: of the file, 1 is the first, where the file is text; else the row, 1 is the first.
        column: where the fault is; empty where it is the whole row's.
        reason: what is wrong.
    """

    line: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scored:
    """A piece of a file, scored.

    Attributes:
        rows: the rows that could be scored with their predictions: an Arrow record batch, or
            JSON lines as bytes.
        count: how many these are.
        faults: of the other rows, in the order of their lines.
    """

    rows: Any
    count: int
    faults: Sequence[Fault]

    @property
    def rejected(self) -> int:
        """How many rows were rejected."""
        return len({fault.line for fault in self.faults})


def check_options(model: Model, options: Options) -> None:
    """Refuse what the model cannot give.

    Raises:
        Problem: says what.
    """
    model.check(options.extras)


def refuse(fault: Fault) -> Problem:
    """The problem of a run that is to have no faulty row."""
    place = f"Line {fault.line}"
    if fault.column:
        place += f", column {quote(fault.column)}"
    return Problem("invalid-value", f"{place}: {fault.reason}.")


def prediction_names(interface: Interface, options: Options, taken: Sequence[str]) -> list[str]:
    """Name the columns that are added; a name that is taken gets an underscore."""
    names = ["prediction"]
    if options.probabilities:
        names += [f"probability_{class_text(label)}" for label in interface.classes]
    if options.interval is not None:
        is_number = interface.task == "regression"
        names += ["prediction_lower", "prediction_upper"] if is_number else [SET]
    if options.explain:
        names += [f"contribution:{feature.name}" for feature in interface.features]
    return [_unused(name, taken) for name in names]


def prediction_columns(prediction: Prediction) -> list[npt.NDArray[Any]]:
    """Give the added columns' values, in the order of `prediction_names`."""
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


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
