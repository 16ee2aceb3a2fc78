"""What every format of the batch has in common: what is asked for, and what comes of a piece."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import Problem, quote
from app.model.model import Extras


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


def refuse(fault: Fault) -> Problem:
    """The problem of a run that is to have no faulty row."""
    place = f"Line {fault.line}"
    if fault.column:
        place += f", column {quote(fault.column)}"
    return Problem("invalid-value", f"{place}: {fault.reason}.")
