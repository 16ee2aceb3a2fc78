"""How sure an answer is: intervals around numbers and sets of classes, with a promised coverage.

Their sizes were learned, when the model was trained, from answers to rows that it did not know
(`stages/evaluation/conformal.py`). An interval is the prediction plus or minus the level's bound
times a scale, which is one number, or one for each of a few ranges of the prediction. A set holds
the predicted class and every other whose probability is at least the level's bound.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.errors import Problem
from app.model.manifest import Intervals, Level
from app.model.runtime import Floats


@dataclass(frozen=True, slots=True)
class Interval:
    """What is likely, beside each answer: `lower` and `upper`, or `sets`.

    Attributes:
        coverage: the share of the truths that was promised to lie inside.
        measured: the share that did, on the holdout.
        lower: of a regression, shape (rows,).
        upper: of a regression, shape (rows,).
        sets: of a classification, for each row the classes that may be true; dtype object.
    """

    coverage: float
    measured: float
    lower: Floats | None = None
    upper: Floats | None = None
    sets: npt.NDArray[np.object_] | None = None


def level_of(intervals: Intervals | None, coverage: float) -> Level:
    """Find a coverage.

    Raises:
        Problem: the model does not have it; names those that it has.
    """
    if intervals is None:
        raise Problem("no-intervals", "This model gives no intervals: it was deployed without.")
    for level in intervals.levels:
        if level.coverage == coverage:
            return level
    coverages = ", ".join(f"{level.coverage:g}" for level in intervals.levels)
    raise Problem(
        "no-intervals", f"This model gives no interval of {coverage}; it has those of {coverages}."
    )


def half_widths(intervals: Intervals, level: Level, predictions: Floats) -> Floats:
    """Half the width of each prediction's interval, in the target's unit; shape (rows,)."""
    scales = np.array(intervals.scales)
    widths: Floats = level.bound * scales[np.searchsorted(intervals.edges, predictions, "right")]
    return widths


def members(
    level: Level, probabilities: Floats, predicted: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which classes each set holds.

    Args:
        level: says how probable a class must be.
        probabilities: shape (rows, classes).
        predicted: indices of the predicted classes, shape (rows,); they always belong.

    Returns:
        Shape (rows, classes).
    """
    inside: npt.NDArray[np.bool_] = probabilities >= level.bound
    inside[np.arange(len(predicted)), predicted] = True
    return inside
