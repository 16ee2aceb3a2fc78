"""What every format of the batch has in common: what is asked for, and what comes of a piece."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import Problem, quote
from app.model.manifest import Class, Interface
from app.model.model import Model, Prediction


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for.

    Attributes:
        keep: the columns that the output has beside the prediction; None means all.
        probabilities: give one column for each class, too.
        strict: fail at the first row that cannot be scored.
    """

    keep: tuple[str, ...] | None = None
    probabilities: bool = False
    strict: bool = False


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
    if options.probabilities and not model.gives_probabilities:
        raise Problem("no-probabilities", "This model gives no probabilities.")


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
    return [_unused(name, taken) for name in names]


def prediction_columns(prediction: Prediction, options: Options) -> list[npt.NDArray[Any]]:
    """Give the added columns' values, in the order of `prediction_names`."""
    columns = [prediction.values]
    if options.probabilities and prediction.probabilities is not None:
        columns += [np.ascontiguousarray(column) for column in prediction.probabilities.T]
    return columns


def class_text(label: Class) -> str:
    """Give a class as CSV has it."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
